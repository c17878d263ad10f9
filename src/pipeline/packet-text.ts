/**
 * The text that `--pretty-print` makes, in the two forms that scripts written
 * for Pycapa expect: `hex` is what its 2017 release printed (a heading and a
 * hex dump), `line` what its last release printed (one line for each event).
 * `summary` is one line for each frame that is taken or read, as tcpdump prints it.
 * Every function returns whole lines, each ending in "\n", or "" where that
 * release printed nothing.
 */

/** Which of Pycapa's releases the text follows, or tcpdump. */
export type PacketTextFormat = "hex" | "line" | "summary";

/** A frame that has a place in a topic. */
export interface PlacedFrame {
  /** Frames counted so far, this one included. */
  readonly count: number;
  /** Capture time, whole seconds since the epoch. */
  readonly seconds: number;
  /** Capture time, microseconds within the second. */
  readonly microseconds: number;
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint | number;
  /** Captured length. */
  readonly lengthBytes: number;
}

const BYTES_PER_LINE = 16;

/** "00" … "ff": made once, because a dump of a long frame asks for every byte. */
const HEX_OF_BYTE = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/**
 * Hex dump as Pycapa printed it: 16 bytes a line, and a trailing space on every
 * line but the last, because the whole dump was cut into pieces of 48 characters.
 *
 * @param frame the bytes to show
 * @returns lines without a final "\n"; "" for an empty frame
 * @example
 * formatHexDump(Uint8Array.of(0xde, 0xad)); // "de ad"
 */
export function formatHexDump(frame: Uint8Array): string {
  const lines: string[] = [];
  for (let start = 0; start < frame.length; start += BYTES_PER_LINE) {
    const end = Math.min(start + BYTES_PER_LINE, frame.length);
    let line = "";
    for (let at = start; at < end; at++) {
      line += HEX_OF_BYTE[frame[at] ?? 0];
      if (at + 1 < frame.length) line += " ";
    }
    lines.push(line);
  }
  return lines.join("\n");
}

const twoDigits = (value: number): string => String(value).padStart(2, "0");

/**
 * A capture time in the local zone.
 *
 * @param seconds whole seconds since the epoch
 * @param microseconds 0 to 999999
 * @returns `YYYY-MM-DD HH:MM:SS.ffffff`
 */
export function formatCaptureDate(seconds: number, microseconds: number): string {
  const date = new Date(seconds * 1000);
  const day = `${String(date.getFullYear()).padStart(4, "0")}-${twoDigits(date.getMonth() + 1)}-${twoDigits(date.getDate())}`;
  const time = `${twoDigits(date.getHours())}:${twoDigits(date.getMinutes())}:${twoDigits(date.getSeconds())}`;
  return `${day} ${time}.${String(microseconds).padStart(6, "0")}`;
}

/**
 * One line for a frame, as tcpdump prints it.
 *
 * @param seconds capture time, shown in the local zone
 * @param fraction microseconds, or nanoseconds as `nanosecond` says
 * @param line what `formatSummaryLine` says of the frame
 */
export function formatSummary(
  seconds: number,
  fraction: number,
  nanosecond: boolean,
  line: string,
): string {
  const date = new Date(seconds * 1000);
  const time = `${twoDigits(date.getHours())}:${twoDigits(date.getMinutes())}:${twoDigits(date.getSeconds())}`;
  return `${time}.${String(fraction).padStart(nanosecond ? 9 : 6, "0")} ${line}\n`;
}

function formatPlace(placed: PlacedFrame): string {
  const date = formatCaptureDate(placed.seconds, placed.microseconds);
  return (
    `date=${date} topic=${placed.topic} partition=${placed.partition} ` +
    `offset=${placed.offset} len=${placed.lengthBytes}`
  );
}

/**
 * A frame that a producer took from its source.
 *
 * @param format which of Pycapa's releases to follow
 * @param count frames taken so far, this one included
 * @param frame its captured bytes
 */
export function formatReceived(format: PacketTextFormat, count: number, frame: Uint8Array): string {
  return format === "hex"
    ? `${count} packet(s) received\n${formatHexDump(frame)}\n`
    : `Packet received[${count}]\n`;
}

/**
 * A frame that Kafka acknowledged. Pycapa's 2017 release printed nothing here.
 *
 * @param format which of Pycapa's releases to follow
 * @param placed the frame's time and place; `count` counts acknowledgements
 */
export function formatDelivered(format: PacketTextFormat, placed: PlacedFrame): string {
  return format !== "line" ? "" : `Packet delivered[${placed.count}]: ${formatPlace(placed)}\n`;
}

/**
 * A frame that a consumer read.
 *
 * @param format which of Pycapa's releases to follow
 * @param placed the frame's time and place
 * @param frame its captured bytes
 */
export function formatConsumed(
  format: PacketTextFormat,
  placed: PlacedFrame,
  frame: Uint8Array,
): string {
  if (format === "line") return `Packet[${placed.count}]: ${formatPlace(placed)}\n`;
  const date = formatCaptureDate(placed.seconds, placed.microseconds);
  return `Packet: count=${placed.count} date=${date} topic=${placed.topic}\n${formatHexDump(frame)}\n`;
}

/**
 * A consumer has read all that a partition holds. Pycapa's 2017 release printed nothing here.
 *
 * @param format which of Pycapa's releases to follow
 * @param topic topic name
 * @param partition partition number
 * @param offset the next offset that will be written there
 */
export function formatEndOfPartition(
  format: PacketTextFormat,
  topic: string,
  partition: number,
  offset: bigint | number,
): string {
  return format !== "line"
    ? ""
    : `Reached end of topar: topic=${topic}, partition=${partition}, offset=${offset}\n`;
}
