import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/*
 * Servers that tests start: they die with the process that started them.
 */

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 20_000;

/**
 * Makes a temporary directory for a server, and removes those that killed test processes left behind.
 *
 * @param prefix of its name, before this process's id
 */
export function makeServerDirectory(prefix: string): string {
  for (const name of fs.readdirSync(tmpdir())) {
    const pid = Number(new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1]);
    if (Number.isNaN(pid) || fs.existsSync(`/proc/${pid}`)) continue;
    fs.rmSync(path.join(tmpdir(), name), { recursive: true, force: true });
  }
  return fs.mkdtempSync(path.join(tmpdir(), `${prefix}${process.pid}-`));
}

let setprivWorks: boolean | undefined;

/**
 * Starts a program that the kernel kills when this process dies, however it dies (util-linux).
 *
 * @param logFile gets its standard output and error
 * @param env over this process's environment
 */
export function spawnWithParent(
  command: string,
  args: readonly string[],
  logFile: string,
  env: NodeJS.ProcessEnv = {},
): ChildProcess {
  const watch = ["--pdeathsig", "KILL"];
  setprivWorks ??= spawnSync("setpriv", [...watch, "true"], { stdio: "ignore" }).status === 0;
  const log = fs.openSync(logFile, "a");
  const options = { env: { ...process.env, ...env }, stdio: ["ignore" as const, log, log] };
  const child = setprivWorks
    ? spawn("setpriv", [...watch, command, ...args], options)
    : spawn(command, args, options);
  fs.closeSync(log);
  child.once("error", (error) => fs.appendFileSync(logFile, `${String(error)}\n`));
  // A test that ends without stopping its server shall end.
  child.unref();
  return child;
}

/** Sends a signal and waits for the death it causes; SIGSTOP and SIGCONT return at once. */
export async function endProcess(
  child: ChildProcess | undefined,
  signal: NodeJS.Signals,
): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  if (signal === "SIGSTOP" || signal === "SIGCONT") {
    child.kill(signal);
    return;
  }
  child.ref();
  const exited = once(child, "exit");
  child.kill(signal);
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
  await exited;
  clearTimeout(timer);
}

/** Waits until somebody listens on a port of 127.0.0.1; fails when `child` ends before. */
export async function waitUntilListening(
  what: string,
  port: number,
  child: ChildProcess,
): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (Date.now() < deadline && child.exitCode === null) {
    const socket = connect(port, "127.0.0.1");
    const open = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
    socket.destroy();
    if (open) return;
    await sleep(20);
  }
  throw new Error(`${what} at 127.0.0.1:${port} did not start`);
}
