import type { FetchedPartition } from "../kafka-wire/fetch.ts";
import { RecordCursor } from "../kafka-wire/record-batch-reader.ts";
import type { RecordBatchHeader } from "../kafka-wire/record-batch-reader.ts";

/** Control record types: the second half of the key. */
const ABORT_MARKER = 0;

/**
 * Which batches belong to aborted transactions. The broker names the aborted
 * ones that overlap the response; each lasts until its producer's marker.
 */
export class AbortedProducers {
  readonly #pending: { producerId: bigint; firstOffset: bigint }[];
  readonly #aborted = new Set<bigint>();

  constructor({ abortedTransactions }: FetchedPartition, readCommitted: boolean) {
    this.#pending = readCommitted
      ? abortedTransactions.toSorted((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1))
      : [];
  }

  /** True when the batch holds no frames that are to be seen: markers, or aborted records. */
  skips(bytes: Buffer, header: RecordBatchHeader): boolean {
    const lastOffset = header.baseOffset + BigInt(header.lastOffsetDelta);
    while (this.#pending[0] !== undefined && this.#pending[0].firstOffset <= lastOffset) {
      this.#aborted.add(this.#pending.shift()!.producerId);
    }
    if (header.control) {
      const { recordsStart, recordsEnd, recordCount } = header;
      const marker = new RecordCursor(bytes, recordsStart, recordsEnd, recordCount);
      // Control record key: version int16, type int16.
      if (
        marker.next() &&
        marker.keyLength >= 4 &&
        bytes.readInt16BE(marker.keyStart + 2) === ABORT_MARKER
      ) {
        this.#aborted.delete(header.producerId);
      }
      return true;
    }
    return header.transactional && this.#aborted.has(header.producerId);
  }
}
