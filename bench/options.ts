import { BenchUsageError, optional, parseCount, parseFlags, parseNames } from "./arguments.ts";

/** What is measured: a capture file into a topic, a topic out as pcap, or a capture file read alone. */
export type Task = "publish" | "read" | "file";

/** What `npm run bench` was asked for. */
export interface BenchOptions {
  readonly frames: number;
  readonly rounds: number;
  readonly tasks: ReadonlySet<Task>;
  /** Names of the programs to run; undefined is all. pcapts always runs, as the others are compared with it. */
  readonly peers: ReadonlySet<string> | undefined;
  readonly partitions: number;
  /** Length of every frame; undefined is the mixture of about 200 bytes. */
  readonly frameBytes: number | undefined;
  /** The second table: partitions by frame lengths. */
  readonly table2: boolean;
  /** Where the raw results go. */
  readonly jsonFile: string | undefined;
  /** Raw results of an earlier run to print instead of measuring. */
  readonly fromFile: string | undefined;
  /** Whether docs/benchmarks.md gets the tables. */
  readonly docs: boolean;
  /** A program that takes longer is ended, and its run does not count. */
  readonly runLimitSeconds: number;
  /** No run begins after this time. */
  readonly totalLimitSeconds: number;
  readonly help: boolean;
}

/** Programs of each task, pcapts first. */
export const PROGRAM_NAMES: Readonly<Record<Task, readonly string[]>> = {
  publish: [
    "pcapts",
    "pcapts-metrics",
    "pcapts-pcapng",
    "c",
    "c-batch",
    "pycapa",
    "node-rdkafka",
    "kafkajs",
  ],
  read: [
    "pcapts",
    "pcapts-metrics",
    "pcapts-unordered",
    "pcapts-filter",
    "kcat",
    "kcat-tuned",
    "c-batch",
    "pycapa",
    "kafkajs",
  ],
  file: ["pcapts", "pcapts-pcapng"],
};

const TASKS: readonly Task[] = ["publish", "read", "file"];

/** Programs of the second table. */
export const TABLE2_PROGRAM_NAMES: readonly string[] = ["pcapts", "c", "c-batch"];

export const BENCH_USAGE = `usage: npm run bench -- [options]

  --frames N         frames of a run (5,000,000; with --table2 1,000,000); kafkajs publishes a fifth
  --rounds N         rounds in which every program runs once (5; with --table2 3)
  --only LIST        publish, read, file (a capture file without Kafka), separated by commas (all;
                     with --table2 publish, read)
  --peers LIST       programs to run beside pcapts (all): ${PROGRAM_NAMES.publish.slice(1).join(", ")},
                     pcapts-unordered, pcapts-filter, kcat, kcat-tuned
  --partitions N     partitions of every topic (4)
  --frame-bytes N    every frame this long, 54 to 1514 and even (a mixture of about 200)
  --table2           pcapts and the C programs for 1, 4, 64 partitions and 64, 200, 1,400 bytes
  --json FILE        keep the raw results
  --from FILE        print the tables of raw results kept before, measure nothing
  --docs             write the tables into docs/benchmarks.md
  --run-limit S      end a program after S seconds (900)
  --total-limit S    begin no run after S seconds (10,800)`;

/**
 * Reads the arguments after `npm run bench --`.
 * @throws BenchUsageError naming the flag and what it expects
 */
export function parseBenchOptions(argv: readonly string[]): BenchOptions {
  const values = parseFlags(argv, {
    frames: { type: "string" },
    rounds: { type: "string" },
    only: { type: "string" },
    peers: { type: "string" },
    partitions: { type: "string" },
    "frame-bytes": { type: "string" },
    table2: { type: "boolean" },
    json: { type: "string" },
    from: { type: "string" },
    docs: { type: "boolean" },
    "run-limit": { type: "string" },
    "total-limit": { type: "string" },
    help: { type: "boolean", short: "h" },
  });
  const table2 = values.table2 ?? false;
  const frameBytes = optional(values["frame-bytes"], (text) => frameLength(text));
  if (table2 && (frameBytes !== undefined || values.partitions !== undefined)) {
    throw new BenchUsageError("--table2 has its own partitions and frame lengths");
  }
  const tasks = new Set(
    parseNames<Task>("--only", values.only ?? (table2 ? "publish,read" : TASKS.join(",")), TASKS),
  );
  const known = table2
    ? TABLE2_PROGRAM_NAMES
    : [...new Set([...tasks].flatMap((task) => PROGRAM_NAMES[task]))];
  return {
    frames: parseCount("--frames", values.frames ?? (table2 ? "1000000" : "5000000")),
    rounds: parseCount("--rounds", values.rounds ?? (table2 ? "3" : "5")),
    tasks,
    peers: optional(
      values.peers,
      (text) => new Set(["pcapts", ...parseNames("--peers", text, known)]),
    ),
    partitions: parseCount("--partitions", values.partitions ?? "4"),
    frameBytes,
    table2,
    jsonFile: values.json,
    fromFile: values.from,
    docs: values.docs ?? false,
    runLimitSeconds: parseCount("--run-limit", values["run-limit"] ?? "900"),
    totalLimitSeconds: parseCount("--total-limit", values["total-limit"] ?? "10800"),
    help: values.help ?? false,
  };
}

function frameLength(text: string): number {
  const bytes = parseCount("--frame-bytes", text);
  if (bytes >= 54 && bytes <= 1514 && bytes % 2 === 0) return bytes;
  throw new BenchUsageError(`--frame-bytes expects an even number from 54 to 1514, not ${bytes}`);
}
