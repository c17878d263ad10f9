import { ACCEPTED_BY_NAME } from "./accepted-properties.ts";
import { PROPERTY_BY_NAME } from "./kafka-properties.ts";
import type { PropertyAssignment } from "./kafka-settings.ts";
import { nearestName } from "./nearest-name.ts";
import type { EnvironmentSettings } from "./option-rules.ts";
import { OPTION_TABLE, type OptionRow } from "./option-table.ts";
import { REFUSED_PROPERTIES } from "./refused-properties.ts";

/*
 * One rule: a name in capitals, with "_" for whatever is no letter or digit,
 * stands for a flag behind PCAPTS_, and for a property behind PCAPTS_X_:
 *
 *   PCAPTS_KAFKA_BROKER=kafka1:9092     --kafka-broker kafka1:9092
 *   PCAPTS_X_LINGER_MS=20               -X linger.ms=20
 */

const FLAG_PREFIX = "PCAPTS_";
const PROPERTY_PREFIX = "PCAPTS_X_";

/** Variables of this project's own tests and measurements. */
const FOREIGN = /^PCAPTS_(TEST|BENCH)_/;

/** Flags that say what to do are said on the line, and properties have variables of their own. */
const FLAG_BY_VARIABLE: ReadonlyMap<string, OptionRow> = new Map(
  OPTION_TABLE.filter(
    (row: OptionRow) => row.mode !== "alone" && row.value.type !== "property",
  ).map((row): [string, OptionRow] => [variableOfFlag(row.long), row]),
);

const PROPERTY_BY_VARIABLE: ReadonlyMap<string, string> = new Map(
  [...PROPERTY_BY_NAME.keys(), ...ACCEPTED_BY_NAME.keys(), ...REFUSED_PROPERTIES.keys()].map(
    (name) => [variableOfProperty(name), name],
  ),
);

/** Flags that cannot stand together: one on the line puts the other's variable out of force. */
const ALTERNATIVES: readonly (readonly [string, string])[] = [
  ["interface", "read"],
  ["read", "interface"],
  ["pretty-print", "write"],
  ["pretty-print", "listen"],
  ["listen", "write"],
  ["write", "listen"],
];

/** The `PCAPTS_…` variables of an environment. */
export interface Environment extends EnvironmentSettings {
  /** Values of flags, by their long names. */
  readonly values: ReadonlyMap<string, string>;
}

/**
 * The variable that stands for a flag.
 *
 * @param long the flag's name without dashes
 * @returns "PCAPTS_KAFKA_BROKER"
 */
export function variableOfFlag(long: string): string {
  return FLAG_PREFIX + toCapitals(long);
}

/**
 * The variable that stands for a librdkafka property.
 *
 * @param name the property's name
 * @returns "PCAPTS_X_LINGER_MS"
 */
export function variableOfProperty(name: string): string {
  return PROPERTY_PREFIX + toCapitals(name);
}

function toCapitals(name: string): string {
  return name.toUpperCase().replace(/[^A-Z0-9]/g, "_");
}

/**
 * Reads the variables of an environment that begin with `PCAPTS_`. An empty
 * one counts for nothing; one that stands for nothing is named in a warning,
 * without its value.
 *
 * @param variables all variables of the process
 * @param onLine names of the flags of the command line, which win
 * @returns flags, properties, and what is to be said of them
 * @example
 * readEnvironment({ PCAPTS_X_LINGER_MS: "20" }, new Set()).properties;
 * // [{ name: "linger.ms", value: "20", origin: "PCAPTS_X_LINGER_MS" }]
 */
export function readEnvironment(
  variables: Readonly<Record<string, string | undefined>>,
  onLine: ReadonlySet<string>,
): Environment {
  const values = new Map<string, string>();
  const properties: PropertyAssignment[] = [];
  const notes: { level: "warn"; text: string }[] = [];
  for (const [variable, value] of Object.entries(variables)) {
    if (!variable.startsWith(FLAG_PREFIX) || FOREIGN.test(variable)) continue;
    if (value === undefined || value === "") continue;
    const flag = FLAG_BY_VARIABLE.get(variable);
    const property = PROPERTY_BY_VARIABLE.get(variable);
    if (flag !== undefined) {
      if (!onLine.has(flag.long) && !isPutOutOfForce(flag.long, onLine)) {
        values.set(flag.long, value);
      }
    } else if (property === undefined) {
      notes.push({ level: "warn", text: describeUnknown(variable) });
    } else {
      properties.push({ name: property, value: value.trim(), origin: variable });
    }
  }
  return { values, flags: new Set(values.keys()), properties, notes };
}

function isPutOutOfForce(long: string, onLine: ReadonlySet<string>): boolean {
  return ALTERNATIVES.some(([stronger, weaker]) => weaker === long && onLine.has(stronger));
}

function describeUnknown(variable: string): string {
  // Without the beginning that all have in common, which would make any two alike.
  const bare = (name: string): string => name.slice(FLAG_PREFIX.length);
  const known = [...FLAG_BY_VARIABLE.keys(), ...PROPERTY_BY_VARIABLE.keys()];
  const nearest = nearestName(bare(variable), known.map(bare));
  const advice = nearest === undefined ? "" : `; did you mean ${FLAG_PREFIX}${nearest}?`;
  return `Environment variable ${variable} stands for no flag and no property${advice}`;
}
