import { createSecureContext } from "node:tls";
import type { SecureContext } from "node:tls";
import type { TlsOptions } from "./security-options.ts";

/** What Node's `tls.connect` takes, for every connection of a run. */
export interface TlsSettings {
  readonly secureContext: SecureContext;
  readonly rejectUnauthorized: boolean;
  readonly checkServerIdentity?: () => undefined;
}

/** Loads authorities, certificate and key once. */
export function createTlsSettings(tls: TlsOptions): TlsSettings {
  return {
    secureContext: createSecureContext(tls.context),
    rejectUnauthorized: tls.verifyCertificate,
    ...(!tls.verifyHost && { checkServerIdentity: () => undefined }),
  };
}
