/** What a round of trouble came to. */
export interface RoundResult {
  /** Frames that the producer took. */
  readonly frames: number;
  /** How often something was made to go wrong. */
  readonly faults: number;
  readonly acknowledged: number;
  /** Frames that were given up: counted as failed or unknown, or in the memory of a process that was killed. */
  readonly lost: number;
  /** Batches that came back and were sent again; undefined where the process that counts them was killed. */
  readonly resends: number | undefined;
  /** The most memory that its process had; undefined where it is the process of the test. */
  readonly peakMegabytes?: number;
}
