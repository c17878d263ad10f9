import type { ByteReader } from "../bytes/byte-reader.ts";

/** The requests that are spoken here, with the versions that are. */
export const API = {
  Produce: { key: 0, minVersion: 3, maxVersion: 8 },
  Fetch: { key: 1, minVersion: 4, maxVersion: 11 },
  ListOffsets: { key: 2, minVersion: 1, maxVersion: 5 },
  Metadata: { key: 3, minVersion: 4, maxVersion: 5 },
  OffsetCommit: { key: 8, minVersion: 3, maxVersion: 5 },
  OffsetFetch: { key: 9, minVersion: 3, maxVersion: 5 },
  FindCoordinator: { key: 10, minVersion: 1, maxVersion: 2 },
  JoinGroup: { key: 11, minVersion: 2, maxVersion: 4 },
  Heartbeat: { key: 12, minVersion: 1, maxVersion: 2 },
  LeaveGroup: { key: 13, minVersion: 1, maxVersion: 2 },
  SyncGroup: { key: 14, minVersion: 1, maxVersion: 2 },
  CreateTopics: { key: 19, minVersion: 2, maxVersion: 4 },
  InitProducerId: { key: 22, minVersion: 0, maxVersion: 1 },
} as const satisfies Record<string, ApiVersionRange>;

/** One of {@link API}. */
export type ApiName = keyof typeof API;

/** Key of a request and the versions of it that one side knows. */
export interface ApiVersionRange {
  readonly key: number;
  readonly minVersion: number;
  readonly maxVersion: number;
}

/** A request ready to be sent, without the header that the connection adds. */
export interface EncodedRequest<Response> {
  readonly api: ApiName;
  readonly version: number;
  /** The body in pieces, so that record batches are sent from where they lie. */
  readonly body: readonly Buffer[];
  /** Reads the response's body. */
  readonly decode: (reader: ByteReader) => Response;
  /** For a request that the broker answers late; undefined: `socket.timeout.ms`. */
  readonly timeoutMs?: number;
}
