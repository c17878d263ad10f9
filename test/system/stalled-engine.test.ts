import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { BrokerProcess } from "../embedded-broker.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import { eventually, type RunningProcess, startPcapts } from "../integration/pcapts-process.ts";
import { NotifySocket } from "../service/notify-socket.ts";
import { StatusPages } from "../service/status-pages.ts";
import { createVethPair, type VethPair } from "./veth-pair.ts";

/* "Packets in, none out": an engine that stops delivering is noticed, and not taken for well. */

const LIMIT = { timeout: 120_000 };
const FRAMES = buildCapture({
  frames: Array.from({ length: 50 }, (_, n) => ({ bytes: buildUdpFrame(n, 200) })),
});
/** A watchdog of 0.4 s, so that a beat that is missing shows soon. */
const WATCHDOG_US = "400000";

let broker: BrokerProcess;
let veth: VethPair;
let manager: NotifySocket;
before(async () => {
  broker = await BrokerProcess.start();
  veth = await createVethPair();
});
after(async () => {
  await veth.remove();
  await broker.remove();
});

/** Stops one thread of a process, as nothing but a debugger can. */
const FREEZE = `
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
SEIZE, INTERRUPT = 0x4206, 0x4207
for request in (SEIZE, INTERRUPT):
    if libc.ptrace(request, int(sys.argv[1]), 0, 0) != 0:
        sys.exit(f"ptrace: errno {ctypes.get_errno()}")
print("frozen", flush=True)
sys.stdin.read()
`;

async function start(engine: "libpcap" | "cap"): Promise<[RunningProcess, StatusPages]> {
  manager = await NotifySocket.open();
  const line = ["-p", "-i", veth.name, "-k", broker.bootstrap, "--engine", engine];
  const env = { NOTIFY_SOCKET: manager.address, WATCHDOG_USEC: WATCHDOG_US };
  const options = ["--metrics", "127.0.0.1:0", "--stall-timeout", "1"];
  const producer = startPcapts([...line, ...options], { env });
  const pages = await StatusPages.of(producer);
  await eventually("ready", () => manager.count("READY=1") === 1, 30_000);
  return [producer, pages];
}

/** Sends frames until the engine is said to stall. */
async function untilIll(pages: StatusPages): Promise<string> {
  let said = "";
  await eventually(
    "the stall",
    async () => {
      await veth.send(FRAMES, ["--pps=1000"]);
      const { status, text } = await pages.get("/healthz");
      said = text;
      return status === 503;
    },
    60_000,
  );
  return said;
}

/** Beats stop: while there are any, one comes several times in such a window. */
async function untilNoBeats(pages: StatusPages): Promise<void> {
  await eventually(
    "the end of beats",
    async () => {
      const beats = manager.count("WATCHDOG=1");
      const until = performance.now() + 3 * (Number(WATCHDOG_US) / 1000);
      while (performance.now() < until) {
        assert.equal((await pages.get("/healthz")).status, 503);
        await veth.send(FRAMES, ["--pps=1000"]);
      }
      return manager.count("WATCHDOG=1") === beats;
    },
    30_000,
  );
}

async function untilWell(pages: StatusPages): Promise<void> {
  const beats = manager.count("WATCHDOG=1");
  await eventually("well again", async () => (await pages.get("/healthz")).status === 200, 30_000);
  await eventually("beats again", () => manager.count("WATCHDOG=1") > beats + 1, 30_000);
}

async function end(producer: RunningProcess): Promise<void> {
  producer.child.kill("SIGTERM");
  const { status, stderr } = await producer.ended;
  assert.equal(status, 0, stderr);
  assert.match(
    stderr,
    /ERROR: The service manager is not told any more that all is well: interface/,
  );
  assert.match(stderr, /ERROR: All is well again, and the service manager is told so/);
  await eventually("the farewell", () => manager.count("STOPPING=1") === 1);
  manager.close();
}

test(
  "a capture thread that hangs stops the watchdog's beats, until it goes on",
  LIMIT,
  async () => {
    const [producer, pages] = await start("libpcap");
    const frozen = await freeze(await findCaptureThread(producer.child.pid!));
    assert.match(
      await untilIll(pages),
      /^interface "\w+": the kernel received \d+ frame\(s\) in the last \d+ s, and the capture engine handed none over$/m,
    );
    await untilNoBeats(pages);
    frozen.kill("SIGKILL");
    await untilWell(pages);
    await end(producer);
  },
);

test(
  "a capture process that hangs stops the watchdog's beats, until it goes on",
  LIMIT,
  async () => {
    const [producer, pages] = await start("cap");
    const child = Number(execFileSync("pgrep", ["-P", String(producer.child.pid)]).toString());
    process.kill(child, "SIGSTOP");
    try {
      assert.match(
        await untilIll(pages),
        /^interface "\w+": its capture process has been silent for \d+ s$/m,
      );
      await untilNoBeats(pages);
    } finally {
      process.kill(child, "SIGCONT");
    }
    await untilWell(pages);
    await end(producer);
  },
);

/** The thread that waits for the interface: all others wait for events or locks, and none of them in poll(). */
async function findCaptureThread(pid: number): Promise<number> {
  let found: readonly number[] = [];
  await eventually("one thread in poll()", () => {
    const threads = readdirSync(`/proc/${pid}/task`).map(Number);
    found = threads.filter((thread) => POLL.has(currentCall(pid, thread)));
    return found.length === 1;
  });
  return found[0]!;
}

/** Numbers of poll() and ppoll(), on x64 and arm64. */
const POLL = new Set(["7", "271", "73"]);

/** Number of the system call that a thread is in. */
function currentCall(pid: number, thread: number): string {
  return readFileSync(`/proc/${pid}/task/${thread}/syscall`, "utf8").split(" ")[0] ?? "";
}

async function freeze(thread: number): Promise<ChildProcess> {
  const holder = spawn("python3", ["-c", FREEZE, String(thread)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const done = await Promise.race([
    once(holder.stdout, "data").then(() => true),
    once(holder, "exit").then(() => false),
  ]);
  assert.ok(done, "a thread could not be stopped by ptrace()");
  return holder;
}
