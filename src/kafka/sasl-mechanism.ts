/** What kafkajs gives a mechanism to log in with: it frames tokens and sends them. */
export interface SaslSession {
  readonly host: string;
  readonly port: number;
  readonly logger: unknown;
  saslAuthenticate(step: {
    request: { encode(): Promise<Buffer> };
    response: { decode(raw: Buffer): Promise<Buffer>; parse(token: Buffer): Promise<Buffer> };
  }): Promise<Buffer>;
}

/** A way to log in, with the credentials of this run. */
export interface SaslMechanism {
  /** As brokers call it: "SCRAM-SHA-512". */
  readonly name: string;
  /** Who logs in, as far as it is known: "alice", "alice@EXAMPLE.COM". */
  readonly user: string | undefined;
  /** What brokers make of `user` unless they are told otherwise: "alice". */
  readonly shortUser: string | undefined;
  /** Called before anything is connected. @throws PcaptsError: it cannot work */
  prepare(): void;
  /** Logs in, or logs in again on the same connection. @throws what the broker answered */
  authenticate(session: SaslSession): Promise<void>;
}

/**
 * Sends a token and returns the broker's. Each travels behind its length:
 *
 * ```
 *   length  INT32   -1 for none
 *   token
 * ```
 */
export async function exchangeToken(session: SaslSession, token: Buffer): Promise<Buffer> {
  const framed = Buffer.alloc(4 + token.length);
  framed.writeInt32BE(token.length);
  token.copy(framed, 4);
  return session.saslAuthenticate({
    request: { encode: async () => framed },
    response: { decode: async (raw) => raw, parse: async (raw) => raw.subarray(4) },
  });
}
