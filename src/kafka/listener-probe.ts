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
  const where = `The listener at "${formatAddress(address)}"`;
  const speaksTls = await asksForTls(address);
  const withLogin = sasl === undefined ? "" : "sasl_";
  if (speaksTls === true && tls === undefined) {
    return (
      `${where} speaks TLS, and security.protocol is ${protocol}; ` +
      (sasl === undefined
        ? "say -X security.protocol=ssl, or sasl_ssl where it also wants a login"
        : "say -X security.protocol=sasl_ssl")
    );
  }
  if (speaksTls === false && tls !== undefined) {
    const plain = `${withLogin}plaintext`;
    return (
      `${where} does not speak TLS, and security.protocol is ${protocol}; ` +
      `is it the right port? -X security.protocol=${plain} speaks to it without encryption`
    );
  }
  if (sasl !== undefined) return undefined;
  const mechanisms = await askForMechanisms(address, tls !== undefined);
  if (mechanisms === undefined) return undefined;
  return (
    `${where} wants a login, and security.protocol is ${protocol}; ` +
    `say -X security.protocol=${tls === undefined ? "sasl_plaintext" : "sasl_ssl"}` +
    (mechanisms.length === 0 ? "" : ` and a sasl.mechanism that it knows: ${mechanisms.join(", ")}`)
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

/** @returns undefined when it takes no login, or says nothing */
async function askForMechanisms(
  address: BrokerAddress,
  withTls: boolean,
): Promise<readonly string[] | undefined> {
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
function decodeSaslHandshake(answer: Buffer): readonly string[] | undefined {
  const reader = new ByteReader(answer, 8);
  try {
    if (reader.readInt16() === KAFKA_ERROR_CODE.ILLEGAL_SASL_STATE) return undefined;
    return Array.from({ length: reader.readArrayLength() }, () => reader.readString());
  } catch {
    return undefined;
  }
}
