import type { FetcherOptions } from "./client-options.ts";
import { FrameDecoder } from "./frame-decoder.ts";
import { RecordBatchError } from "../kafka-wire/record-batch-reader.ts";
import type { Transport } from "./transport.ts";
import { encodeFetch } from "../kafka-wire/fetch.ts";

/** Where to look. */
export interface LastFrameQuery {
  readonly topic: string;
  readonly leaders: readonly number[];
  readonly begin: ReadonlyMap<number, bigint>;
  readonly end: ReadonlyMap<number, bigint>;
  readonly fetcher: FetcherOptions;
}

/**
 * Link type of the last record of the first partition that has a frame there,
 * so that a file's header can be written before the first frame comes.
 *
 * @returns undefined when no partition ends in a frame
 */
export async function findLastLinkType(
  transport: Transport,
  { topic, leaders, begin, end, fetcher }: LastFrameQuery,
): Promise<number | undefined> {
  const readCommitted = fetcher.isolation === "read_committed";
  for (const [partition, behindLast] of [...end].toSorted(([a], [b]) => a - b)) {
    if (behindLast <= (begin.get(partition) ?? 0n)) continue;
    const offset = behindLast - 1n;
    const connection = await transport.connectionTo(leaders[partition]!, "requests");
    const { bytes, partitions } = await connection.send(
      encodeFetch(connection.versionOf("Fetch"), topic, [{ partition, offset }], {
        maxWaitMs: 0,
        minBytes: 0,
        maxBytes: 1,
        maxPartitionBytes: 1,
        readCommitted,
      }),
    );
    const decoder = new FrameDecoder({
      nanosecond: false,
      readCommitted,
      withOffsets: false,
      onForeignRecord: () => {},
    });
    try {
      for (const fetched of partitions) {
        for await (const chunk of decoder.decode(bytes, fetched, offset)) {
          const { frameCount, interfaceOf, interfaces } = chunk;
          if (frameCount > 0) return interfaces[interfaceOf?.[frameCount - 1] ?? 0]!.linkType;
        }
      }
    } catch (error) {
      // Reading the topic will say what is wrong with it.
      if (!(error instanceof RecordBatchError || error instanceof RangeError)) throw error;
    }
  }
  return undefined;
}
