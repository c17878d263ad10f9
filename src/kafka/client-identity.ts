import { PcaptsError } from "../errors.ts";
import { createTokenSource } from "./oauth-token.ts";
import { GssapiMechanism } from "./sasl-gssapi.ts";
import type { SaslMechanism } from "./sasl-mechanism.ts";
import { OauthMechanism } from "./sasl-oauthbearer.ts";
import { PasswordMechanism } from "./sasl-password.ts";
import type { PasswordProvider } from "./sasl-password.ts";
import type { SaslOptions, SecurityOptions } from "./security-options.ts";
import { tlsRefusal } from "./tls-refusal.ts";

/** Who a client is to brokers. */
export interface Principal {
  /** As an ACL names it, unless the brokers map names in a way of their own: "User:alice". */
  readonly name: string;
  /** For messages: "User:alice (alice@EXAMPLE.COM)". */
  readonly shown: string;
}

/** A client without certificate and login. */
export const ANONYMOUS: Principal = { name: "User:ANONYMOUS", shown: "User:ANONYMOUS" };

/** kafkajs's providers of mechanisms with passwords. */
export type PasswordProviders = Readonly<
  Record<"PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512", PasswordProvider>
>;

const PLAINTEXT: SecurityOptions = { protocol: "plaintext", tls: undefined, sasl: undefined };

/** How the connections of a run are protected, and who it is to the brokers. */
export class ClientIdentity {
  readonly security: SecurityOptions;
  /** One for all connections, so that they share tokens. */
  readonly mechanism: SaslMechanism | undefined;

  constructor(security: SecurityOptions | undefined, providers: PasswordProviders) {
    this.security = security ?? PLAINTEXT;
    const { sasl } = this.security;
    this.mechanism = sasl === undefined ? undefined : createMechanism(sasl, providers);
  }

  /** Who the brokers' ACLs have to name. */
  get principal(): Principal {
    const { mechanism, security } = this;
    if (mechanism === undefined) {
      const subject = security.tls?.subject;
      return subject === undefined
        ? ANONYMOUS
        : { name: `User:${subject}`, shown: `User:${subject}` };
    }
    const { user, shortUser } = mechanism;
    if (user === undefined) {
      const where = mechanism.name === "GSSAPI" ? "ticket cache" : "token";
      return { name: "User:NAME", shown: `the user of the ${where}` };
    }
    const name = `User:${shortUser}`;
    return { name, shown: user === shortUser ? name : `${name} (${user})` };
  }

  /**
   * What a refusal of a login or a certificate is to a user.
   *
   * @param address host:port of the broker
   * @param error what connecting threw
   * @param offered mechanisms that the broker knows, if it said so
   * @returns undefined when the error is none of these
   */
  refusal(
    address: string,
    error: unknown,
    offered: readonly string[] | undefined,
  ): PcaptsError | undefined {
    const { tls } = this.security;
    const { mechanism } = this;
    if (mechanism !== undefined) {
      const { type, name, message } = error as { type?: string; name?: string; message?: string };
      const who = `Cannot log in to Kafka at "${address}" as ${this.principal.shown} with ${mechanism.name}`;
      const refuse = (reason: string): PcaptsError =>
        new PcaptsError("AUTHENTICATION_FAILED", `${who}: ${reason}`, { cause: error });
      if (type === "UNSUPPORTED_SASL_MECHANISM") {
        const known = offered === undefined ? "" : `, it knows ${offered.join(", ")}`;
        return refuse(`the broker does not know this mechanism${known} (sasl.mechanism)`);
      }
      if (type === "ILLEGAL_SASL_STATE") {
        return new PcaptsError(
          "LISTENER_MISMATCH",
          `${who}: this listener takes no login; ` +
            `say -X security.protocol=${tls === undefined ? "plaintext" : "ssl"}, or choose another port`,
          { cause: error },
        );
      }
      if (type === "SASL_AUTHENTICATION_FAILED") {
        return refuse(`${message ?? type}${ADVICE[mechanism.name] ?? ""}`);
      }
      if (name === "KafkaJSSASLAuthenticationError") return refuse(message ?? name);
    }
    return tls === undefined ? undefined : tlsRefusal(address, error, tls);
  }
}

const ADVICE: Readonly<Record<string, string>> = {
  PLAIN: "; check sasl.username and sasl.password",
  "SCRAM-SHA-256": "; check sasl.username and sasl.password",
  "SCRAM-SHA-512": "; check sasl.username and sasl.password",
  GSSAPI: "; the broker's log has Kerberos's reason",
  OAUTHBEARER: "; the broker's log has the reason",
};

function createMechanism(sasl: SaslOptions, providers: PasswordProviders): SaslMechanism {
  switch (sasl.mechanism) {
    case "GSSAPI":
      return new GssapiMechanism(sasl);
    case "OAUTHBEARER":
      return new OauthMechanism(createTokenSource(sasl.token), sasl.extensions);
    default:
      return new PasswordMechanism(sasl, providers[sasl.mechanism]);
  }
}
