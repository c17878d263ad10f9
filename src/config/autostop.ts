import { PcaptsError } from "../errors.ts";

/** What ends a run by itself, in the words of dumpcap; what is left out ends nothing. */
export interface Autostop {
  /** `duration:S`, counted from the start of the capture. */
  readonly durationMs?: number;
  /** `filesize:KB`: what the frames would take in a pcap file; a KB has 1000 bytes, as in dumpcap. */
  readonly fileBytes?: number;
  /** `packets:N`. */
  readonly packets?: number;
}

const EXPECTED =
  "duration:SECONDS, filesize:KB (of 1000 bytes) or packets:N, with a number above 0";

const WHOLE = /^\d+$/;
const DECIMAL = /^(\d+(\.\d*)?|\.\d+)$/;
const BYTES_OF_KB = 1000;

/**
 * Reads the conditions of `-a, --autostop`.
 *
 * @param texts the values in the order given; of a word given twice the last counts
 * @param subject what they were written for, as messages name it
 * @throws PcaptsError USAGE
 * @example
 * parseAutostop(["duration:1.5", "packets:10"]); // { durationMs: 1500, packets: 10 }
 */
export function parseAutostop(texts: readonly string[], subject = "-a, --autostop"): Autostop {
  return Object.assign({}, ...texts.map((text) => parseCondition(text, subject))) as Autostop;
}

function parseCondition(text: string, subject: string): Autostop {
  const [, word = "", value = ""] = /^([a-z]+):(.*)$/.exec(text) ?? [];
  const number = Number(value);
  const isNumber = (word === "duration" ? DECIMAL : WHOLE).test(value);
  if (isNumber && number > 0 && number <= Number.MAX_SAFE_INTEGER / BYTES_OF_KB) {
    if (word === "duration") return { durationMs: number * 1000 };
    if (word === "filesize") return { fileBytes: number * BYTES_OF_KB };
    if (word === "packets") return { packets: number };
  }
  const advice = word === "files" ? "; a producer writes no files" : "";
  throw new PcaptsError("USAGE", `${subject} expects ${EXPECTED}, not "${text}"${advice}`);
}
