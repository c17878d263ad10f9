import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { readCapture, wholeFrames, type Capture } from "../capture-frames.ts";

/** Arguments of setpriv, before a command. */
export const ENDS_WITH_THIS_PROCESS = ["--pdeathsig", "KILL"];

/** A tcpdump that captures beside the code under test. */
export interface Tcpdump {
  /** Ends it when it has written so many frames, which it does late, and reads what it wrote. */
  stopAfter(wanted: number): Promise<Capture>;
}

/**
 * Starts tcpdump and resolves when it captures. The ring is large, so that it drops nothing.
 *
 * @param options its own, such as `["-s", "64"]`, and the filter
 */
export async function startTcpdump(
  interfaceName: string,
  options: readonly string[] = [],
): Promise<Tcpdump> {
  const directory = await mkdtemp(join(tmpdir(), "tcpdump-"));
  const file = join(directory, "out.pcap");
  // -Z root: it would give the file to a user that may not write there.
  const line = ["-i", interfaceName, "-w", file, "-B", "131072", "-Z", "root", "-U", ...options];
  const tcpdump = spawn("setpriv", [...ENDS_WITH_THIS_PROCESS, "tcpdump", ...line], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  await says(tcpdump, /listening on/);
  return {
    async stopAfter(wanted) {
      while (wholeFrames(await readFile(file)).length < wanted) await sleep(100);
      const ended = once(tcpdump, "exit");
      tcpdump.kill("SIGINT");
      await ended;
      const capture = readCapture(await readFile(file));
      await rm(directory, { recursive: true });
      return capture;
    },
  };
}

/**
 * Has the kernel stamp each frame once for all who capture: it does while any socket has SO_TIMESTAMP
 * on. Otherwise each packet socket stamps for itself, microseconds apart.
 *
 * @returns ends it
 */
export async function stampFramesOnce(): Promise<() => Promise<void>> {
  const script = `
import socket, sys
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.setsockopt(socket.SOL_SOCKET, 29, 1)
print("stamping", file=sys.stderr, flush=True)
sys.stdin.read()`;
  const python = spawn("python3", ["-c", script], { stdio: ["pipe", "ignore", "pipe"] });
  await says(python, /stamping/);
  return async () => {
    const ended = once(python, "exit");
    python.stdin.end();
    await ended;
  };
}

async function says(program: ChildProcess, wanted: RegExp): Promise<void> {
  const said: string[] = [];
  const lines = createInterface({ input: program.stderr! });
  await new Promise<void>((resolve, reject) => {
    lines.on("line", (line) => {
      said.push(line);
      if (wanted.test(line)) resolve();
    });
    program.once("error", reject);
    program.once("exit", () => reject(new Error(said.join("\n"))));
  });
}
