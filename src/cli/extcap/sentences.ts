import { pathToFileURL, fileURLToPath } from "node:url";
import {
  EXTCAP_OPTION_TABLE,
  type ExtcapField,
  type ExtcapRow,
} from "../../config/extcap-option-table.ts";
import { packageFile } from "../../package-file.ts";
import { readPcaptsVersion } from "../version.ts";
import { ANY_TOPIC, interfaceOfTopic, type ExtcapLine } from "./extcap-line.ts";

/*
 * The language that Wireshark is answered in: a sentence on each line, a word and values in braces.
 *
 *   interface {value=pcapts:pcap}{display=Kafka topic pcap}
 *   arg {number=0}{call=--kafka-offset}{display=From}{type=string}
 */

/** More would make a list that nobody reads. */
const MOST_TOPICS = 100;

const MANUAL = fileURLToPath(packageFile("docs/wireshark.md"));

/** What stands in the tool bar besides settings. */
const BUTTONS = [
  { role: "logger", display: "Log", tooltip: "Messages of this capture" },
  { role: "help", display: "Help", tooltip: "What can be set here" },
  { role: "restore", display: "Defaults", tooltip: "Empty all fields of this tool bar" },
] as const;

/** Settings of the tool bar; their numbers there are their places here. */
export const TOOLBAR_ROWS: readonly ExtcapRow[] = EXTCAP_OPTION_TABLE.filter(
  ({ field }) => field?.isInToolbar,
);

/** Number of the log in the tool bar. */
export const LOG_CONTROL = TOOLBAR_ROWS.length;

/** The topics that there are, or why they are not known. */
export type FoundTopics = { readonly names: readonly string[] } | { readonly reason: string };

/**
 * The answer to `--extcap-interfaces`: an interface for each topic, one for any other, and the tool bar.
 *
 * @param found topics, in any order
 * @returns whole lines
 */
export function formatInterfaces(found: FoundTopics): string {
  const names = "names" in found ? found.names.toSorted() : [];
  const shown = names.slice(0, MOST_TOPICS);
  const note =
    "reason" in found
      ? ` (${found.reason})`
      : shown.length < names.length
        ? ` (${names.length - shown.length} more are there)`
        : "";
  return [
    formatSentence("extcap", {
      version: readPcaptsVersion(),
      help: pathToFileURL(MANUAL).href,
      display: "Kafka topics",
    }),
    ...shown.map((topic) =>
      formatSentence("interface", {
        value: interfaceOfTopic(topic),
        display: `Kafka topic ${topic}`,
      }),
    ),
    formatSentence("interface", {
      value: ANY_TOPIC,
      display: `${shown.length === 0 ? "Kafka topic" : "Another Kafka topic"}${note}`,
    }),
    ...TOOLBAR_ROWS.map(({ field, help }, number) =>
      formatSentence("control", {
        number,
        type: "string",
        display: field!.display,
        tooltip: help,
        placeholder: field!.placeholder,
      }),
    ),
    ...BUTTONS.map((button, index) =>
      formatSentence("control", { number: LOG_CONTROL + index, type: "button", ...button }),
    ),
  ].join("");
}

/**
 * The answer to `--extcap-config`: the settings of an interface.
 *
 * @param line says which interface, and what is set where nothing is written
 * @returns whole lines
 */
export function formatSettings(line: ExtcapLine): string {
  return listFields(line)
    .map((row, number) => formatSetting(row, row.field!, number, line))
    .join("");
}

function listFields(line: ExtcapLine): readonly ExtcapRow[] {
  const isAnyTopic = line.text("extcap-interface") === ANY_TOPIC;
  return EXTCAP_OPTION_TABLE.filter(
    ({ field }) => field !== undefined && (isAnyTopic || !field.isForAnyTopic),
  );
}

/** There are no defaults: nothing is passed for an empty field, so that a value from elsewhere counts. */
function formatSetting(
  { long, help, value }: ExtcapRow,
  { display, type, group, placeholder, reload }: ExtcapField,
  number: number,
  line: ExtcapLine,
): string {
  const said = line.text(long);
  const argument = formatSentence("arg", {
    number,
    call: `--${long}`,
    display,
    type,
    tooltip: help,
    group,
    placeholder: reload ?? (type === "string" ? (line.assumed(long) ?? placeholder) : undefined),
    reload: reload === undefined ? undefined : true,
    mustexist: type === "fileselect" ? long !== "log-file" : undefined,
  });
  if (type !== "selector") return argument;
  const choices = value.type === "choice" ? value.choices : [said ?? ""];
  return argument + formatChoices(number, choices, said);
}

/**
 * The answer to `--extcap-reload-option`: topics to choose from.
 *
 * @param line says which interface
 * @param topics in any order
 * @returns whole lines
 */
export function formatTopicChoices(line: ExtcapLine, topics: readonly string[]): string {
  const said = line.text("kafka-topic") ?? "";
  const number = listFields(line).findIndex(({ long }) => long === "kafka-topic");
  return formatChoices(number, [...new Set([said, ...topics.toSorted()])], said);
}

function formatChoices(
  number: number,
  choices: readonly string[],
  chosen: string | undefined,
): string {
  return choices
    .map((choice) =>
      formatSentence("value", {
        arg: number,
        value: choice,
        display: choice,
        default: choice === chosen,
      }),
    )
    .join("");
}

/** The answer to `--extcap-dlts`: there is one, which stands for all, because pcapng names each frame's. */
export function formatLinkTypes(): string {
  return formatSentence("dlt", {
    number: 147,
    name: ANY_TOPIC,
    display: "Link types of the frames",
  });
}

/** A brace would end a value, a line the sentence. */
function formatSentence(
  word: string,
  values: Readonly<Record<string, string | number | boolean | undefined>>,
): string {
  const parts = Object.entries(values).flatMap(([name, value]) =>
    value === undefined || value === ""
      ? []
      : [`{${name}=${String(value).replaceAll(/[{}\n]/g, " ")}}`],
  );
  return `${word} ${parts.join("")}\n`;
}
