import { API } from "../kafka-wire/api.ts";
import type { ApiName, EncodedRequest } from "../kafka-wire/api.ts";
import type { BrokerAddress } from "./client-options.ts";

/** An open connection to one broker. */
export interface BrokerConnection {
  readonly nodeId: number;
  /** host:port, for messages. */
  readonly address: string;
  /** False once the connection is lost; it does not come back, ask for a new one. */
  isOpen(): boolean;
  /** Highest version of a request that both sides know. */
  versionOf(api: ApiName): number;
  /**
   * Sends a request. Requests are written in the order of the calls, and the
   * pieces of their bodies are read until the answer arrives or `close()`.
   *
   * @throws ConnectionError when the connection is lost before the answer
   */
  send<Response>(request: EncodedRequest<Response>): Promise<Response>;
  /** Nobody reads the bytes of an answer any more: the next ones may be read into them. */
  giveBack(bytes: Buffer): void;
  /** Gives the connection up: unsent bytes are dropped, waiting requests fail. */
  close(reason: string): void;
}

/**
 * Frame and header of a request (header version 1):
 *
 * ```
 *   size            INT32   bytes that follow
 *   api_key         INT16
 *   api_version     INT16
 *   correlation_id  INT32
 *   client_id       NULLABLE_STRING
 * ```
 */
export function encodeRequestHeader(
  request: EncodedRequest<unknown>,
  correlationId: number,
  clientId: string,
): Buffer {
  const clientIdBytes = Buffer.byteLength(clientId);
  const header = Buffer.allocUnsafe(14 + clientIdBytes);
  let size = 10 + clientIdBytes;
  for (const piece of request.body) size += piece.length;
  header.writeInt32BE(size, 0);
  header.writeInt16BE(API[request.api].key, 4);
  header.writeInt16BE(request.version, 6);
  header.writeInt32BE(correlationId, 8);
  header.writeInt16BE(clientIdBytes, 12);
  header.write(clientId, 14);
  return header;
}

/** host:port, an IPv6 address in brackets. */
export function formatAddress({ host, port }: BrokerAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
