import { readFileSync } from "node:fs";
import path from "node:path";
import { projectRoot } from "../brokers.ts";

/** Units that are to be copied. */
export const UNITS = [
  { name: "pcapts-producer@.service", variables: "producer.env", exposure: 2 },
  { name: "pcapts-consumer.service", variables: "consumer.env", exposure: 1.5 },
] as const;

/** Text of a unit, or of its environment. */
export function readUnit(name: string): string {
  return readFileSync(path.join(projectRoot, "examples/systemd", name), "utf8");
}

/** Arguments of the program that a unit starts. */
export function listExecStart(name: string, instance: string): string[] {
  const [, line = ""] = /^ExecStart=\/usr\/local\/bin\/pcapts (.*)$/m.exec(readUnit(name)) ?? [];
  return line.split(" ").map((word) => word.replace("%i", instance));
}

/** Variables of an EnvironmentFile, those in comments too, as systemd reads them. */
export function readVariables(name: string): Record<string, string> {
  const lines = readUnit(name).matchAll(/^#?(PCAPTS_\w+)=(.*)$/gm);
  return Object.fromEntries(
    [...lines].map(([, variable, value = ""]) => [variable, value.replace(/^"(.*)"$/, "$1")]),
  );
}
