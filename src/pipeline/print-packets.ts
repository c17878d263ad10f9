import { forEachDelivered } from "../kafka/delivery.ts";
import type { Delivery } from "../kafka/delivery.ts";
import { forEachFrame } from "../packet/frame-chunk.ts";
import type { FrameChunk } from "../packet/frame-chunk.ts";
import { formatSummaryLine } from "../packet/summary-line.ts";
import { formatConsumed, formatDelivered, formatReceived, formatSummary } from "./packet-text.ts";
import type { PrettyPrint } from "./pipeline-options.ts";
import type { ReadChunk } from "./read-chunk.ts";

/**
 * Prints every Nth frame that a producer takes.
 *
 * @param before frames counted before this chunk
 */
export function printReceived(pretty: PrettyPrint, chunk: FrameChunk, before: number): void {
  if (!reachesMultiple(before, chunk.frameCount, pretty.every)) return;
  forEachFrame(chunk, (start, length, wireLength, seconds, fraction, index) => {
    const count = before + index + 1;
    if (count % pretty.every !== 0) return;
    if (pretty.format === "summary") {
      pretty.print(summarise(chunk, start, length, wireLength, seconds, fraction, index));
      return;
    }
    pretty.print(formatReceived(pretty.format, count, chunk.bytes.subarray(start, start + length)));
  });
}

/**
 * Prints every Nth frame that a consumer reads.
 *
 * @param chunk with offsets
 * @param before frames counted before this chunk
 */
export function printConsumed(
  pretty: PrettyPrint,
  topic: string,
  chunk: ReadChunk,
  before: number,
): void {
  if (!reachesMultiple(before, chunk.frameCount, pretty.every)) return;
  forEachFrame(chunk, (start, length, wireLength, seconds, fraction, index) => {
    const count = before + index + 1;
    if (count % pretty.every !== 0) return;
    if (pretty.format === "summary") {
      pretty.print(summarise(chunk, start, length, wireLength, seconds, fraction, index));
      return;
    }
    const placed = {
      count,
      seconds,
      microseconds: chunk.nanosecond ? Math.floor(fraction / 1000) : fraction,
      topic,
      partition: chunk.partitionOf?.[index] ?? chunk.partition,
      offset: chunk.offsets![index]!,
      lengthBytes: length,
    };
    pretty.print(
      formatConsumed(pretty.format, placed, chunk.bytes.subarray(start, start + length)),
    );
  });
}

function summarise(
  { bytes, nanosecond, interfaces, interfaceOf }: FrameChunk,
  start: number,
  length: number,
  wireLength: number,
  seconds: number,
  fraction: number,
  index: number,
): string {
  const { linkType } = interfaces[interfaceOf?.[index] ?? 0]!;
  const line = formatSummaryLine(bytes, start, start + length, linkType, wireLength);
  return formatSummary(seconds, fraction, nanosecond, line);
}

/** Prints every Nth frame that Kafka acknowledges, read back from its batch. */
export class DeliveryPrinter {
  readonly #pretty: PrettyPrint;
  readonly #topic: string;
  #delivered = 0;

  constructor(pretty: PrettyPrint, topic: string) {
    this.#pretty = pretty;
    this.#topic = topic;
  }

  print(delivery: Delivery): void {
    const before = this.#delivered;
    this.#delivered += delivery.recordCount;
    const { every, format, print } = this.#pretty;
    if (!reachesMultiple(before, delivery.recordCount, every)) return;
    forEachDelivered(delivery, (index, offset, captureMicros, lengthBytes) => {
      const count = before + index + 1;
      if (count % every !== 0) return;
      const placed = {
        count,
        seconds: Math.floor(captureMicros / 1_000_000),
        microseconds: captureMicros % 1_000_000,
        topic: this.#topic,
        partition: delivery.partition,
        offset,
        lengthBytes,
      };
      print(formatDelivered(format, placed));
    });
  }
}

function reachesMultiple(before: number, added: number, every: number): boolean {
  return Math.floor((before + added) / every) > Math.floor(before / every);
}
