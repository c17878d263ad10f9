import { setTimeout as sleep } from "node:timers/promises";
import { ByteReader } from "../bytes/byte-reader.ts";
import { KAFKA_ERROR_CODE } from "../kafka-wire/error-codes.ts";
import { skipTaggedFields } from "../kafka-wire/message-grammar.ts";
import { PieceWriter } from "../kafka-wire/piece-writer.ts";
import { API_BY_KEY } from "./api-table.ts";
import { API_VERSIONS_KEY } from "./apis/api-versions.ts";
import { UnansweredError } from "./apis/produce.ts";
import type { BrokerApi, RequestContext } from "./broker-api.ts";
import { BrokerError } from "./broker-error.ts";
import type { RequestFault } from "./faults.ts";

/** What a connection knows of itself when a request comes. */
export type ConnectionContext = Omit<RequestContext, "version" | "clientId">;

/** What is to be done with a request. */
export interface Answer {
  /** The message in pieces, its size first; undefined: nothing is answered. */
  readonly pieces: readonly Buffer[] | undefined;
  readonly fault: RequestFault | undefined;
}

/** Bytes behind the error code of an answer that nothing is known of: empty in most grammars. */
const EMPTY_REST_BYTES = 16;

const requestCounts = new WeakMap<object, Map<string, number>>();

/**
 * Deals with one request.
 *
 * @param bytes header and body, without the size
 * @throws Error when it cannot be read, or has no answer: the connection is to be closed
 */
export async function answerRequest(bytes: Buffer, connection: ConnectionContext): Promise<Answer> {
  /*
   * Header, version 1; version 2 ends with tagged fields:
   *   request_api_key      INT16
   *   request_api_version  INT16
   *   correlation_id       INT32
   *   client_id            NULLABLE_STRING
   */
  const reader = new ByteReader(bytes);
  const key = reader.readInt16();
  const version = reader.readInt16();
  const correlationId = reader.readInt32();
  const clientId = reader.readNullableString() ?? "";
  const api = API_BY_KEY.get(key);
  if (api === undefined || version < api.minVersion || version > api.maxVersion) {
    return { pieces: refuseVersion(api, version, correlationId), fault: undefined };
  }
  const isFlexible = version >= api.flexibleFrom;
  if (isFlexible) skipTaggedFields(reader);
  const request = api.request.form.read(reader, version, isFlexible);

  const fault = findFault(api, version, clientId, connection);
  if (fault?.delayMs !== undefined) await sleep(fault.delayMs);
  await fault?.until;
  if (fault?.drop === "before") return { pieces: undefined, fault };
  const context = { ...connection, version, clientId };
  let response =
    fault?.errorCode === undefined
      ? await answerOrRefuse(api, request, context)
      : api.refuse(request, fault.errorCode, "A fault that was asked for");
  if (response === undefined) return { pieces: undefined, fault };
  if (fault?.throttleMs !== undefined) {
    response = { ...response, throttleTimeMs: fault.throttleMs };
  }
  const writer = openAnswer(correlationId, isFlexible && key !== API_VERSIONS_KEY);
  api.response.form.write(writer, response, version, isFlexible);
  return { pieces: withSize(writer), fault };
}

async function answerOrRefuse(
  api: BrokerApi<unknown, unknown>,
  request: unknown,
  context: RequestContext,
): Promise<unknown> {
  try {
    return await api.answer(request, context);
  } catch (error) {
    if (error instanceof UnansweredError) throw error;
    if (error instanceof BrokerError) return api.refuse(request, error.errorCode, error.message);
    const said = error instanceof Error ? (error.stack ?? error.message) : String(error);
    context.broker.logger.error(`Cannot answer ${api.name}: ${said}`);
    return api.refuse(request, KAFKA_ERROR_CODE.UNKNOWN_SERVER_ERROR, "See the broker's log");
  }
}

/**
 * ApiVersions has an answer for this (KIP-511). For others the grammar of the
 * answer is not known here; most begin with throttle time and error code, and
 * what follows is empty.
 */
function refuseVersion(
  api: BrokerApi<unknown, unknown> | undefined,
  version: number,
  correlationId: number,
): readonly Buffer[] {
  const { UNSUPPORTED_VERSION } = KAFKA_ERROR_CODE;
  const isApiVersions = api?.key === API_VERSIONS_KEY;
  const isFlexible = api !== undefined && !isApiVersions && version >= api.flexibleFrom;
  const writer = openAnswer(correlationId, isFlexible);
  if (isApiVersions) {
    api.response.form.write(writer, api.refuse(undefined, UNSUPPORTED_VERSION, ""), 0, false);
  } else {
    writer.fields.writeInt32(0);
    writer.fields.writeInt16(UNSUPPORTED_VERSION);
    writer.fields.writeRaw(Buffer.alloc(EMPTY_REST_BYTES));
  }
  return withSize(writer);
}

/** Header of an answer, version 0; version 1 ends with tagged fields. */
function openAnswer(correlationId: number, hasTaggedFields: boolean): PieceWriter {
  const writer = new PieceWriter();
  writer.fields.writeInt32(correlationId);
  if (hasTaggedFields) writer.fields.writeUnsignedVarint(0);
  return writer;
}

function withSize(writer: PieceWriter): readonly Buffer[] {
  const pieces = writer.finish();
  const size = Buffer.alloc(4);
  size.writeInt32BE(writer.length);
  return [size, ...pieces];
}

function findFault(
  { name }: BrokerApi<unknown, unknown>,
  version: number,
  clientId: string,
  { broker }: ConnectionContext,
): RequestFault | undefined {
  const { faults } = broker;
  if (faults.onRequest === undefined) return undefined;
  let counts = requestCounts.get(faults);
  if (counts === undefined) requestCounts.set(faults, (counts = new Map()));
  const number = (counts.get(name) ?? 0) + 1;
  counts.set(name, number);
  return faults.onRequest({ api: name, version, number, clientId });
}
