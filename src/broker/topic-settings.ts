import { BrokerError } from "./broker-error.ts";
import type { LogSettings } from "./partition-settings.ts";

/** Kafka's numbers for types of settings (DescribeConfigs). */
const TYPE = { boolean: 1, string: 2, int: 3, long: 5, double: 6, list: 7 } as const;

/** One setting of topics. */
export interface TopicSettingRow {
  readonly name: string;
  readonly type: keyof typeof TYPE;
  readonly default: string;
  /** What it may be: a range for numbers, words for the others. */
  readonly allows: { readonly min: number; readonly max: number } | readonly string[];
}

const LONG = { min: -1, max: Number.MAX_SAFE_INTEGER };

/**
 * The settings of a topic, by Kafka's names and with Kafka's defaults. Those
 * that allow one word are there because clients ask for them.
 */
export const TOPIC_SETTINGS: readonly TopicSettingRow[] = [
  { name: "cleanup.policy", type: "list", default: "delete", allows: ["delete"] },
  { name: "compression.type", type: "string", default: "producer", allows: ["producer"] },
  {
    name: "max.message.bytes",
    type: "int",
    default: "1048588",
    allows: { min: 0, max: 64 * 1024 * 1024 },
  },
  {
    name: "message.timestamp.type",
    type: "string",
    default: "CreateTime",
    allows: ["CreateTime", "LogAppendTime"],
  },
  { name: "min.insync.replicas", type: "int", default: "1", allows: { min: 1, max: 1 } },
  { name: "retention.bytes", type: "long", default: "-1", allows: LONG },
  { name: "retention.ms", type: "long", default: "604800000", allows: LONG },
  {
    name: "segment.bytes",
    type: "int",
    default: "1073741824",
    allows: { min: 1024, max: 2_147_483_647 },
  },
  {
    name: "unclean.leader.election.enable",
    type: "boolean",
    default: "false",
    allows: ["false"],
  },
];

const ROWS = new Map(TOPIC_SETTINGS.map((row) => [row.name, row]));

/** What was set for a topic, by name. */
export type TopicConfig = Readonly<Record<string, string>>;

/** A setting as DescribeConfigs tells it. */
export interface DescribedSetting {
  readonly name: string;
  readonly value: string;
  readonly isDefault: boolean;
  readonly typeNumber: number;
}

/**
 * Checks what was asked for.
 *
 * @throws BrokerError INVALID_CONFIG naming the setting
 */
export function checkTopicConfig(config: Readonly<Record<string, string | null>>): TopicConfig {
  const checked: Record<string, string> = {};
  for (const [name, value] of Object.entries(config)) {
    const row = ROWS.get(name);
    if (row === undefined) {
      throw new BrokerError("INVALID_CONFIG", `"${name}" is not known to this broker`);
    }
    if (value === null) continue;
    const { allows } = row;
    if ("min" in allows) {
      const number = Number(value);
      if (!/^-?\d+$/.test(value) || number < allows.min || number > allows.max) {
        throw new BrokerError(
          "INVALID_CONFIG",
          `"${name}" is a number from ${allows.min} to ${allows.max}, not "${value}"`,
        );
      }
    } else if (!allows.includes(value)) {
      throw new BrokerError(
        "INVALID_CONFIG",
        `"${name}" may be ${allows.join(" or ")} at this broker, not "${value}"`,
      );
    }
    checked[name] = value;
  }
  return checked;
}

/**
 * All settings of a topic.
 *
 * @param config what was set for it
 * @param defaults the broker's, over Kafka's
 */
export function describeTopicConfig(
  config: TopicConfig,
  defaults: TopicConfig,
): DescribedSetting[] {
  return TOPIC_SETTINGS.map((row) => ({
    name: row.name,
    value: config[row.name] ?? defaults[row.name] ?? row.default,
    isDefault: config[row.name] === undefined,
    typeNumber: TYPE[row.type],
  }));
}

/** What a log goes by. */
export function logSettingsOf(config: TopicConfig, defaults: TopicConfig): LogSettings {
  const value = (name: string): string =>
    config[name] ?? defaults[name] ?? ROWS.get(name)?.default ?? "";
  return {
    segmentBytes: Number(value("segment.bytes")),
    retentionBytes: Number(value("retention.bytes")),
    retentionMs: Number(value("retention.ms")),
    maxMessageBytes: Number(value("max.message.bytes")),
    logAppendTime: value("message.timestamp.type") === "LogAppendTime",
  };
}
