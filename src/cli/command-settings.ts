import { readFile } from "node:fs/promises";
import {
  type KafkaSettings,
  parsePropertyAssignment,
  type PropertyAssignment,
  resolveKafkaSettings,
} from "../config/kafka-settings.ts";
import { type CommandLine, listFlagsOfOtherMode } from "../config/option-rules.ts";
import { parsePropertyFile } from "../config/property-file.ts";
import { PcaptsError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { describeSystemError } from "./error-text.ts";

const BROKER_PROPERTIES = new Set(["bootstrap.servers", "metadata.broker.list"]);

/**
 * The Kafka side of a command line: `-X` wins over `-k`, `-k` over `--config`.
 *
 * @param line the command line
 * @param mode the mode that runs
 * @param logger told what was accepted though it changes nothing
 * @throws PcaptsError USAGE or FILE_NOT_READABLE
 */
export async function readKafkaSettings(
  line: CommandLine,
  mode: "producer" | "consumer",
  logger: Logger,
): Promise<KafkaSettings> {
  const { values, given } = line;
  const fromFile = values.config === undefined ? [] : await readPropertyFile(values.config);
  const settings = resolveKafkaSettings({
    mode,
    properties: [
      ...fromFile.filter(({ name }) => !(given.has("kafka-broker") && BROKER_PROPERTIES.has(name))),
      ...values["kafka-property"].map((text) => parsePropertyAssignment(text, "-X")),
    ],
    brokers: values["kafka-broker"],
    connectTimeoutMs: values["connect-timeout"] * 1000,
  });
  for (const flag of listFlagsOfOtherMode(given, mode)) {
    logger.debug(`${flag}: accepted, a ${mode} does not read it`);
  }
  for (const { level, text } of settings.notes) logger[level](text);
  return settings;
}

async function readPropertyFile(path: string): Promise<PropertyAssignment[]> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw new PcaptsError(
      "FILE_NOT_READABLE",
      `Cannot read the property file "${path}": ${describeSystemError(error)}`,
      { cause: error },
    );
  }
  return parsePropertyFile(text, path);
}
