import type { ByteReader } from "../bytes/byte-reader.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";
import type { EncodedRequest } from "./api.ts";

/** A broker of the cluster. */
export interface BrokerNode {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
}

/** What a broker knows of one topic. */
export interface TopicMetadata {
  readonly errorCode: number;
  readonly name: string;
  /** The cluster keeps it for itself. */
  readonly isInternal: boolean;
  /** Node that leads each partition, -1 for nobody. */
  readonly leaders: readonly number[];
}

/** Answer to Metadata. */
export interface MetadataResponse {
  readonly brokers: readonly BrokerNode[];
  /** "" when it has no name. */
  readonly clusterId: string;
  /** -1 when there is none. */
  readonly controllerId: number;
  readonly topics: readonly TopicMetadata[];
}

/*
 * Metadata request, versions 4 and 5:
 *   topics                     NULLABLE ARRAY STRING, empty for none, null for all
 *   allow_auto_topic_creation  BOOLEAN
 */
/** Asks for the brokers and for some topics, or for all there are; never creates one. */
export function encodeMetadata(
  version: number,
  topics: readonly string[] | "all",
): EncodedRequest<MetadataResponse> {
  const writer = new ByteWriter();
  writer.writeInt32(topics === "all" ? -1 : topics.length);
  if (topics !== "all") for (const topic of topics) writer.writeString(topic);
  writer.writeInt8(0);
  return {
    api: "Metadata",
    version,
    body: [writer.bytes],
    decode: (reader) => decode(reader, version),
  };
}

/*
 * Response:
 *   throttle_time_ms     INT32
 *   brokers              ARRAY
 *     node_id            INT32
 *     host               STRING
 *     port               INT32
 *     rack               NULLABLE_STRING
 *   cluster_id           NULLABLE_STRING
 *   controller_id        INT32
 *   topics               ARRAY
 *     error_code         INT16
 *     name               STRING
 *     is_internal        BOOLEAN
 *     partitions         ARRAY
 *       error_code       INT16
 *       partition_index  INT32
 *       leader_id        INT32
 *       replica_nodes    ARRAY INT32
 *       isr_nodes        ARRAY INT32
 *       offline_replicas ARRAY INT32   version 5
 */
function decode(reader: ByteReader, version: number): MetadataResponse {
  reader.readInt32();
  const brokers: BrokerNode[] = [];
  for (let left = reader.readArrayLength(); left > 0; left--) {
    brokers.push({
      nodeId: reader.readInt32(),
      host: reader.readString(),
      port: reader.readInt32(),
    });
    reader.readNullableString();
  }
  const clusterId = reader.readNullableString() ?? "";
  const controllerId = reader.readInt32();
  const topics: TopicMetadata[] = [];
  for (let left = reader.readArrayLength(); left > 0; left--) {
    const errorCode = reader.readInt16();
    const name = reader.readString();
    const isInternal = reader.readInt8() !== 0;
    const leaders: number[] = [];
    for (let partitions = reader.readArrayLength(); partitions > 0; partitions--) {
      reader.readInt16();
      const partition = reader.readInt32();
      leaders[partition] = reader.readInt32();
      const arrays = version >= 5 ? 3 : 2;
      for (let i = 0; i < arrays; i++) reader.skip(4 * reader.readArrayLength());
    }
    topics.push({ errorCode, name, isInternal, leaders });
  }
  return { brokers, clusterId, controllerId, topics };
}
