import { parsePropertyAssignment, type PropertyAssignment } from "./kafka-settings.ts";

/**
 * Reads a property file: a `KEY=VALUE` on each line; blank lines and lines
 * that begin with `#` are skipped, blanks around key and value are cut.
 *
 * @param text the file's content
 * @param name the file as messages name it
 * @returns the properties in the order of the file
 * @throws PcaptsError USAGE, naming the line that is none of these
 * @example
 * parsePropertyFile("# the lab\nlinger.ms = 20\n", "lab.conf");
 * // [{ name: "linger.ms", value: "20", origin: "lab.conf line 2" }]
 */
export function parsePropertyFile(text: string, name: string): PropertyAssignment[] {
  const properties: PropertyAssignment[] = [];
  text
    .replace(/^\uFEFF/, "")
    .split(/\r\n|\n|\r/)
    .forEach((line, index) => {
      const content = line.trim();
      if (content === "" || content.startsWith("#")) return;
      properties.push(parsePropertyAssignment(content, `${name} line ${index + 1}`));
    });
  return properties;
}
