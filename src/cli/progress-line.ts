import { isatty } from "node:tty";
import type { OptionValues } from "../config/option-table.ts";
import type { Run, RunProgress } from "../pipeline/pipeline-options.ts";
import type { CommandLogger } from "./logging.ts";

const STDOUT = 1;
const INTERVAL_MS = 1000;
const UNITS = ["B", "kB", "MB", "GB", "TB"] as const;

/**
 * Says whether progress is for anybody to see: not beside text on the same terminal, and not for whoever wants no
 * messages. That standard error is a terminal the logger knows.
 *
 * @param values the flags
 */
export function wantsProgress(values: OptionValues): boolean {
  const isInformed = values["log-level"] === "INFO" || values["log-level"] === "DEBUG";
  const printsHere = values["pretty-print"] > 0 && isatty(STDOUT);
  return isInformed && !printsHere && !values["no-progress"];
}

/**
 * Shows on the terminal how far a run has come, about once a second.
 *
 * @returns takes it away
 */
export function showProgress(
  run: Pick<Run<unknown>, "progress">,
  logger: Pick<CommandLogger, "showStatus">,
): () => void {
  const meter = new ProgressMeter(performance.now());
  const timer = setInterval(() => {
    logger.showStatus(meter.measure(performance.now(), run.progress()));
  }, INTERVAL_MS);
  return () => {
    clearInterval(timer);
    logger.showStatus("");
  };
}

/** Makes a line of how far a run has come, and of how fast it does. */
export class ProgressMeter {
  #last: { readonly atMs: number; readonly frames: number; readonly bytes: number };
  /** When the first frame was seen, and how much was done by then. */
  #first: { readonly atMs: number; readonly share: number } | undefined;

  /** @param nowMs when the run began, of a clock that is never set */
  constructor(nowMs: number) {
    this.#last = { atMs: nowMs, frames: 0, bytes: 0 };
  }

  /**
   * Measures since the last call.
   *
   * @param nowMs of the same clock, later
   * @returns `45 %, 123456 frames, 24.6 MB, 99987 frames/s, 19.9 MB/s, 0:05 left`
   */
  measure(nowMs: number, { frames, bytes, share }: RunProgress): string {
    const seconds = Math.max(nowMs - this.#last.atMs, 1) / 1000;
    const framesPerSecond = Math.max(0, frames - this.#last.frames) / seconds;
    const bytesPerSecond = Math.max(0, bytes - this.#last.bytes) / seconds;
    this.#last = { atMs: nowMs, frames, bytes };
    const parts = [
      `${frames} frames`,
      formatBytes(bytes),
      `${Math.round(framesPerSecond)} frames/s`,
      `${formatBytes(bytesPerSecond)}/s`,
    ];
    if (share === undefined) return parts.join(", ");
    parts.unshift(`${Math.floor(share * 100)} %`);
    const leftMs = this.#leftMs(nowMs, share);
    if (leftMs !== undefined) parts.push(`${formatDuration(leftMs)} left`);
    return parts.join(", ");
  }

  /** As long as the rest takes at the speed since the first frame. */
  #leftMs(nowMs: number, share: number): number | undefined {
    if (this.#first === undefined) {
      if (share > 0) this.#first = { atMs: nowMs, share };
      return undefined;
    }
    const done = share - this.#first.share;
    return done <= 0 ? undefined : ((nowMs - this.#first.atMs) * (1 - share)) / done;
  }
}

function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 99.95 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** `0:05`, `59:59`, `25:00:00`; days from two on. */
function formatDuration(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  const hours = Math.floor(seconds / 3600);
  if (hours >= 48) return `${Math.round(hours / 24)} days`;
  const minutes = Math.floor((seconds % 3600) / 60);
  const twoDigits = (value: number): string => String(value).padStart(2, "0");
  return hours > 0
    ? `${hours}:${twoDigits(minutes)}:${twoDigits(seconds % 60)}`
    : `${minutes}:${twoDigits(seconds % 60)}`;
}
