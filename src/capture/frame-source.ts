import type { CaptureInterface, FrameChunk } from "../packet/frame-chunk.ts";

/** What a source can tell of frames that did not arrive; `undefined` is unknown, never 0. */
export interface CaptureCounters {
  /** Frames the kernel saw for this capture, those in the ring included. */
  received: number | undefined;
  /** Frames the kernel dropped because the ring was full. */
  droppedByKernel: number | undefined;
  /** Frames dropped by the interface or its driver. */
  droppedByInterface: number | undefined;
  /** Received frames that a filter here left out; what the kernel's filter leaves out it does not count. */
  filtered: number;
  /**
   * Frames that began and never came whole, because their writer or the connection ended; they were
   * not received. Absent is 0.
   */
  torn?: number;
}

/** How far files were read, in their own bytes, compressed or not. */
export interface ReadExtent {
  /** Up to the end of what was handed over; some more may have been read ahead. */
  readonly readBytes: number;
  /** Of all files, as often as they are read; undefined where nobody knows, as of a pipe. */
  readonly totalBytes: number | undefined;
}

/**
 * Frames from an interface, a file or a feed, in chunks.
 *
 * `chunks()` is called once. It ends when the file ends or after `stop()`;
 * chunks already taken from the interface are still handed over. It throws a
 * `PcaptsError` (INTERFACE_GONE, FILE_CUT …) after the last good chunk.
 * Not pulling is back-pressure: a file waits, an interface's ring fills up.
 */
export interface FrameSource {
  /**
   * "live" frames are stamped with their capture time in Kafka, others with publish time. Those of a
   * "file" can be read again, those of a "feed" come once.
   */
  readonly kind: "live" | "file" | "feed";
  /** For messages: an interface name, a path, or "standard input". */
  readonly name: string;
  /** What the first frame will come from; more may appear later in chunks. */
  readonly interfaces: readonly CaptureInterface[];
  /** Who the frames are said to come from, where `interfaces` may be empty until the first one. */
  readonly sensor?: string;
  /** Several interfaces feed it, or may come to: records name theirs. Absent: `interfaces` tells. */
  readonly hasSeveralInterfaces?: boolean;
  chunks(): AsyncIterable<FrameChunk>;
  counters(): CaptureCounters;
  /** How far it was read; what is no file has no such thing. */
  extent?(): ReadExtent | undefined;
  /** Takes no more frames; resolves when the device or file is closed. Safe in every state, repeatedly. */
  stop(): Promise<void>;
}

/**
 * Who the first frames of a source are said to come from.
 *
 * @returns "" where that is not known
 */
export function sensorOf({ sensor, interfaces }: FrameSource): string {
  return sensor ?? interfaces[0]?.sensor ?? "";
}
