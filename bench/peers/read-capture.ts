// Reads a capture file and does nothing with its frames: node read-capture.js FILE FRAMES
import { open } from "node:fs/promises";
import { fileBytes } from "../../src/capture-file/byte-source.ts";
import { openCaptureReader } from "../../src/capture-file/capture-reader.ts";

const [file = "", frames] = process.argv.slice(2);
const source = fileBytes(await open(file));
const { reader } = await openCaptureReader(source, file);
let found = 0;
for await (const { frameCount } of reader.chunks()) found += frameCount;
await source.close();
if (found !== Number(frames)) {
  console.error(`${found} frames, not ${frames}`);
  process.exitCode = 1;
}
