import { PcaptsError } from "../errors.ts";
import { parseLinkType } from "../packet/link-types.ts";
import { parseAutostop } from "./autostop.ts";
import { parseOverload } from "./overload.ts";
import { parseSize } from "./size.ts";
import { parseStartPosition, parseTimeMicros } from "./start-position.ts";

/** What a flag or a Kafka property accepts as its value. */
export type ValueKind =
  | { readonly type: "switch" }
  | { readonly type: "boolean" }
  | {
      readonly type: "integer" | "decimal";
      readonly min: number;
      readonly max: number;
      /** Read together with the number in messages: "bytes", "ms". */
      readonly unit?: string;
    }
  | { readonly type: "text" }
  | { readonly type: "topic" }
  | { readonly type: "property" }
  | { readonly type: "position" }
  | { readonly type: "time" }
  | { readonly type: "autostop" }
  | { readonly type: "overload" }
  /** Its value is in bytes. */
  | { readonly type: "size" }
  /** Its value is a LINKTYPE_ number. */
  | { readonly type: "linktype" }
  | {
      /** `list`: some of the choices, separated by commas. */
      readonly type: "choice" | "list";
      readonly choices: readonly string[];
      /** Other spellings, lower case. */
      readonly aliases?: Readonly<Record<string, string>>;
      /** Choices that a later release brings, and what to do meanwhile. */
      readonly later?: Readonly<Record<string, string>>;
    };

/** What {@link parseValue} makes of a value of kind `K`. */
export type TypedValue<K> = K extends { type: "switch" | "boolean" }
  ? boolean
  : K extends { type: "integer" | "decimal" | "linktype" | "size" }
    ? number
    : K extends { type: "choice"; choices: readonly (infer Choice)[] }
      ? Choice
      : K extends { type: "list"; choices: readonly (infer Choice)[] }
        ? readonly Choice[]
        : string;

const BOOLEANS: Readonly<Record<string, boolean>> = {
  true: true,
  t: true,
  "1": true,
  false: false,
  f: false,
  "0": false,
};

/**
 * Reads the text of a value.
 *
 * @param kind what is accepted
 * @param text as it was written
 * @param subject what it was written for, as messages name it: "-s, --snaplen"
 * @returns the value; texts, positions, conditions and properties are checked and returned as they are
 * @throws PcaptsError USAGE, naming the subject and what it expects
 */
export function parseValue(
  kind: ValueKind,
  text: string,
  subject: string,
): string | number | boolean | readonly string[] {
  const refuse = (expected: string): PcaptsError =>
    new PcaptsError("USAGE", `${subject} expects ${expected}, not "${text}"`);
  switch (kind.type) {
    case "switch":
    case "boolean": {
      const value = lookUp(BOOLEANS, text.toLowerCase());
      if (value === undefined) throw refuse("true or false");
      return value;
    }
    case "integer":
    case "decimal": {
      const shape = kind.type === "integer" ? /^[+-]?\d+$/ : /^[+-]?(\d+(\.\d*)?|\.\d+)$/;
      const value = Number(text);
      if (!shape.test(text) || value < kind.min || value > kind.max) {
        throw refuse(formatRange(kind));
      }
      return value;
    }
    case "choice": {
      const choice = findChoice(kind, text, subject);
      if (choice === undefined) throw refuse(formatChoices(kind.choices));
      return choice;
    }
    case "list":
      return text.split(",").map((part) => {
        const choice = findChoice(kind, part.trim(), subject);
        if (choice === undefined) {
          throw refuse(`a list of ${formatChoices(kind.choices)}, separated by commas`);
        }
        return choice;
      });
    case "topic":
      if (!/^[a-zA-Z0-9._-]{1,249}$/.test(text) || text === "." || text === "..") {
        throw refuse("a topic name (1 to 249 letters, digits, dots, dashes or underscores)");
      }
      return text;
    case "position":
      parseStartPosition(text, 0);
      return text;
    case "autostop":
      parseAutostop([text], subject);
      return text;
    case "overload":
      parseOverload(text, subject);
      return text;
    case "size":
      return parseSize(text, subject);
    case "linktype": {
      const linkType = parseLinkType(text);
      if (linkType === undefined) {
        throw refuse("a link type as -L lists it, such as EN10MB, or its LINKTYPE_ number");
      }
      return linkType;
    }
    case "time":
      parseTimeMicros(text, 0, subject);
      return text;
    case "text":
    case "property":
      if (text === "") throw refuse("a value");
      return text;
  }
}

function findChoice(
  kind: ValueKind & { type: "choice" | "list" },
  text: string,
  subject: string,
): string | undefined {
  const lower = text.toLowerCase();
  const choice = kind.choices.find((name) => name.toLowerCase() === lower);
  const advice = lookUp(kind.later, lower);
  if (advice !== undefined) {
    throw new PcaptsError("USAGE", `${subject} "${text}" is not there yet: ${advice}`);
  }
  return choice ?? lookUp(kind.aliases, lower);
}

/** `{}["constructor"]` is a function. */
function lookUp<V>(table: Readonly<Record<string, V>> | undefined, key: string): V | undefined {
  return table !== undefined && Object.hasOwn(table, key) ? table[key] : undefined;
}

/**
 * The numbers that are accepted.
 *
 * @param kind a kind with a range
 * @returns "a whole number of bytes from 0 to 262144"
 */
export function formatRange(kind: ValueKind & { type: "integer" | "decimal" }): string {
  const what = kind.type === "integer" ? "a whole number" : "a number";
  const unit = kind.unit === undefined ? "" : ` of ${kind.unit}`;
  const open = kind.max === Number.MAX_SAFE_INTEGER;
  return open
    ? `${what}${unit}, ${kind.min} or more`
    : `${what}${unit} from ${kind.min} to ${kind.max}`;
}

/**
 * A list of choices as a sentence has it.
 *
 * @param choices at least one
 * @returns "pcap or nsecpcap"
 */
export function formatChoices(choices: readonly string[]): string {
  const last = choices.at(-1) ?? "";
  return choices.length < 2 ? last : `${choices.slice(0, -1).join(", ")} or ${last}`;
}

/**
 * What may be said for a value, as help and docs add it to the meaning.
 *
 * @param kind what is accepted
 * @returns "a whole number from 1 to 4; not there yet: 5", or "" where everything is accepted
 */
export function describeValue(kind: ValueKind): string {
  switch (kind.type) {
    case "integer":
    case "decimal":
      return formatRange(kind);
    case "boolean":
      return "true or false";
    case "choice":
    case "list": {
      const later = Object.keys(kind.later ?? {});
      return [
        ...(kind.choices.length < 2 ? [] : [formatChoices(kind.choices)]),
        ...(later.length === 0 ? [] : [`not there yet: ${later.join(", ")}`]),
      ].join("; ");
    }
    default:
      return "";
  }
}
