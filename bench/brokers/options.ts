import { parseCount, parseFlags } from "../arguments.ts";

/** What `npm run bench:brokers` was asked for. */
export interface BrokersOptions {
  readonly frames: number;
  readonly rounds: number;
  /** Partitions of every topic. */
  readonly partitions: number;
  /** What a broker has on its disk when it is killed and started again. */
  readonly gigabytes: number;
  /** Where the raw results go. */
  readonly jsonFile: string | undefined;
  /** Raw results of an earlier run to print instead of measuring. */
  readonly fromFile: string | undefined;
  /** Whether docs/benchmarks.md gets the tables. */
  readonly docs: boolean;
  /** A program that takes longer is ended, and its run does not count. */
  readonly runLimitSeconds: number;
  readonly help: boolean;
}

export const BROKERS_USAGE = `usage: npm run bench:brokers -- [options]

  --frames N         frames of a run (5,000,000)
  --rounds N         rounds in which each broker has its turn (5)
  --partitions N     partitions of every topic (4)
  --gigabytes N      on the disk of a broker that is killed and started again (5)
  --json FILE        keep the raw results
  --from FILE        print the tables of raw results kept before, measure nothing
  --docs             write the tables into docs/benchmarks.md
  --run-limit S      end a program after S seconds (900)`;

/**
 * Reads the arguments after `npm run bench:brokers --`.
 * @throws BenchUsageError naming the flag and what it expects
 */
export function parseBrokersOptions(argv: readonly string[]): BrokersOptions {
  const values = parseFlags(argv, {
    frames: { type: "string" },
    rounds: { type: "string" },
    partitions: { type: "string" },
    gigabytes: { type: "string" },
    json: { type: "string" },
    from: { type: "string" },
    docs: { type: "boolean" },
    "run-limit": { type: "string" },
    help: { type: "boolean", short: "h" },
  });
  return {
    frames: parseCount("--frames", values.frames ?? "5000000"),
    rounds: parseCount("--rounds", values.rounds ?? "5"),
    partitions: parseCount("--partitions", values.partitions ?? "4"),
    gigabytes: parseCount("--gigabytes", values.gigabytes ?? "5"),
    jsonFile: values.json,
    fromFile: values.from,
    docs: values.docs ?? false,
    runLimitSeconds: parseCount("--run-limit", values["run-limit"] ?? "900"),
    help: values.help ?? false,
  };
}
