import { PcaptsError } from "../errors.ts";

/** When a file of a ring is full and the next begins; what is left out fills none. */
export interface RingLimits {
  readonly fileBytes?: number;
  readonly durationSeconds?: number;
  readonly intervalSeconds?: number;
  readonly packets?: number;
  /** As many of the newest files are kept. */
  readonly files?: number;
  /** After so many files the run ends. */
  readonly lastFile?: number;
}

/** The flags that make a ring of files, as they were written. */
export interface RingFlags {
  /** Every `-b`. */
  readonly ringBuffer: readonly string[];
  /** `-C`: millions of bytes, or with a letter behind it. */
  readonly rotateSize: string | undefined;
  /** `-G`: seconds. */
  readonly rotateSeconds: number | undefined;
  /** `-W`: files. */
  readonly rotateCount: number | undefined;
}

const EXPECTED =
  "filesize:KB (of 1000 bytes), duration:SECONDS, interval:SECONDS, packets:N or files:N, with a number above 0";

const BYTES_OF_KB = 1000;
const BYTES_OF_LETTER: Readonly<Record<string, number>> = {
  "": 1_000_000,
  k: 1024,
  m: 1024 * 1024,
  g: 1024 * 1024 * 1024,
};

/**
 * Reads the flags that make a ring of files: `-b` in the words of dumpcap, `-C`, `-G` and `-W` of
 * tcpdump. As there, `-W` with `-G` alone ends the run after so many files; otherwise the oldest file
 * makes room.
 *
 * @returns undefined where no flag makes one
 * @throws PcaptsError USAGE
 */
export function parseRingLimits(flags: RingFlags): RingLimits | undefined {
  const { ringBuffer, rotateSize, rotateSeconds, rotateCount } = flags;
  const limits: RingLimits = Object.assign(
    {},
    ...ringBuffer.map(parseCondition),
    rotateSize === undefined ? {} : { fileBytes: parseSize(rotateSize) },
    rotateSeconds === undefined ? {} : { durationSeconds: rotateSeconds },
  ) as RingLimits;
  const { files, ...fills } = limits;
  const isEmpty = Object.keys(fills).length === 0;
  if (rotateCount === undefined) {
    if (!isEmpty) return limits;
    if (files === undefined) return undefined;
    throw usage("-b files:N keeps N files: say when one is full, as in -b filesize:KB");
  }
  if (isEmpty)
    throw usage("-W, --rotate-count goes with -C, --rotate-size or -G, --rotate-seconds");
  const isTimeOnly = rotateSeconds !== undefined && Object.keys(fills).length === 1;
  return isTimeOnly ? { ...limits, lastFile: rotateCount } : { ...limits, files: rotateCount };
}

function parseCondition(text: string): RingLimits {
  const [, word = "", value = ""] = /^([a-z]+):(.*)$/.exec(text) ?? [];
  const isSeconds = word === "duration";
  const number = Number(value);
  const isNumber = (isSeconds ? /^(\d+(\.\d*)?|\.\d+)$/ : /^\d+$/).test(value);
  if (isNumber && number > 0 && number <= Number.MAX_SAFE_INTEGER / BYTES_OF_KB) {
    if (word === "filesize") return { fileBytes: number * BYTES_OF_KB };
    if (word === "duration") return { durationSeconds: number };
    if (word === "interval") return { intervalSeconds: number };
    if (word === "packets") return { packets: number };
    if (word === "files") return { files: number };
  }
  throw usage(`-b, --ring-buffer expects ${EXPECTED}, not "${text}"`);
}

function parseSize(text: string): number {
  const [, digits = "", letter = ""] = /^(\d+)([kmg]?)$/i.exec(text) ?? [];
  const bytes = Number(digits) * BYTES_OF_LETTER[letter.toLowerCase()]!;
  if (digits !== "" && bytes > 0 && bytes <= Number.MAX_SAFE_INTEGER) return bytes;
  throw usage(
    "-C, --rotate-size expects millions of bytes, or a number with K, M or G behind it, " +
      `above 0, not "${text}"`,
  );
}

function usage(message: string): PcaptsError {
  return new PcaptsError("USAGE", message);
}
