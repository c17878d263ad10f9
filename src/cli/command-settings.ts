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
import { describeSystemError } from "./error-text.ts";
import type { CommandLogger } from "./logging.ts";

const BROKER_PROPERTIES = new Set(["bootstrap.servers", "metadata.broker.list"]);

/**
 * The Kafka side of a command line: the line wins over the environment, that
 * over `--config`; where both stand side by side, `-X` wins over `-k`.
 *
 * @param line the command line
 * @param mode the mode that runs
 * @param logger told what was accepted though it changes nothing
 * @throws PcaptsError USAGE or FILE_NOT_READABLE
 */
export async function readKafkaSettings(
  line: CommandLine,
  mode: "producer" | "consumer",
  logger: CommandLogger,
): Promise<KafkaSettings> {
  const { values, given, environment } = line;
  const fromFile = values.config === undefined ? [] : await readPropertyFile(values.config);
  const brokersGiven = given.has("kafka-broker");
  const brokersOnLine = brokersGiven && !environment.flags.has("kafka-broker");
  const settings = resolveKafkaSettings({
    mode,
    properties: [
      ...fromFile.filter(({ name }) => !brokersGiven || !BROKER_PROPERTIES.has(name)),
      ...environment.properties.filter(
        ({ name }) => !brokersOnLine || !BROKER_PROPERTIES.has(name),
      ),
      ...values["kafka-property"].map((text) => parsePropertyAssignment(text, "-X")),
    ],
    brokers: values["kafka-broker"],
    connectTimeoutMs: values["connect-timeout"] * 1000,
  });
  logger.limitDebug(settings.debugContexts);
  for (const { level, text } of environment.notes) logger[level](text);
  for (const flag of listFlagsOfOtherMode(given, mode)) {
    logger.debug(`${flag}: accepted, a ${mode} does not read it`, "conf");
  }
  for (const { level, text } of settings.notes) logger[level](text, "conf");
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
