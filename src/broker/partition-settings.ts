import type { Logger } from "../logger.ts";

/** When what was written is brought to the disk: never by the broker, before each answer, or every so often. */
export type FsyncPolicy = "never" | "every" | { readonly intervalMs: number };

/** What every partition of a broker works with. */
export interface LogEnvironment {
  readonly fsync: FsyncPolicy;
  /** Name of this start of the machine. */
  readonly bootId: string;
  readonly logger: Logger;
  /** Wall clock in milliseconds. */
  readonly now: () => number;
}

/** Settings of a topic, by the names of their fields in Kafka. */
export interface LogSettings {
  /** `segment.bytes` */
  readonly segmentBytes: number;
  /** `retention.bytes`, -1 for no limit. */
  readonly retentionBytes: number;
  /** `retention.ms`, -1 for no limit. */
  readonly retentionMs: number;
  /** `max.message.bytes` */
  readonly maxMessageBytes: number;
  /** `message.timestamp.type` is LogAppendTime. */
  readonly logAppendTime: boolean;
}
