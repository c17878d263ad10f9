import { connect, isIP } from "node:net";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { ByteReader } from "../bytes/byte-reader.ts";
import { KAFKA_ERROR_CODE } from "../kafka-wire/error-codes.ts";
import type { BrokerAddress } from "./client-options.ts";
import { formatAddress } from "./broker-connection.ts";
import type { SecurityOptions } from "./security-options.ts";

/** A listener that does not answer by then says nothing of itself. */
const TIMEOUT_MS = 1000;

const SASL_HANDSHAKE = 17;

/** A mechanism that no broker knows: the answer lists those it does. */
const NO_MECHANISM = "?";

/**
 * Finds out why a listener closed the connection: whether it speaks TLS, and
 * whether it wants a login, each asked on a connection of its own.
 *
 * @param security what it was spoken to with
 * @returns what does not fit and what to say instead; undefined when that is not the reason
 */
export async function findMismatch(
  address: BrokerAddress,
  { protocol, tls, sasl }: SecurityOptions,
): Promise<string | undefined> {
  const speaksTls = await asksForTls(address);
  if (speaksTls === undefined) return undefined;
  const answer = await askForMechanisms(address, speaksTls);
  // Who neither speaks TLS nor answers may be a broker that is just starting.
  if (!speaksTls && answer === undefined) return undefined;
  const mechanisms = answer === "no login" ? undefined : answer;
  const fits =
    speaksTls === (tls !== undefined) && (mechanisms === undefined || sasl !== undefined);
  if (fits) return undefined;
  const wantsLogin = mechanisms !== undefined;
  const right = `${wantsLogin ? "sasl_" : ""}${speaksTls ? "ssl" : "plaintext"}`;
  return (
    `The listener at "${formatAddress(address)}" ${speaksTls ? "speaks TLS" : "does not speak TLS"}` +
    `${wantsLogin ? " and wants a login" : ""}, and security.protocol is ${protocol}; ` +
    `say -X security.protocol=${right}, or choose another port` +
    (mechanisms === undefined || mechanisms.length === 0
      ? ""
      : ` (sasl.mechanism may be ${mechanisms.toSorted().join(", ")})`)
  );
}

/** @returns undefined when it cannot be told */
async function asksForTls(address: BrokerAddress): Promise<boolean | undefined> {
  const socket = openTls(address);
  return withinTime(socket, (resolve) => {
    socket.once("secureConnect", () => resolve(true));
    socket.once("error", ({ code }: NodeJS.ErrnoException) => {
      // An alert is TLS; so is a certificate that OpenSSL cannot read.
      if (code?.includes("ALERT") === true) resolve(true);
      else resolve(code === "ECONNREFUSED" ? undefined : false);
    });
  });
}

/** @returns the mechanisms that it knows; undefined when it says nothing */
async function askForMechanisms(
  address: BrokerAddress,
  withTls: boolean,
): Promise<readonly string[] | "no login" | undefined> {
  const socket: Socket = withTls ? openTls(address) : connect(address);
  return withinTime(socket, (resolve) => {
    let received = Buffer.alloc(0);
    socket.once(withTls ? "secureConnect" : "connect", () => socket.write(encodeSaslHandshake()));
    socket.once("error", () => resolve(undefined));
    socket.once("close", () => resolve(undefined));
    socket.on("data", (piece: Buffer) => {
      received = Buffer.concat([received, piece]);
      if (received.length < 4 || received.length < 4 + received.readInt32BE()) return;
      resolve(decodeSaslHandshake(received));
    });
  });
}

/** Whoever it is: nothing secret is sent. */
function openTls({ host, port }: BrokerAddress): ReturnType<typeof connectTls> {
  return connectTls({
    host,
    port,
    rejectUnauthorized: false,
    ...(isIP(host) === 0 && { servername: host }),
  });
}

async function withinTime<T>(
  socket: Socket,
  listen: (resolve: (answer: T | undefined) => void) => void,
): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const answer = await new Promise<T | undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), TIMEOUT_MS);
    listen(resolve);
  });
  clearTimeout(timer);
  socket.on("error", () => {});
  socket.destroy();
  return answer;
}

/**
 * SaslHandshake request (version 1):
 *
 * ```
 *   size INT32, api_key INT16, api_version INT16, correlation_id INT32, client_id NULLABLE_STRING
 *   mechanism  STRING
 * ```
 */
function encodeSaslHandshake(): Buffer {
  const request = Buffer.alloc(16 + NO_MECHANISM.length);
  request.writeInt32BE(request.length - 4, 0);
  request.writeInt16BE(SASL_HANDSHAKE, 4);
  request.writeInt16BE(1, 6);
  request.writeInt16BE(-1, 12);
  request.writeInt16BE(NO_MECHANISM.length, 14);
  request.write(NO_MECHANISM, 16);
  return request;
}

/**
 * Its answer:
 *
 * ```
 *   size INT32, correlation_id INT32
 *   error_code  INT16
 *   mechanisms  ARRAY of STRING
 * ```
 */
function decodeSaslHandshake(answer: Buffer): readonly string[] | "no login" | undefined {
  const reader = new ByteReader(answer, 8);
  try {
    if (reader.readInt16() === KAFKA_ERROR_CODE.ILLEGAL_SASL_STATE) return "no login";
    return Array.from({ length: reader.readArrayLength() }, () => reader.readString());
  } catch {
    return undefined;
  }
}
