// Preloaded into a measured program (NODE_OPTIONS=--import), which knows nothing of it: the pauses of its
// event loop between two SIGUSR2 go to the file that BENCH_PAUSES_FILE names, as JSON.
//
// The file first holds the process id. What the program starts itself inherits the environment; it is
// left alone.
import { renameSync, writeFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";

/** The timer that is watched for coming late. */
const RESOLUTION_MS = 1;

const file = process.env["BENCH_PAUSES_FILE"];
if (file !== undefined && process.argv[1]?.endsWith("pcapts.js") === true) {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  let hasBegun = false;
  process.on("SIGUSR2", () => {
    if (!hasBegun) {
      hasBegun = true;
      histogram.enable();
      return;
    }
    histogram.disable();
    // The histogram holds the time between two timers, the interval included.
    const late = (nanoseconds: number): number => nanoseconds / 1e6 - RESOLUTION_MS;
    write({ p99Ms: late(histogram.percentile(99)), maxMs: late(histogram.max) });
  });
  write({ pid: process.pid });
}

function write(content: unknown): void {
  writeFileSync(`${file}.part`, JSON.stringify(content));
  renameSync(`${file}.part`, file!);
}
