import type { SecureContextOptions } from "node:tls";

/** How brokers are spoken to; left out, in plain text and without a login. */
export interface SecurityOptions {
  /** `security.protocol` */
  readonly protocol: "plaintext" | "ssl" | "sasl_plaintext" | "sasl_ssl";
  /** For `ssl` and `sasl_ssl`. */
  readonly tls: TlsOptions | undefined;
  /** For `sasl_plaintext` and `sasl_ssl`. */
  readonly sasl: SaslOptions | undefined;
}

/** TLS: whom to trust, and who this client is. */
export interface TlsOptions {
  /** Authorities, certificate, key, ciphers, as Node's `tls.createSecureContext` takes them. */
  readonly context: SecureContextOptions;
  /** `enable.ssl.certificate.verification` (true) */
  readonly verifyCertificate: boolean;
  /** `ssl.endpoint.identification.algorithm=https`: the certificate must be for the broker's host. */
  readonly verifyHost: boolean;
  /** The client's own name, `CN=probe,O=Example`; undefined without a certificate of its own. */
  readonly subject: string | undefined;
}

/** How to log in. */
export type SaslOptions = PasswordOptions | KerberosOptions | OauthOptions;

/** Login with a password. */
export interface PasswordOptions {
  readonly mechanism: "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512";
  /** `sasl.username` */
  readonly username: string;
  /** `sasl.password` */
  readonly password: string;
}

/** Login with a Kerberos ticket. */
export interface KerberosOptions {
  readonly mechanism: "GSSAPI";
  /** `sasl.kerberos.service.name` (kafka): brokers are SERVICE/HOST@REALM. */
  readonly serviceName: string;
  /** `sasl.kerberos.principal`; undefined: the keytab's first, or the ticket cache's. */
  readonly principal: string | undefined;
  /** `sasl.kerberos.keytab`, a path; undefined: tickets come from the user's ticket cache. */
  readonly keytab: string | undefined;
}

/** Login with an OAuth token. */
export interface OauthOptions {
  readonly mechanism: "OAUTHBEARER";
  readonly token: TokenOptions;
  /** `sasl.oauthbearer.extensions` */
  readonly extensions: Readonly<Record<string, string>>;
}

/** Where tokens come from. */
export type TokenOptions =
  /** `sasl.oauthbearer.token` */
  | { readonly kind: "static"; readonly token: string }
  /** `sasl.oauthbearer.config`: unsigned, for tests. */
  | {
      readonly kind: "unsigned";
      /** What the token says, but for its times. */
      readonly claims: Readonly<Record<string, unknown>>;
      readonly lifeSeconds: number;
    }
  /** `sasl.oauthbearer.method=oidc`: asked for with client credentials. */
  | {
      readonly kind: "endpoint";
      readonly url: string;
      readonly clientId: string;
      readonly clientSecret: string;
      readonly scope: string | undefined;
      /** Authorities of the endpoint's certificate, PEM; undefined: the ones Node knows. */
      readonly ca: readonly string[] | undefined;
    };
