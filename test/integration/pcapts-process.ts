import assert from "node:assert/strict";
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { projectRoot } from "../brokers.ts";

/** How long a test waits for anything, unless it says otherwise. */
const PATIENCE_MS = 15_000;

/** The compiled program of this checkout. */
export const PCAPTS = path.join(projectRoot, "bin/pcapts.js");

/** How a process ended, and all it wrote. */
export interface Ended {
  /** Exit status; a signal's name when that ended it. */
  readonly status: number | NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** What a process is started with. */
export interface StartOptions {
  /** Written to standard input, which is then closed; without it standard input stays open. */
  readonly input?: Buffer;
  /** Another installation of the program. */
  readonly command?: readonly [string, ...string[]];
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** It is killed when it runs longer; default a minute. */
  readonly limitMs?: number;
}

/** A process that a test talks to while it runs. */
export class RunningProcess {
  readonly child: ChildProcessWithoutNullStreams;
  /** Resolves when it has ended and its output is read. */
  readonly ended: Promise<Ended>;
  readonly #stdout: Buffer[] = [];
  readonly #stderr: Buffer[] = [];
  readonly #startedMs = performance.now();
  #isOver = false;

  constructor(
    command: readonly string[],
    { input, env, cwd, limitMs = 4 * PATIENCE_MS }: StartOptions = {},
  ) {
    const [file = "", ...args] = command;
    this.child = spawn(file, args, { env: { ...process.env, ...env }, cwd });
    this.child.stdout.on("data", (bytes: Buffer) => this.#stdout.push(bytes));
    this.child.stderr.on("data", (bytes: Buffer) => this.#stderr.push(bytes));
    // A program that has enough closes its input; what it read is for the test to judge.
    this.child.stdin.on("error", () => {});
    if (input !== undefined) this.child.stdin.end(input);
    // A process that hangs fails its test instead of the whole run.
    const watchdog = setTimeout(() => this.child.kill("SIGKILL"), limitMs);
    this.ended = once(this.child, "close").then(([code, signal]) => {
      clearTimeout(watchdog);
      this.#isOver = true;
      const status = (code ?? signal) as Ended["status"];
      return { status, stdout: this.stdout, stderr: this.stderr };
    });
  }

  /** What it has written to standard output so far. */
  get stdout(): Buffer {
    return Buffer.concat(this.#stdout);
  }

  /** What it has written to standard error so far. */
  get stderr(): string {
    return Buffer.concat(this.#stderr).toString();
  }

  /** Milliseconds since it was started. */
  get ageMs(): number {
    return performance.now() - this.#startedMs;
  }

  /** Waits until standard error matches; fails when the process ends before it does. */
  async says(pattern: RegExp, timeoutMs = PATIENCE_MS): Promise<RegExpExecArray> {
    return this.#until(`says ${pattern}`, () => pattern.exec(this.stderr), timeoutMs);
  }

  /** Waits until standard output is what `test` wants; fails when the process ends before it is. */
  async writes(test: (stdout: Buffer) => boolean, timeoutMs = PATIENCE_MS): Promise<Buffer> {
    return this.#until("writes", () => (test(this.stdout) ? this.stdout : null), timeoutMs);
  }

  async #until<T>(what: string, look: () => T | null, timeoutMs: number): Promise<T> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const wasOver = this.#isOver;
      const found = look();
      if (found !== null) return found;
      const late = performance.now() > deadline;
      if (wasOver || late) {
        const why = late ? `within ${timeoutMs} ms` : "before it ended";
        assert.fail(`pcapts never ${what} ${why}; it said:\n${this.stderr}`);
      }
      await shortPause();
    }
  }
}

/** Starts pcapts with open pipes. */
export function startPcapts(args: readonly string[], options: StartOptions = {}): RunningProcess {
  const command = options.command ?? [process.execPath, PCAPTS];
  return new RunningProcess([...command, ...args], options);
}

/** Runs pcapts to its end; standard input is empty unless `input` is given. */
export async function runPcapts(
  args: readonly string[],
  options: StartOptions = {},
): Promise<Ended> {
  return startPcapts(args, { input: Buffer.alloc(0), ...options }).ended;
}

/** Runs pcapts and fails unless it ends with 0. */
export async function succeedPcapts(
  args: readonly string[],
  options: StartOptions = {},
): Promise<Ended> {
  const ended = await runPcapts(args, options);
  assert.equal(ended.status, 0, `pcapts ${args.join(" ")} said:\n${ended.stderr}`);
  return ended;
}

/** Publishes a capture, by its path or as bytes on standard input. */
export async function publish(
  bootstrap: string,
  topic: string,
  capture: string | Buffer,
  ...args: readonly string[]
): Promise<Ended> {
  const line = ["-p", "-k", bootstrap, "-t", topic, ...args];
  if (typeof capture === "string") return succeedPcapts([...line, "-r", capture]);
  return succeedPcapts([...line, "-r", "-"], { input: capture });
}

/** Reads a topic from its begin to its end: the bytes of the file that a user would have. */
export async function consume(
  bootstrap: string,
  topic: string,
  ...args: readonly string[]
): Promise<Buffer> {
  const line = ["-c", "-k", bootstrap, "-t", topic, "-o", "begin", "-e", ...args];
  return (await succeedPcapts(line)).stdout;
}

/** The counters of a producer's summary line, by their names there. */
export interface Ledger {
  readonly received: string;
  readonly droppedByKernel: string;
  readonly filtered: number;
  readonly leftInRing: string;
  readonly captured: number;
  readonly acknowledged: number;
  readonly failed: number;
  readonly unknown: number;
  readonly droppedHere: number;
  readonly queued: number;
  /** Of a run with a spool: found there, and there by now. */
  readonly found: number;
  readonly spooled: number;
  readonly sampledOut: number;
}

const LEDGER =
  /received (-?\w+) = dropped by the kernel (-?\w+) \+ filtered (-?\d+) \+ captured (-?\d+) \+ left in the ring (-?\w+); captured (-?\d+) (?:\+ found in the spool (-?\d+) )?= acknowledged (-?\d+) \+ failed (-?\d+) \+ unknown (-?\d+) \+ dropped here (-?\d+) \+ (?:sampled out (-?\d+) \+ )?queued (-?\d+)(?: \+ in the spool (-?\d+))?/g;

/** The last summary line of a producer; fails unless there is one and it adds up. */
export function readLedger(stderr: string): Ledger {
  const last = readLedgers(stderr).at(-1);
  assert.ok(last !== undefined, `no summary in:\n${stderr}`);
  return last;
}

/** Asks a producer that runs for its counters (SIGUSR1), and waits for them. */
export async function askLedger(running: RunningProcess, timeoutMs = 60_000): Promise<Ledger> {
  const before = running.stderr.length;
  running.child.kill("SIGUSR1");
  await running.says(new RegExp(`^[^]{${before}}[^]*queued \\d+.*\\n`), timeoutMs);
  return readLedger(running.stderr);
}

/** All lines of counters that a producer printed, while it ran and at the end; fails unless each adds up. */
export function readLedgers(stderr: string): Ledger[] {
  return [...stderr.matchAll(LEDGER)].map(parseLedger);
}

function parseLedger([line, ...texts]: RegExpExecArray): Ledger {
  const [received = "", droppedByKernel = "", filtered, captured, leftInRing = "", ...rest] = texts;
  const [
    again,
    found = 0,
    acknowledged = 0,
    failed = 0,
    unknown = 0,
    droppedHere = 0,
    sampledOut = 0,
    queued = 0,
    spooled = 0,
  ] = rest.map((text: string | undefined) => Number(text ?? 0));
  assert.ok(
    !texts.some((text: string | undefined) => text?.startsWith("-")),
    `no counter is negative: ${line}`,
  );
  assert.equal(Number(captured), again, `captured is the same number on both sides: ${line}`);
  assert.equal(
    Number(captured) + found,
    acknowledged + failed + unknown + droppedHere + sampledOut + queued + spooled,
    `what was captured is the sum of what became of it: ${line}`,
  );
  if (![received, droppedByKernel, leftInRing].includes("unknown")) {
    assert.equal(
      Number(received),
      Number(droppedByKernel) + Number(filtered) + Number(captured) + Number(leftInRing),
      `what was received is the sum of where it went: ${line}`,
    );
  }
  return {
    received,
    droppedByKernel,
    filtered: Number(filtered),
    leftInRing,
    captured: Number(captured),
    acknowledged,
    failed,
    unknown,
    droppedHere,
    queued,
    found,
    spooled,
    sampledOut,
  };
}

/** What a consumer counted. */
export interface ConsumedCounts {
  readonly read: number;
  readonly written: number;
  readonly notFrames: number;
  readonly otherLinkType: number;
}

/** The last summary line of a consumer; fails unless there is one. */
export function readConsumedCounts(stderr: string): ConsumedCounts {
  const pattern =
    /read (\d+) record\(s\): written (\d+) frame\(s\), not frames (\d+), of another link type (\d+)/g;
  const last = [...stderr.matchAll(pattern)].at(-1);
  assert.ok(last !== undefined, `no summary in:\n${stderr}`);
  const [read = 0, written = 0, notFrames = 0, otherLinkType = 0] = last.slice(1).map(Number);
  return { read, written, notFrames, otherLinkType };
}

/** No stack trace, and nothing that only a programmer understands. */
export function assertNoStackTrace(stderr: string): void {
  assert.doesNotMatch(stderr, /^\s+at .+[:(]/m);
  assert.doesNotMatch(stderr, /Internal error|\bnode:internal\b|UnhandledPromise/);
}

/** Waits until `condition` holds; fails with `what` when it does not in time. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = PATIENCE_MS,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, `${what} did not happen within ${timeoutMs} ms`);
    await shortPause();
  }
}

function shortPause(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 20);
  });
}
