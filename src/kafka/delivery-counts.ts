import type { Logger } from "../logger.ts";
import type { PublishableTopic } from "./topic.ts";

/** What became of the frames that a publisher took. */
export interface PublisherCounters {
  acknowledged: number;
  /** Certainly not in the log. */
  failed: number;
  /** Sent, never answered. */
  unknown: number;
}

/** Counts what became of frames, and says once for each reason why some were lost. */
export class DeliveryCounts implements PublisherCounters {
  acknowledged = 0;
  failed = 0;
  unknown = 0;
  readonly #logger: Logger;
  readonly #reasons = new Set<string>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Frames that are certainly not in the log. */
  fail(frames: number, reason: string): void {
    this.failed += frames;
    if (frames > 0) this.#report(reason);
  }

  /** Frames that were sent, and whose answer is not waited for any more. */
  giveUp(frames: number, reason: string): void {
    this.unknown += frames;
    if (frames > 0) this.#report(reason);
  }

  #report(reason: string): void {
    // One line for each kind of loss: numbers in the broker's words differ from frame to frame.
    const kind = reason.replace(/\d+/g, "");
    if (this.#reasons.has(kind)) return;
    this.#reasons.add(kind);
    this.#logger.error(`message delivery failed: error=${reason}`);
  }
}

/** Which limit a frame is above, and on which side. */
export function describeTooLarge(
  frameBytes: number,
  batchBytes: number,
  maxMessageBytes: number,
  topic: Pick<PublishableTopic, "name" | "maxMessageBytes">,
): string {
  return batchBytes > maxMessageBytes
    ? `a frame of ${frameBytes} bytes is above this side's message.max.bytes (${maxMessageBytes}); -X message.max.bytes= raises it`
    : `a frame of ${frameBytes} bytes is above the broker's max.message.bytes (${topic.maxMessageBytes}) of topic "${topic.name}"`;
}
