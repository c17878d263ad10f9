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
  /**
   * A batch is in the log.
   *
   * @param bytes as it was sent, compressed if at all
   * @param agedMs since its first frame was captured, or read from a file
   */
  batchAcknowledged(bytes: number, agedMs: number): void;
  /** So many batches came back, for want of an answer or with an error that passes, to be sent again. */
  batchesReturned(count: number): void;
  /**
   * A Fetch request was answered; the broker may have waited for frames.
   *
   * @param bytes the whole answer
   */
  fetchAnswered(tookMs: number, bytes: number): void;
}
