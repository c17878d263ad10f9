import type { Logger } from "../logger.ts";
import type { Spool } from "../spool/spool.ts";
import type { KafkaClientOptions, PublisherOptions } from "./client-options.ts";
import type { ClientObserver } from "./client-observer.ts";
import type { Delivery } from "./delivery.ts";
import type { FrameHeaderOptions } from "./frame-headers.ts";
import type { PublishableTopic } from "./topic.ts";
import type { Transport } from "./transport.ts";

/** What a `Publisher` works with. */
export interface PublisherSetup {
  readonly transport: Transport;
  readonly topic: PublishableTopic;
  readonly options: PublisherOptions;
  readonly client: Pick<KafkaClientOptions, "retryBackoffMs" | "retryBackoffMaxMs">;
  readonly partitioner: "flow" | "random";
  readonly headers: FrameHeaderOptions;
  /** Timestamp of a record: its capture time, or the time of publishing. */
  readonly recordTimestamp: "publish" | "capture";
  /**
   * How old a capture time may be to be a record's timestamp; an older frame has the time of
   * publishing, because the topic would delete it at once. Default: any age.
   */
  readonly keptMs?: number;
  readonly logger: Logger;
  /** Aborted when the run is to stop: nothing waits for longer than `flushTimeoutMs` from then on. */
  readonly stopSignal: AbortSignal;
  readonly flushTimeoutMs: number;
  /**
   * Where batches go that neither memory nor Kafka takes: whenever the memory is full if `isLive`, otherwise
   * while Kafka takes none.
   */
  readonly spool?: Spool | undefined;
  readonly onDelivery?: (delivery: Delivery) => void;
  readonly observer?: ClientObserver | undefined;
  /** Record timestamps are of frames that are captured now, so that a batch's age begins there. */
  readonly isLive?: boolean;
  /** Wall clock in milliseconds, for publish times. */
  readonly wallClock?: () => number;
}
