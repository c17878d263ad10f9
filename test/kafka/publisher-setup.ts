import type { PublisherOptions } from "../../src/kafka/client-options.ts";
import type { PublisherSetup } from "../../src/kafka/publisher-setup.ts";
import type { PublishableTopic } from "../../src/kafka/topic.ts";
import type { Transport } from "../../src/kafka/transport.ts";
import { type Logger, silentLogger } from "../../src/logger.ts";

/** Small batches that go at once, and patience. */
export const SMALL_BATCHES: PublisherOptions = {
  idempotence: undefined,
  acks: -1,
  batchBytes: 600,
  lingerMs: 1,
  queueBytes: 1 << 20,
  maxMessageBytes: 1_000_000,
  messageTimeoutMs: 60_000,
  ackTimeoutMs: 1000,
  maxInFlight: 5,
  compression: "none",
  compressionLevel: undefined,
};

/** A publisher's setup; `changes` wins. */
export function publisherSetup(
  transport: Transport,
  topic: PublishableTopic,
  changes: Partial<PublisherSetup> = {},
): PublisherSetup {
  return {
    transport,
    topic,
    options: SMALL_BATCHES,
    client: { retryBackoffMs: 1, retryBackoffMaxMs: 4 },
    partitioner: "flow",
    headers: { all: false, nameInterface: false },
    recordTimestamp: "publish",
    logger: silentLogger,
    stopSignal: new AbortController().signal,
    flushTimeoutMs: 10_000,
    ...changes,
  };
}

/** A logger that keeps what it is told, as "WARN: text". */
export class HeardLogger implements Logger {
  readonly lines: string[] = [];

  debug(): void {}
  info(message: string): void {
    this.lines.push(`INFO: ${message}`);
  }
  warn(message: string): void {
    this.lines.push(`WARN: ${message}`);
  }
  error(message: string): void {
    this.lines.push(`ERROR: ${message}`);
  }
  isDebugEnabled(): boolean {
    return false;
  }

  /** The lines that match. */
  matching(pattern: RegExp): string[] {
    return this.lines.filter((line) => pattern.test(line));
  }
}
