import { PcaptsError } from "../errors.ts";
import { requirePackage } from "../require-package.ts";

/** A login that is under way. */
export interface KerberosClient {
  readonly contextComplete: boolean;
  /** The principal, once the context is complete. */
  readonly username: string | null;
  /** @param token the broker's, base64 @returns the next one for it, base64, or nothing */
  step(token: string): Promise<string | null>;
  unwrap(token: string): Promise<string>;
  /**
   * @param offer what the broker offered, base64
   * @param options `user`: whom to act as; the answer then says "no security layer"
   */
  wrap(offer: string, options: { user: string }): Promise<string>;
}

/** What is used of the npm package `kerberos` 7. */
export interface KerberosModule {
  readonly version: string;
  readonly GSS_MECH_OID_KRB5: number;
  /** @param service SERVICE@HOST */
  initializeClient(
    service: string,
    options: { principal?: string; mechOID: number },
  ): Promise<KerberosClient>;
}

/**
 * Loads the optional package `kerberos`, which needs the system's libkrb5.
 *
 * @param load for tests; by default `require`
 * @throws PcaptsError KERBEROS_UNAVAILABLE
 */
export function loadKerberos(load: (name: string) => unknown = requirePackage): KerberosModule {
  try {
    return load("kerberos") as KerberosModule;
  } catch (cause) {
    throw new PcaptsError(
      "KERBEROS_UNAVAILABLE",
      `Cannot log in with Kerberos (sasl.mechanism=GSSAPI): ${reasonOf(cause)}`,
      { cause },
    );
  }
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  if ("code" in cause && cause.code === "MODULE_NOT_FOUND") {
    return (
      'the optional package "kerberos" is not installed or not built; npm install kerberos adds it, ' +
      "building it needs libkrb5's headers (Debian: libkrb5-dev)"
    );
  }
  const library = /Opening library (\S+) failed/.exec(cause.message)?.[1];
  if (library !== undefined) {
    return `the system has no ${library}; install Kerberos's libraries (Debian: libgssapi-krb5-2)`;
  }
  return `${cause.message.split("\n", 1)[0]!} (npm rebuild kerberos builds it for this Node)`;
}
