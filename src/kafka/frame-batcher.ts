import { sizeOfSingleRecordBatch } from "../kafka-wire/record-batch-writer.ts";
import type { RecordBatchWriter } from "../kafka-wire/record-batch-writer.ts";
import { FRAME_HEADER_BYTES, readHeaderWord } from "../packet/frame-chunk.ts";
import type { FrameChunk } from "../packet/frame-chunk.ts";
import type { BatchMemory } from "./batch-memory.ts";
import { FrameHeaderEncoder } from "./frame-headers.ts";
import type { FrameHeaderOptions } from "./frame-headers.ts";
import type { Partitioner } from "./partitioner.ts";
import type { PartitionQueue } from "./partition-queue.ts";

/** How far a chunk is dealt with. */
export interface ChunkPosition {
  /** Byte where the next frame's header begins. */
  offset: number;
  /** Frames before it. */
  frame: number;
}

/** What a {@link FrameBatcher} works with. */
export interface FrameBatcherSetup {
  readonly queues: readonly PartitionQueue[];
  readonly memory: BatchMemory;
  readonly partitioner: Partitioner;
  readonly headers: FrameHeaderOptions;
  /** A batch closes before it grows beyond this. */
  readonly batchLimitBytes: number;
  /** A frame that needs a larger batch for itself is refused. */
  readonly largestBatchBytes: number;
  readonly recordTimestamp: "publish" | "capture";
  /** Frames captured longer ago have the time of publishing. */
  readonly keptMs: number;
  /** Wall clock in milliseconds, for publish times. */
  readonly wallClock: () => number;
  readonly onTooLarge: (frameBytes: number, batchBytes: number) => void;
}

/**
 * Walks chunks and writes each frame straight into the open batch of its
 * partition.
 */
export class FrameBatcher {
  readonly #setup: FrameBatcherSetup;
  readonly #headers: FrameHeaderEncoder;
  /** The chunk that stands on the stage. */
  #staged: FrameChunk | undefined;

  constructor(setup: FrameBatcherSetup) {
    this.#setup = setup;
    this.#headers = new FrameHeaderEncoder(setup.headers);
  }

  /** Appends frames from `position` on, and moves it, until the chunk or the memory is at its end. */
  append(chunk: FrameChunk, position: ChunkPosition): void {
    const { bigEndian, nanosecond, interfaces, interfaceOf } = chunk;
    const { queues, memory, partitioner, recordTimestamp, wallClock, largestBatchBytes } =
      this.#setup;
    const headers = this.#headers;
    headers.useInterfaces(interfaces);
    const publishMs = wallClock();
    const byCaptureTime = recordTimestamp === "capture";
    const oldestMs = publishMs - this.#setup.keptMs;
    let interfaceIndex = 0;
    let linkType = interfaces[0]?.linkType ?? 1;
    let { offset, frame } = position;
    if (offset === 0) this.#staged = memory.stage(chunk.bytes) ? chunk : undefined;
    const bytes = this.#staged === chunk ? memory.arena : chunk.bytes;
    const end = chunk.bytes.length;
    while (offset < end) {
      const seconds = readHeaderWord(bytes, offset, bigEndian);
      const fraction = readHeaderWord(bytes, offset + 4, bigEndian);
      const capturedLength = readHeaderWord(bytes, offset + 8, bigEndian);
      const wireLength = readHeaderWord(bytes, offset + 12, bigEndian);
      const start = offset + FRAME_HEADER_BYTES;
      const frameEnd = start + capturedLength;
      const micros = nanosecond ? Math.floor(fraction / 1000) : fraction;
      const nanos = nanosecond ? fraction - micros * 1000 : 0;
      if (interfaceOf !== undefined) {
        interfaceIndex = interfaceOf[frame]!;
        linkType = interfaces[interfaceIndex]!.linkType;
      }
      let timestampMs = publishMs;
      if (byCaptureTime) {
        const capturedMs = seconds * 1000 + Math.floor(micros / 1000);
        if (capturedMs >= oldestMs) timestampMs = capturedMs;
      }
      const headerBytes = headers.encode(interfaceIndex, capturedLength, wireLength, nanos);
      const neededBytes = sizeOfSingleRecordBatch(capturedLength, headerBytes);
      if (neededBytes > largestBatchBytes) {
        this.#setup.onTooLarge(capturedLength, neededBytes);
      } else {
        const queue = queues[partitioner(bytes, start, frameEnd, linkType, interfaceIndex)]!;
        let writer: RecordBatchWriter | undefined = queue.open?.writer;
        while (
          writer?.append(
            bytes,
            start,
            capturedLength,
            seconds,
            micros,
            timestampMs,
            headers.bytes,
            headerBytes,
          ) !== true
        ) {
          writer = this.#openBatch(queue, neededBytes);
          if (writer === undefined) break;
        }
        if (writer === undefined) break;
      }
      offset = frameEnd;
      frame++;
    }
    position.offset = offset;
    position.frame = frame;
  }

  /** @returns undefined when the memory is full */
  #openBatch(queue: PartitionQueue, neededBytes: number): RecordBatchWriter | undefined {
    const { memory, batchLimitBytes } = this.#setup;
    // Compressed, the full batch may leave room for the next.
    queue.closeOpen();
    const buffer = memory.lend(neededBytes);
    if (buffer === undefined) return undefined;
    return queue.openBatch(buffer, Math.max(batchLimitBytes, neededBytes), performance.now());
  }
}
