import {
  type LinkTypeChoice,
  listLinkTypes,
  listTimeStampTypes,
  type TimeStampTypeChoice,
} from "../capture/interface-choices.ts";
import type { OptionValues } from "../config/option-table.ts";
import { findInterfaces } from "./open-source.ts";

/**
 * `pcapts --list-data-link-types` and `--list-time-stamp-types`: what each `-i` can be opened with.
 *
 * @param values flags, one or both of these among them
 * @returns what to print, as `tcpdump -L` and `tcpdump -J` do
 * @throws PcaptsError when an interface is not there or cannot be opened
 */
export async function listChoicesCommand(values: OptionValues): Promise<string> {
  const names = await findInterfaces(values.interface);
  const lists: string[] = [];
  for (const name of names) {
    if (values["list-data-link-types"]) {
      lists.push(formatLinkTypes(name, listLinkTypes(name)));
    }
    if (values["list-time-stamp-types"]) {
      lists.push(formatTimeStampTypes(name, listTimeStampTypes(name)));
    }
  }
  return lists.join("");
}

function formatLinkTypes(name: string, types: readonly LinkTypeChoice[]): string {
  const lines = types.map(({ linkType, name: named, description }) =>
    formatChoice(named === "" ? String(linkType) : named, description),
  );
  return `Data link types for ${name} (use option -y to set):\n${lines.join("")}`;
}

function formatTimeStampTypes(name: string, types: readonly TimeStampTypeChoice[]): string {
  if (types.length === 0) return `Time stamp type cannot be set for ${name}\n`;
  const lines = types.map((each) => formatChoice(each.name, each.description));
  return `Time stamp types for ${name} (use option -j to set):\n${lines.join("")}`;
}

function formatChoice(name: string, description: string): string {
  return description === "" ? `  ${name}\n` : `  ${name} (${description})\n`;
}
