import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { generateCapture } from "../../bench/generate-capture.ts";

const scratch = mkdtempSync(path.join(tmpdir(), "pcapts-generate-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

test("generateCapture() writes frames of about 200 bytes that tshark finds sound", () => {
  const file = path.join(scratch, "sound.pcap");
  const { frames, frameBytes } = generateCapture(file, { frames: 2_000, flows: 100 });
  const checks = ["-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE"];
  const fields = ["frame.len", "ip.checksum.status", "tcp.checksum.status", "tcp.stream"];
  const rows = execFileSync(
    "tshark",
    ["-r", file, ...checks, "-T", "fields", ...fields.flatMap((field) => ["-e", field])],
    { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] },
  )
    .trim()
    .split("\n")
    .map((row) => row.split("\t"));
  assert.equal(rows.length, frames);
  assert.equal(
    rows.reduce((sum, [length]) => sum + Number(length), 0),
    frameBytes,
  );
  assert.ok(frameBytes / frames > 180 && frameBytes / frames < 220);
  for (const [, ip, tcp] of rows) assert.deepEqual([ip, tcp], ["1", "1"]);
  assert.equal(new Set(rows.map(([, , , stream]) => stream)).size, 100);
});

test("generateCapture() gives the same file for the same seed and another for another", () => {
  const [first, again, other] = [7, 7, 8].map((seed, index) => {
    const file = path.join(scratch, `${index}.pcap`);
    generateCapture(file, { frames: 500, seed });
    return readFileSync(file);
  });
  assert.ok(first?.equals(again ?? Buffer.of()));
  assert.ok(!first?.equals(other ?? Buffer.of()));
});
