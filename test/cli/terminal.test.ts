import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { PCAPTS } from "./pcapts-process.ts";

/** Runs pcapts with a terminal as standard input, output and error. */
async function runInTerminal(line: string): Promise<{ status: number; screen: string }> {
  const command = `"${process.execPath}" "${PCAPTS}" ${line}`;
  const child = spawn("script", ["--quiet", "--return", "--command", command, "/dev/null"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let screen = "";
  child.stdout.on("data", (bytes: Buffer) => (screen += bytes.toString()));
  const [status] = (await once(child, "close")) as [number];
  return { status, screen };
}

test("pcap to a terminal is refused with what to do instead", async () => {
  const { status, screen } = await runInTerminal("-c -k 127.0.0.1:1");
  assert.equal(status, 2);
  assert.match(
    screen,
    /Standard output is a terminal, .* say -w FILE, a pipe .* or -pp 1 for text/,
  );
});
