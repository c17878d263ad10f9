import { PcaptsError } from "../errors.ts";
import { nearestName } from "./nearest-name.ts";
import { formatFlag, OPTION_TABLE, type OptionRow } from "./option-table.ts";

/*
 * What people type, as Pycapa's argparse understood it, becomes one spelling
 * that any parser reads the same way:
 *
 *   -p -s0 -Xa=b -ll debug --kafka-b host tcp port 80
 *   --producer --snaplen=0 --kafka-property=a=b --log-level=debug
 *       --kafka-broker=host -- tcp port 80
 */

/** The flags of a table by their names. */
class FlagNames {
  readonly rows: readonly OptionRow[];
  readonly byLong: ReadonlyMap<string, OptionRow>;
  /** Longest first, so that `-pp10` is `-pp` and not `-p`. */
  readonly shortRows: readonly OptionRow[];

  constructor(rows: readonly OptionRow[]) {
    this.rows = rows;
    this.byLong = new Map(rows.map((row) => [row.long, row]));
    this.shortRows = rows
      .filter((row) => row.short !== undefined)
      .toSorted((a, b) => (b.short ?? "").length - (a.short ?? "").length);
  }
}

/** No flag begins with a digit, so `-1` and `-5m` are values, as under argparse. */
const NEGATIVE_VALUE = /^-\d/;

interface Flag {
  readonly row: OptionRow;
  readonly value: string | undefined;
}

/**
 * Brings a command line into normal form: every flag as `--name` or
 * `--name=value`, in the order given, a scalar only where it was given last;
 * words that belong to no flag at the end, behind `--`.
 *
 * @param argv arguments without the program's name
 * @param table the flags there are
 * @returns arguments in normal form, which is its own normal form
 * @throws PcaptsError USAGE: a flag unknown or ambiguous, a value missing or not wanted
 * @example
 * normaliseArgv(["-c", "-o", "-5m", "-pp10"]);
 * // ["--consumer", "--kafka-offset=-5m", "--pretty-print=10"]
 */
export function normaliseArgv(
  argv: readonly string[],
  table: readonly OptionRow[] = OPTION_TABLE,
): string[] {
  const names = new FlagNames(table);
  const flags: Flag[] = [];
  const words: string[] = [];
  let at = 0;
  while (at < argv.length) {
    const token = argv[at++] ?? "";
    if (token === "--") {
      words.push(...argv.slice(at));
      break;
    }
    if (!token.startsWith("-") || token === "-" || NEGATIVE_VALUE.test(token)) {
      words.push(token);
      continue;
    }
    const flag = token.startsWith("--") ? readLong(names, token) : readShort(names, token);
    if (flag.row.value.type === "switch") {
      if (flag.value !== undefined) throw unwantedValue(flag.row, flag.value);
      refuseCountOfConsumer(token, argv[at]);
      flags.push(flag);
    } else if (flag.value === undefined && flag.row.optionalValue !== undefined) {
      flags.push({ row: flag.row, value: flag.row.optionalValue });
    } else if (flag.value === undefined) {
      flags.push({ row: flag.row, value: readNextValue(flag.row, argv[at]) });
      at++;
    } else {
      flags.push(flag);
    }
  }
  return [...keepLast(flags).map(formatNormal), ...(words.length > 0 ? ["--", ...words] : [])];
}

function readLong(names: FlagNames, token: string): Flag {
  const equals = token.indexOf("=");
  const name = equals === -1 ? token.slice(2) : token.slice(2, equals);
  return {
    row: names.byLong.get(name) ?? expandPrefix(names, name),
    value: equals === -1 ? undefined : token.slice(equals + 1),
  };
}

/**
 * Abbreviations as argparse has them. Pycapa had few flags, so one that was
 * unique there may not be here (`--log` was enough for --log-level): it still
 * means Pycapa's flag.
 */
function expandPrefix(flags: FlagNames, prefix: string): OptionRow {
  const candidates = prefix === "" ? [] : flags.rows.filter((row) => row.long.startsWith(prefix));
  const known = candidates.filter((row) => row.pycapa);
  const only = candidates.length === 1 ? candidates[0] : known.length === 1 ? known[0] : undefined;
  if (only !== undefined) return only;
  if (candidates.length > 1) {
    const names = candidates.map((row) => `--${row.long}`).join(", ");
    throw usage(`Flag "--${prefix}" is ambiguous: it could be ${names}`);
  }
  throw unknownFlag(flags, `--${prefix}`);
}

function readShort(names: FlagNames, token: string): Flag {
  const exact = names.shortRows.find((row) => row.short === token);
  if (exact !== undefined) return { row: exact, value: undefined };
  const attached = names.shortRows.find(
    (row) => row.value.type !== "switch" && token.startsWith(row.short ?? ""),
  );
  if (attached?.short !== undefined) {
    const rest = token.slice(attached.short.length);
    return { row: attached, value: rest.startsWith("=") ? rest.slice(1) : rest };
  }
  const leading = names.shortRows.find((row) => token.startsWith(row.short ?? ""));
  if (leading?.short === undefined) throw unknownFlag(names, token);
  if (/^-c\d+$/.test(token)) throw countIsMaxPackets(token.slice(2));
  if (names.byLong.has(token.slice(1))) {
    throw usage(`Flag "${token}" is not known: write -${token}`);
  }
  throw usage(
    `Flag "${token}" is not known: short flags are not grouped, because -pp and -ll are names; ` +
      `write ${leading.short} by itself`,
  );
}

function readNextValue(row: OptionRow, next: string | undefined): string {
  if (next === undefined || (next.startsWith("-") && next !== "-" && !NEGATIVE_VALUE.test(next))) {
    const found = next === undefined ? "nothing follows it" : `"${next}" is a flag`;
    throw usage(
      `${formatFlag(row)} expects ${row.valueName ?? "a value"}, but ${found}; ` +
        `a value that begins with a dash is written --${row.long}=VALUE`,
    );
  }
  return next;
}

/** `-c` is the count in tcpdump, and the consumer here as in Pycapa. */
function refuseCountOfConsumer(token: string, next: string | undefined): void {
  if (token === "-c" && next !== undefined && /^\d+$/.test(next)) throw countIsMaxPackets(next);
}

function countIsMaxPackets(count: string): PcaptsError {
  return usage(
    `-c is --consumer and takes no number: to stop after ${count} frames, say -m ${count}`,
  );
}

function unwantedValue(row: OptionRow, value: string): PcaptsError {
  return usage(`${formatFlag(row)} takes no value, but "${value}" was given: write --${row.long}`);
}

function unknownFlag({ rows }: FlagNames, token: string): PcaptsError {
  const names = rows.flatMap((row) => [`--${row.long}`, ...(row.short ? [row.short] : [])]);
  const equals = token.indexOf("=");
  const name = equals === -1 ? token : token.slice(0, equals);
  const nearest = nearestName(name.startsWith("--") ? name : `-${name}`, names);
  const advice = nearest === undefined ? "" : `; did you mean ${nearest}?`;
  return usage(`Flag "${name}" is not known${advice}`);
}

function keepLast(flags: readonly Flag[]): Flag[] {
  const lastAt = new Map(flags.map((flag, index) => [flag.row.long, index]));
  return flags.filter(({ row }, index) => row.repeat === "all" || lastAt.get(row.long) === index);
}

function formatNormal({ row, value }: Flag): string {
  return value === undefined ? `--${row.long}` : `--${row.long}=${value}`;
}

function usage(message: string): PcaptsError {
  return new PcaptsError("USAGE", message);
}
