import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { connect, createServer, type AddressInfo } from "node:net";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startPcapts } from "./pcapts-process.ts";

const SIGUSR1 = 10;
/** The last of the signals that pcapts takes; Node itself takes the others while it starts. */
const SIGHUP = 1;

/** A producer that waits for the first bytes of a capture on its standard input. */
const WAITING_PRODUCER = ["-p", "-r", "-", "-k", "127.0.0.1:1"];

/** Resolves as soon as a process takes a signal itself; before that it would die of it. */
async function untilCaught(pid: number | undefined, signal: number): Promise<void> {
  for (;;) {
    const status = await readFile(`/proc/${pid}/status`, "ascii");
    const caught = BigInt(`0x${/^SigCgt:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`);
    if ((caught & (1n << BigInt(signal - 1))) !== 0n) return;
    await sleep(1);
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

async function isOpen(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  return new Promise((resolve) => {
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
  }).then((open) => {
    socket.destroy();
    return open as boolean;
  });
}

test("SIGUSR1 as early as a process can take it neither ends it nor leaves a debugger port open", async () => {
  for (const laterMs of [0, 20, 40, 60, 200, 600]) {
    const port = await freePort();
    const { child, ended } = startPcapts(WAITING_PRODUCER, {
      NODE_OPTIONS: `--inspect-port=127.0.0.1:${port}`,
    });
    try {
      await untilCaught(child.pid, SIGUSR1);
      await sleep(laterMs);
      child.kill("SIGUSR1");
      // Once SIGHUP is caught, every module that could open or close the port has run.
      await untilCaught(child.pid, SIGHUP);
      assert.equal(child.exitCode ?? child.signalCode, null, `after ${laterMs} ms`);
      const deadline = performance.now() + 10_000;
      while (await isOpen(port)) {
        assert.ok(performance.now() < deadline, `port open, signal after ${laterMs} ms`);
        await sleep(20);
      }
      child.kill("SIGTERM");
      assert.equal((await ended).status, 0, `after ${laterMs} ms`);
    } finally {
      child.kill("SIGKILL");
    }
  }
});

test("SIGINT, SIGTERM and SIGHUP end a producer that has captured nothing with 0", async () => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    const { child, ended } = startPcapts(WAITING_PRODUCER);
    await untilCaught(child.pid, SIGHUP);
    await sleep(200); // long enough to have opened standard input
    child.kill(signal);
    const { status, stdout } = await ended;
    assert.deepEqual([status, stdout], [0, ""], signal);
  }
});
