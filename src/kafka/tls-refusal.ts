import { PcaptsError } from "../errors.ts";
import type { TlsOptions } from "./security-options.ts";

/** What is wrong with a broker's certificate, by Node's code. */
const SERVER_CERTIFICATE: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "its certificate has expired; it needs a new one",
  CERT_NOT_YET_VALID: "its certificate is not valid yet; is the clock of this machine right?",
  CERT_REVOKED: "its certificate is revoked",
  CERT_UNTRUSTED: "its certificate is not trusted",
  CERT_SIGNATURE_FAILURE: "its certificate's signature is wrong",
  CRL_HAS_EXPIRED: "the list of revoked certificates has expired (ssl.crl.location)",
  UNABLE_TO_GET_CRL: "there is no list of revoked certificates of its authority (ssl.crl.location)",
};

/** Codes of a certificate whose authority is not known here. */
const UNKNOWN_AUTHORITY = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "INVALID_CA",
]);

/** Alerts that a broker sends about the client's certificate. */
const CLIENT_CERTIFICATE =
  /ALERT_(CERTIFICATE_(REQUIRED|EXPIRED|UNKNOWN|REVOKED)|BAD_CERTIFICATE|UNKNOWN_CA|NO_CERTIFICATE|UNSUPPORTED_CERTIFICATE|ACCESS_DENIED)|ALERT_UNKNOWN_CA/;

/**
 * What is wrong with a server's certificate.
 *
 * @returns undefined when the error is not about that
 */
export function describeTlsFailure(error: unknown): string | undefined {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === undefined) return undefined;
  if (UNKNOWN_AUTHORITY.has(code))
    return "its certificate is from an authority that is not trusted here";
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    const names = /altnames: (.*)$/s.exec(message)?.[1];
    return `its certificate is for another host${names === undefined ? "" : `: ${names}`}`;
  }
  return SERVER_CERTIFICATE[code];
}

/**
 * Turns a TLS failure into an error for an operator.
 *
 * @param address host:port of the broker
 * @param error of Node's or kafkajs's, with Node's code
 * @returns undefined when the error is no refusal: trying again may help
 */
export function tlsRefusal(
  address: string,
  error: unknown,
  tls: TlsOptions,
): PcaptsError | undefined {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === undefined) return undefined;
  const refuse = (reason: string): PcaptsError =>
    new PcaptsError("TLS_FAILED", `Cannot trust the broker at "${address}": ${reason}`, {
      cause: error,
    });
  const server = describeTlsFailure(error);
  if (server !== undefined) {
    if (UNKNOWN_AUTHORITY.has(code)) {
      return refuse(`${server} (${code}); name that authority's file with -X ssl.ca.location=`);
    }
    if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
      return refuse(
        `${server}; reach it by a name of its certificate, ` +
          "or say -X ssl.endpoint.identification.algorithm=none",
      );
    }
    return refuse(server);
  }
  if (!code.startsWith("ERR_SSL_") && !code.startsWith("ERR_TLS_")) return undefined;
  const reject = (reason: string): PcaptsError =>
    new PcaptsError("TLS_FAILED", `The broker at "${address}" ${reason}`, { cause: error });
  if (CLIENT_CERTIFICATE.test(code)) {
    const hasCertificate = tls.context.cert !== undefined || tls.context.pfx !== undefined;
    if (!hasCertificate) {
      return reject(
        "demands a certificate of the client, and there is none; " +
          "give -X ssl.certificate.location= and -X ssl.key.location=, or -X ssl.keystore.location=",
      );
    }
    const why = code.includes("EXPIRED")
      ? "it has expired"
      : code.includes("REVOKED")
        ? "it is revoked"
        : code.includes("UNKNOWN_CA")
          ? "its authority is not one that the broker trusts"
          : "it has expired, is from an authority that the broker does not trust, or is not one for clients; " +
            "the broker's log tells which";
    return reject(
      `refuses this client's certificate${tls.subject === undefined ? "" : ` (${tls.subject})`}: ${why} (${alertOf(code)})`,
    );
  }
  if (
    /PROTOCOL_VERSION|HANDSHAKE_FAILURE|NO_SHARED|INSUFFICIENT_SECURITY|UNSUPPORTED_PROTOCOL/.test(
      code,
    )
  ) {
    return reject(
      `and this client have no TLS version or cipher in common (${alertOf(code)}); ` +
        "see ssl.cipher.suites here and ssl.enabled.protocols at the broker",
    );
  }
  // What answers, answers without TLS: the probe of the listener says more.
  if (/WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST/.test(code)) return undefined;
  return reject(`ended the TLS handshake: ${message.replace(/^Connection error: /, "").trim()}`);
}

/** "certificate unknown" of ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN. */
function alertOf(code: string): string {
  return code
    .replace(/^ERR_SSL_((SSLV3|TLSV1|TLSV13|TLS)_)?(ALERT_)?/, "")
    .replaceAll("_", " ")
    .toLowerCase();
}
