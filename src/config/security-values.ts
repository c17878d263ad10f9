import { PcaptsError } from "../errors.ts";
import { isSecretProperty, type PropertyValues } from "./kafka-properties.ts";
import type { PropertyAssignment, SettingNote } from "./kafka-settings.ts";
import type { SECURITY_PROPERTY_TABLE } from "./security-properties.ts";

/** The security properties of a run. */
export interface SecuritySettings {
  readonly values: PropertyValues;
  /** What was written, by the table's names. */
  readonly given: ReadonlyMap<string, PropertyAssignment>;
  readonly notes: SettingNote[];
}

/** A property of the table of security. */
export type SecurityPropertyName = (typeof SECURITY_PROPERTY_TABLE)[number]["name"];

/**
 * The value of a property that another one needs.
 *
 * @param because what needs it, as in "sasl.mechanism=PLAIN needs sasl.username"
 * @throws PcaptsError USAGE when it was not given
 */
export function needed<Name extends SecurityPropertyName>(
  { values }: SecuritySettings,
  name: Name,
  because: string,
): NonNullable<PropertyValues[Name]> {
  const value = values[name];
  if (value !== undefined) return value;
  const how = isSecretProperty(name)
    ? `in the file of --config, or as PCAPTS_X_${name.toUpperCase().replaceAll(".", "_")}`
    : `with -X ${name}=`;
  throw new PcaptsError("USAGE", `${because} needs ${name}: give it ${how}`);
}

/** A property as messages name it: "-X ssl.key.location". */
export function subjectOf({ given }: SecuritySettings, name: SecurityPropertyName): string {
  const written = given.get(name);
  return written === undefined ? name : `${written.origin} ${written.name}`;
}
