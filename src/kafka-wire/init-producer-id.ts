import type { ByteReader } from "../bytes/byte-reader.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";
import type { EncodedRequest } from "./api.ts";

/** Answer to InitProducerId. */
export interface InitProducerIdResponse {
  readonly errorCode: number;
  readonly producerId: bigint;
  readonly producerEpoch: number;
}

/*
 * InitProducerId request, versions 0 and 1 (KIP-98):
 *   transactional_id        NULLABLE_STRING
 *   transaction_timeout_ms  INT32
 */
/** Asks for a producer id for a producer that is idempotent but not transactional. */
export function encodeInitProducerId(version: number): EncodedRequest<InitProducerIdResponse> {
  const writer = new ByteWriter(16);
  writer.writeNullableString(null);
  writer.writeInt32(-1);
  return { api: "InitProducerId", version, body: [writer.bytes], decode };
}

/*
 * Response:
 *   throttle_time_ms  INT32
 *   error_code        INT16
 *   producer_id       INT64
 *   producer_epoch    INT16
 */
function decode(reader: ByteReader): InitProducerIdResponse {
  reader.readInt32();
  return {
    errorCode: reader.readInt16(),
    producerId: reader.readInt64(),
    producerEpoch: reader.readInt16(),
  };
}
