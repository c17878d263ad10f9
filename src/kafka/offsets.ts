import { PcaptsError } from "../errors.ts";
import { authorizationError, isAuthorizationError } from "./authorization-error.ts";
import { KAFKA_ERROR_CODE, kafkaErrorInfo } from "../kafka-wire/error-codes.ts";
import { EARLIEST_OFFSET, encodeListOffsets, LATEST_OFFSET } from "../kafka-wire/list-offsets.ts";
import { ConnectionError } from "./connection-error.ts";
import type { Transport } from "./transport.ts";

/** A question for offsets. */
export interface OffsetQuery {
  readonly topic: string;
  readonly leaders: readonly number[];
  readonly partitions: readonly number[];
  /** The end is the last stable offset then, not the high watermark. */
  readonly readCommitted: boolean;
  /** `begin`, `end`, or the first record at or after a time (milliseconds), the end when there is none. */
  readonly at: "begin" | "end" | { readonly timestampMs: number };
  /** Called when records have no times to ask for, as those of message format 0: it is the beginning then. */
  readonly onNoTimes?: (() => void) | undefined;
}

/**
 * Asks the leaders for an offset of each partition.
 *
 * @throws ConnectionError when a leader is not reached or has changed; PcaptsError when it refuses
 */
export async function listOffsets(
  transport: Transport,
  query: OffsetQuery,
): Promise<Map<number, bigint>> {
  const { topic, leaders, partitions, readCommitted, at } = query;
  const timestamp =
    at === "begin" ? EARLIEST_OFFSET : at === "end" ? LATEST_OFFSET : BigInt(at.timestampMs);
  const byLeader = new Map<number, number[]>();
  for (const partition of partitions) {
    const leader = leaders[partition] ?? -1;
    const led = byLeader.get(leader) ?? [];
    led.push(partition);
    byLeader.set(leader, led);
  }
  const offsets = new Map<number, bigint>();
  const withoutTimes: number[] = [];
  const answers = await Promise.all(
    [...byLeader].map(async ([leader, led]) => {
      const connection = await transport.connectionTo(leader, "requests");
      const version = connection.versionOf("ListOffsets");
      return connection.send(encodeListOffsets(version, topic, led, timestamp, readCommitted));
    }),
  );
  for (const { partition, errorCode, offset } of answers.flat()) {
    const { name, retriable } = kafkaErrorInfo(errorCode);
    if (retriable) throw new ConnectionError(`partition ${partition} of "${topic}": ${name}`);
    const action = `ask for offsets of topic "${topic}"`;
    if (isAuthorizationError(errorCode)) {
      throw authorizationError(
        { action, operation: "Describe", resource: "topic", resourceName: topic },
        errorCode,
        transport.principal,
      );
    }
    if (errorCode === KAFKA_ERROR_CODE.UNSUPPORTED_FOR_MESSAGE_FORMAT) {
      withoutTimes.push(partition);
      continue;
    }
    if (errorCode !== KAFKA_ERROR_CODE.NONE) {
      throw new PcaptsError("BROKER_PROTOCOL", `Cannot ${action}: ${name}`);
    }
    offsets.set(partition, offset);
  }
  if (withoutTimes.length > 0) {
    query.onNoTimes?.();
    const begins = await listOffsets(transport, {
      ...query,
      partitions: withoutTimes,
      at: "begin",
    });
    for (const [partition, offset] of begins) offsets.set(partition, offset);
  }
  const missing = partitions.filter((partition) => (offsets.get(partition) ?? -1n) < 0n);
  if (missing.length > 0 && at !== "end") {
    const ends = await listOffsets(transport, { ...query, partitions: missing, at: "end" });
    for (const [partition, offset] of ends) offsets.set(partition, offset);
  }
  return offsets;
}
