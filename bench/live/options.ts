import { BenchUsageError, optional, parseCount, parseFlags, parseNames } from "../arguments.ts";

/** What is measured: frames that arrive in Kafka, pauses of the event loop, and the way to a consumer's output. */
export type LiveTask = "frames" | "pauses" | "delay";

/** Frames a second; undefined is as fast as tcpreplay can. */
export type Rate = number | undefined;

/** What `npm run bench:live` was asked for. */
export interface LiveOptions {
  /** Of a run at the highest rates; at the lower ones a run takes {@link LOW_RATE_SECONDS}. */
  readonly frames: number;
  readonly rounds: number;
  readonly tasks: ReadonlySet<LiveTask>;
  /** Names of the programs that run. */
  readonly programs: ReadonlySet<string>;
  readonly rates: readonly Rate[];
  readonly partitions: number;
  /** How long frames are sent for pauses and delay. */
  readonly seconds: number;
  /** Where the raw results go. */
  readonly jsonFile: string | undefined;
  /** Raw results of an earlier run to print instead of measuring. */
  readonly fromFile: string | undefined;
  /** Whether docs/live-benchmarks.md gets the tables. */
  readonly docs: boolean;
  /** A program that takes longer is ended, and its run does not count. */
  readonly runLimitSeconds: number;
  readonly help: boolean;
}

/** Programs, the compared ones first. */
export const LIVE_PROGRAM_NAMES: readonly string[] = [
  "pcapts",
  "pcapts-cap",
  "c",
  "pycapa",
  "cap-kafkajs",
];

/** How long frames are sent where that needs fewer than were asked for. */
export const LOW_RATE_SECONDS = 5;

const TASKS: readonly LiveTask[] = ["frames", "pauses", "delay"];
const TOP_SPEED = "top";

export const LIVE_USAGE = `usage: npm run bench:live -- [options]

  --frames N         frames of a run (1,000,000), at low rates as many as ${LOW_RATE_SECONDS} seconds take
  --rounds N         rounds in which every program runs once (3)
  --only LIST        ${TASKS.join(", ")}, separated by commas (all)
  --programs LIST    ${LIVE_PROGRAM_NAMES.join(", ")} (all)
  --rates LIST       frames a second, and "${TOP_SPEED}" (10000,100000,200000,400000,${TOP_SPEED})
  --partitions N     partitions of every topic (4)
  --seconds N        how long frames are sent for pauses and delay (10)
  --json FILE        keep the raw results
  --from FILE        print the tables of raw results kept before, measure nothing
  --docs             write the tables into docs/live-benchmarks.md
  --run-limit S      end a program after S seconds (180)`;

/**
 * Reads the arguments after `npm run bench:live --`.
 * @throws BenchUsageError naming the flag and what it expects
 */
export function parseLiveOptions(argv: readonly string[]): LiveOptions {
  const values = parseFlags(argv, {
    frames: { type: "string" },
    rounds: { type: "string" },
    only: { type: "string" },
    programs: { type: "string" },
    rates: { type: "string" },
    partitions: { type: "string" },
    seconds: { type: "string" },
    json: { type: "string" },
    from: { type: "string" },
    docs: { type: "boolean" },
    "run-limit": { type: "string" },
    help: { type: "boolean", short: "h" },
  });
  const programs = optional(values.programs, (text) =>
    parseNames("--programs", text, LIVE_PROGRAM_NAMES),
  );
  return {
    frames: parseCount("--frames", values.frames ?? "1000000"),
    rounds: parseCount("--rounds", values.rounds ?? "3"),
    tasks: new Set(optional(values.only, (text) => parseNames("--only", text, TASKS)) ?? TASKS),
    programs: new Set(programs ?? LIVE_PROGRAM_NAMES),
    rates: parseRates(values.rates ?? `10000,100000,200000,400000,${TOP_SPEED}`),
    partitions: parseCount("--partitions", values.partitions ?? "4"),
    seconds: parseCount("--seconds", values.seconds ?? "10"),
    jsonFile: values.json,
    fromFile: values.from,
    docs: values.docs ?? false,
    runLimitSeconds: parseCount("--run-limit", values["run-limit"] ?? "180"),
    help: values.help ?? false,
  };
}

/** Frames of a run at a rate. */
export function framesAt(rate: Rate, frames: number): number {
  return rate === undefined ? frames : Math.min(frames, rate * LOW_RATE_SECONDS);
}

/** `100,000/s`, or what stands for no limit. */
export function formatRate(rate: Rate): string {
  return rate === undefined ? "top speed" : `${rate.toLocaleString("en-US")}/s`;
}

function parseRates(text: string): Rate[] {
  const rates = text
    .split(",")
    .filter((rate) => rate !== "")
    .map((rate) => (rate === TOP_SPEED ? undefined : parseCount("--rates", rate)));
  if (rates.length > 0) return rates;
  throw new BenchUsageError(
    `--rates expects frames a second or "${TOP_SPEED}", not ${JSON.stringify(text)}`,
  );
}
