import { readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { projectRoot } from "../../test/brokers.ts";
import { type LiveBench, runCapture, waitUntil } from "./capture-run.ts";
import type { LiveProgram } from "./programs.ts";
import type { PauseRun } from "./report.ts";

/** Frames a second while pauses are measured. */
export const PAUSE_RATE = 100_000;

const PRELOADED = path.join(projectRoot, "dist/bench/live/event-loop-pauses.js");
const ANSWER_TIMEOUT_MS = 10_000;

interface Answer {
  readonly pid?: number;
  readonly p99Ms?: number;
  readonly maxMs?: number;
}

/** Pauses of the event loop of pcapts, from the first frame to the last. */
export async function measurePauses(
  bench: LiveBench,
  program: LiveProgram,
  seconds: number,
  round: number,
): Promise<PauseRun> {
  const frames = PAUSE_RATE * seconds;
  const file = path.join(bench.scratch, "pauses.json");
  rmSync(file, { force: true });
  const environment = {
    BENCH_PAUSES_FILE: file,
    NODE_OPTIONS: `--import=${pathToFileURL(PRELOADED).href}`,
  };
  const read = (): Answer => JSON.parse(readFileSync(file, "utf8")) as Answer;
  const { sent, stored, fault } = await runCapture(
    bench,
    program,
    frames,
    async () => {
      const { pid } = read();
      if (pid === undefined) throw new Error(`Cannot measure pauses of ${program.title}`);
      process.kill(pid, "SIGUSR2");
      const replayed = await bench.traffic.replay(frames, PAUSE_RATE);
      process.kill(pid, "SIGUSR2");
      await waitUntil(() => read().maxMs !== undefined, ANSWER_TIMEOUT_MS);
      return replayed;
    },
    environment,
  );
  if (fault !== undefined) throw new Error(`${program.title}: ${fault}`);
  const { p99Ms = NaN, maxMs = NaN } = read();
  return { program: program.name, round, sent: sent.frames, stored, p99Ms, maxMs };
}
