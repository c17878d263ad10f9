import {
  AS_CONFIGURED,
  EXTCAP_OPTION_TABLE,
  type ExtcapRow,
} from "../../config/extcap-option-table.ts";
import type { CommandLine } from "../../config/option-rules.ts";
import { formatFlag } from "../../config/option-table.ts";
import { parseValue } from "../../config/value-kind.ts";
import { PcaptsError } from "../../errors.ts";
import { completeCommandLine } from "../complete-command-line.ts";
import { readFlags } from "../read-flags.ts";

/** The interface that is no topic. */
export const ANY_TOPIC = "pcapts";

const TOPIC_PREFIX = `${ANY_TOPIC}:`;

/** How long partitions wait for each other, so that Wireshark's list is in order of time. */
const WINDOW_MS = "100";

/** Flags that a consumer has under the same names. */
const OF_CONSUMER = ["kafka-broker", "kafka-offset", "config", "from", "to"] as const;

/** The interface of a topic, as Wireshark names it. */
export function interfaceOfTopic(topic: string): string {
  return TOPIC_PREFIX + topic;
}

/** A command line of `pcapts extcap`, written by a person, or by the launcher and Wireshark. */
export class ExtcapLine {
  readonly #given: ReadonlyMap<string, readonly string[]>;

  /**
   * @param argv arguments behind the word extcap
   * @throws PcaptsError USAGE
   */
  constructor(argv: readonly string[]) {
    this.#given = readFlags(joinValues(argv), EXTCAP_OPTION_TABLE, "pcapts extcap");
  }

  /** Whether a flag was given. */
  has(name: string): boolean {
    return this.#given.has(name);
  }

  /** What a flag says, or its default; undefined where there is none. */
  text(name: string): string | undefined {
    const row = rowOf(name);
    const text = this.#given.get(name)?.at(-1) ?? row.default;
    if (text !== undefined) parseValue(row.value, text, formatFlag(row));
    return text;
  }

  /** What counts for a setting as long as nobody says another; undefined where that is nothing. */
  assumed(name: string): string | undefined {
    if (name === "kafka-broker" && !this.has(name) && this.has("config")) return "as configured";
    return this.text(name);
  }

  /** Flags of settings as they were written, for the launcher to say again. */
  listSettings(): [row: ExtcapRow, text: string][] {
    const rows = EXTCAP_OPTION_TABLE.filter(({ role }) => role === "setting");
    return rows.flatMap((row) =>
      (this.#given.get(row.long) ?? []).map((text): [ExtcapRow, string] => [row, text]),
    );
  }

  /**
   * The topic that is meant: by name, by the interface, or where that is no topic as anywhere else.
   *
   * @returns undefined where only the environment or the default says one
   * @throws PcaptsError USAGE
   */
  topic(): string | undefined {
    const named = this.text("topic-name");
    if (named !== undefined) return named;
    const from = this.text("extcap-interface") ?? ANY_TOPIC;
    if (from === ANY_TOPIC) return this.#given.get("kafka-topic")?.at(-1);
    if (from.startsWith(TOPIC_PREFIX)) return from.slice(TOPIC_PREFIX.length);
    throw new PcaptsError(
      "USAGE",
      `--extcap-interface expects ${TOPIC_PREFIX}TOPIC or ${ANY_TOPIC}, not "${from}"`,
    );
  }

  /**
   * The command line of the consumer that does what is asked for.
   *
   * @param variables the environment
   * @param changed settings that stand above this line: what was changed in the tool bar
   * @throws PcaptsError USAGE
   */
  asConsumer(
    variables: Readonly<Record<string, string | undefined>>,
    changed: ReadonlyMap<string, string> = new Map(),
  ): CommandLine {
    const said = (name: string): string | undefined => {
      const text = changed.get(name) ?? "";
      return text === "" ? this.#given.get(name)?.at(-1) : text;
    };
    const topic = said("topic-name") ?? this.topic();
    const flags = OF_CONSUMER.map((name) => [name, said(name)] as const);
    const raw: Record<string, unknown> = {
      "kafka-topic": topic,
      ...Object.fromEntries(flags),
      filter: joinFilters(this.#given.get("extcap-capture-filter")?.at(-1), said("filter")),
      "kafka-property": [
        ...(this.#given.get("kafka-property") ?? []),
        ...(said("properties") ?? "").split(/\s+/).filter((text) => text !== ""),
        ...this.#listProperties(),
      ],
      "connect-timeout": this.text("connect-timeout"),
    };
    return completeCommandLine(
      {
        _: [],
        ...Object.fromEntries(Object.entries(raw).filter(([, text]) => text !== undefined)),
        consumer: true,
        "file-type": "pcapng",
        ordered: WINDOW_MS,
        // Whatever the environment says for others.
        "pretty-print": "0",
        write: "-",
      },
      variables,
    );
  }

  #listProperties(): string[] {
    return EXTCAP_OPTION_TABLE.flatMap(({ long, property }) => {
      const text = this.#given.get(long)?.at(-1);
      if (property === undefined || text === undefined || text === AS_CONFIGURED) return [];
      return [`${property}=${text}`];
    });
  }
}

function rowOf(name: string): ExtcapRow {
  return EXTCAP_OPTION_TABLE.find((row) => row.long === name)!;
}

function joinFilters(first: string | undefined, second: string | undefined): string | undefined {
  if (first === undefined || second === undefined) return first ?? second;
  return `(${first}) and (${second})`;
}

/**
 * Wireshark writes each value behind its flag, whatever it begins with, and flags whose fields
 * are empty.
 */
function joinValues(argv: readonly string[]): string[] {
  const joined: string[] = [];
  for (let at = 0; at < argv.length; at++) {
    const token = argv[at]!;
    const row =
      token.startsWith("--") && EXTCAP_OPTION_TABLE.find((each) => `--${each.long}` === token);
    const value = argv[at + 1];
    if (!row || row.value.type === "switch" || value === undefined) {
      joined.push(token);
      continue;
    }
    at++;
    if (value !== "") joined.push(`${token}=${value}`);
  }
  return joined;
}
