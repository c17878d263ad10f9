import { PcaptsError } from "../errors.ts";
import type { StartPosition } from "../kafka/client-options.ts";

const MS_OF_UNIT: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

const AGO = /^-(\d+)([smhd])$/;

const ISO_8601 =
  /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(Z|[+-]\d\d(?::?\d\d)?)?)?$/i;

/**
 * Where a consumer starts.
 *
 * @param text `begin`, `end`, `stored`, an ISO 8601 time (in the local zone unless it names one),
 *   or how long ago: `-90s`, `-5m`, `-2h`, `-1d`
 * @param nowMs the present, milliseconds since the epoch
 * @returns the position; a fraction of a millisecond is cut, and no time is before 1970, because
 *   negative timestamps have meanings of their own to a broker
 * @throws PcaptsError USAGE
 * @example
 * parseStartPosition("-5m", 1_700_000_000_000); // { kind: "time", timestampMs: 1699999700000 }
 */
export function parseStartPosition(text: string, nowMs: number): StartPosition {
  const word = text.toLowerCase();
  if (word === "begin" || word === "end" || word === "stored") return { kind: word };
  const ago = AGO.exec(text);
  const unitMs = MS_OF_UNIT[ago?.[2] ?? ""];
  if (ago !== null && unitMs !== undefined) {
    return { kind: "time", timestampMs: Math.max(0, nowMs - Number(ago[1]) * unitMs) };
  }
  const timestampMs = parseIsoTime(text);
  if (timestampMs === undefined) {
    throw new PcaptsError(
      "USAGE",
      `-o, --kafka-offset expects begin, end, stored, a time such as 2026-01-31T09:30:00, ` +
        `or -5m for five minutes ago (s, m, h, d), not "${text}"`,
    );
  }
  return { kind: "time", timestampMs: Math.max(0, timestampMs) };
}

/**
 * A capture time.
 *
 * @param text an ISO 8601 time (in the local zone unless it names one), or how long ago: `-5m`
 * @param nowMs the present, milliseconds since the epoch
 * @param subject what it was written for, as messages name it: "--from"
 * @returns microseconds since the epoch; what is below one is cut, and no time is before 1970
 * @throws PcaptsError USAGE
 */
export function parseTimeMicros(text: string, nowMs: number, subject: string): number {
  const ago = AGO.exec(text);
  const unitMs = MS_OF_UNIT[ago?.[2] ?? ""];
  if (ago !== null && unitMs !== undefined) {
    return Math.max(0, nowMs - Number(ago[1]) * unitMs) * 1000;
  }
  const timestampMs = parseIsoTime(text);
  if (timestampMs === undefined) {
    throw new PcaptsError(
      "USAGE",
      `${subject} expects a time such as 2026-01-31T09:30:00, ` +
        `or -5m for five minutes ago (s, m, h, d), not "${text}"`,
    );
  }
  const fraction = ISO_8601.exec(text)?.[7] ?? "";
  return Math.max(0, timestampMs * 1000 + Number(fraction.slice(3, 6).padEnd(3, "0")));
}

/** `Date.parse` takes a date alone for UTC, and 30 February for 2 March. */
function parseIsoTime(text: string): number | undefined {
  const match = ISO_8601.exec(text);
  if (match === null) return undefined;
  const field = (group: number): number => Number(match[group] ?? 0);
  const [year, month, day] = [field(1), field(2), field(3)];
  const [hour, minute, second] = [field(4), field(5), field(6)];
  const ms = Math.floor(Number(`0.${match[7] ?? "0"}`) * 1000);
  const utcMs = Date.UTC(year, month - 1, day, hour, minute, second, ms);
  const utc = new Date(utcMs);
  const exists =
    utc.getUTCMonth() === month - 1 &&
    utc.getUTCDate() === day &&
    utc.getUTCHours() === hour &&
    utc.getUTCMinutes() === minute &&
    utc.getUTCSeconds() === second;
  if (!exists) return undefined;
  const zone = match[8]?.toUpperCase();
  if (zone === undefined) return new Date(year, month - 1, day, hour, minute, second, ms).getTime();
  if (zone === "Z") return utcMs;
  const offsetMinutes =
    Number(zone.slice(1, 3)) * 60 + Number(zone.slice(-2)) * (zone.length > 3 ? 1 : 0);
  return utcMs - (zone.startsWith("-") ? -1 : 1) * offsetMinutes * 60_000;
}

/** What {@link chooseStartPosition} decides from. */
export interface StartChoice {
  /** `-o` as it was written; undefined when it was not. */
  readonly text: string | undefined;
  /** `--from`, in microseconds; undefined when it was not given. */
  readonly fromMicros?: number | undefined;
  /** `--to`, likewise. */
  readonly toMicros?: number | undefined;
  /** `auto.offset.reset`, when it was given. */
  readonly reset: StartPosition | undefined;
  /** Whether there is a `group.id`. */
  readonly inGroup: boolean;
  /** The present, milliseconds since the epoch. */
  readonly nowMs: number;
}

/**
 * Where a consumer starts: where `-o` says; else where `--from` does; else in a group where it left off,
 * and alone where `auto.offset.reset` says, or at the end. Where all that is asked for is past, that end
 * is the begin.
 *
 * @param choice what was written
 * @throws PcaptsError USAGE: stored positions belong to a group
 */
export function chooseStartPosition(choice: StartChoice): StartPosition {
  const { text, fromMicros, toMicros, reset, inGroup, nowMs } = choice;
  // A record is not older than its frame, so the first record of that time or later is early enough.
  if (text === undefined && fromMicros !== undefined) {
    return { kind: "time", timestampMs: Math.floor(fromMicros / 1000) };
  }
  if (text === undefined) {
    if (inGroup) return { kind: "stored" };
    const isPast = toMicros !== undefined && toMicros <= nowMs * 1000;
    return reset ?? { kind: isPast ? "begin" : "end" };
  }
  const start = parseStartPosition(text, nowMs);
  if (start.kind === "stored" && !inGroup) {
    throw new PcaptsError(
      "USAGE",
      "-o stored needs a consumer group: name it with -X group.id=NAME, or say begin, end or a time",
    );
  }
  return start;
}
