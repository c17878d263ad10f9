/** A batch that is in the log. */
export interface AcknowledgedBatch {
  readonly partition: number;
  /** -1 when the broker had the batch already and no longer knows where. */
  readonly baseOffset: bigint;
  readonly recordCount: number;
  /** As it was sent, compressed if at all. */
  readonly bytes: number;
  /** Since its first frame was captured, or read from a file. */
  readonly agedMs: number;
}

/**
 * Told of requests and batches as they are answered, never of a frame: what is
 * counted for each costs a microsecond.
 */
export interface ClientObserver {
  /**
   * A Produce request was answered.
   *
   * @param tookMs from the call to the answer
   */
  produceAnswered(tookMs: number): void;
  /** A batch is in the log. */
  batchAcknowledged(batch: AcknowledgedBatch): void;
  /** So many batches came back, for want of an answer or with an error that passes, to be sent again. */
  batchesReturned(count: number): void;
  /**
   * A Fetch request was answered; the broker may have waited for frames.
   *
   * @param bytes the whole answer
   */
  fetchAnswered(tookMs: number, bytes: number): void;
}
