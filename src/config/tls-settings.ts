import { X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import { PcaptsError } from "../errors.ts";
import type { TlsOptions } from "../kafka/security-options.ts";
import {
  readAuthorities,
  readSecurityFile,
  readSystemAuthorities,
  unfoldPem,
} from "./security-files.ts";
import {
  needed,
  type SecurityPropertyName,
  type SecuritySettings,
  subjectOf,
} from "./security-values.ts";

/** What OpenSSL says of a key, a certificate or a PKCS#12 file, and what it means. */
const MEANINGS: readonly (readonly [RegExp, string])[] = [
  [/key values mismatch/i, "the private key does not belong to the certificate"],
  [/mac verify failure/i, "its password is wrong"],
  [
    /bad decrypt|interrupted or cancelled|bad password read/i,
    "the key's password is missing or wrong (ssl.key.password)",
  ],
  [
    /unsupported/i,
    "it is encrypted in a way that OpenSSL 3 no longer reads; make it anew with openssl pkcs12 -export",
  ],
  [
    /not enough data|asn1|wrong tag|header too long/i,
    "it is no PKCS#12 file; a JKS keystore becomes one with keytool -importkeystore -deststoretype pkcs12",
  ],
  [/no start line|PEM lib/i, "it is no PEM text"],
  [/no cipher match/i, "OpenSSL knows none of these"],
];

/**
 * The TLS side of the settings.
 *
 * @throws PcaptsError USAGE: a file that cannot be read or used, a key without its certificate
 */
export function settleTls(settings: SecuritySettings): TlsOptions {
  const { values } = settings;
  const identity = readIdentity(settings);
  const context: SecureContextOptions = {
    ...identity.context,
    ...definedOnly({
      ca: mutable(
        settleAuthorities(settings, "ssl.ca.location", "ssl.ca.pem") ?? readSystemAuthorities(),
      ),
      crl: readIfGiven(settings, "ssl.crl.location")?.toString("latin1"),
      ciphers: values["ssl.cipher.suites"],
      ecdhCurve: values["ssl.curves.list"],
      sigalgs: values["ssl.sigalgs.list"],
    }),
  };
  checkContext(context, settings);
  return {
    context,
    verifyCertificate: values["enable.ssl.certificate.verification"],
    verifyHost: values["ssl.endpoint.identification.algorithm"] === "https",
    subject: identity.subject,
  };
}

/**
 * Authorities from a file or directory, or from PEM text.
 *
 * @returns undefined when neither was given
 * @throws PcaptsError USAGE
 */
export function settleAuthorities(
  settings: SecuritySettings,
  location: "ssl.ca.location" | "https.ca.location",
  pem: "ssl.ca.pem" | "https.ca.pem",
): readonly string[] | undefined {
  const path = settings.values[location];
  const text = settings.values[pem];
  refuseBoth(settings, location, pem);
  if (path !== undefined) return readAuthorities(path, subjectOf(settings, location));
  return text === undefined ? undefined : [unfoldPem(text)];
}

/** The client's own certificate and key, from PEM or PKCS#12. */
function readIdentity(settings: SecuritySettings): {
  context: SecureContextOptions;
  subject: string | undefined;
} {
  const { values } = settings;
  refuseBoth(settings, "ssl.certificate.location", "ssl.certificate.pem");
  refuseBoth(settings, "ssl.key.location", "ssl.key.pem");
  const certificate = readText(settings, "ssl.certificate.location", "ssl.certificate.pem");
  const key = readText(settings, "ssl.key.location", "ssl.key.pem");
  const keystore = readIfGiven(settings, "ssl.keystore.location");
  if (keystore !== undefined) {
    if (certificate !== undefined || key !== undefined) {
      throw new PcaptsError(
        "USAGE",
        "ssl.keystore.location holds certificate and key: leave it out, or ssl.certificate.… and ssl.key.…",
      );
    }
    const context = definedOnly({ pfx: keystore, passphrase: values["ssl.keystore.password"] });
    checkContext(context, settings);
    return { context, subject: undefined };
  }
  if (certificate === undefined && key === undefined) return { context: {}, subject: undefined };
  if (certificate === undefined) needed(settings, "ssl.certificate.location", "ssl.key.location");
  if (key === undefined) needed(settings, "ssl.key.location", "ssl.certificate.location");
  const context = definedOnly({
    cert: certificate,
    key,
    passphrase: values["ssl.key.password"],
  });
  checkContext(context, settings);
  return { context, subject: readSubject(certificate!) };
}

function readText(
  settings: SecuritySettings,
  location: "ssl.certificate.location" | "ssl.key.location",
  pem: "ssl.certificate.pem" | "ssl.key.pem",
): string | undefined {
  const text = settings.values[pem];
  return text === undefined ? readIfGiven(settings, location)?.toString("latin1") : unfoldPem(text);
}

function readIfGiven(
  settings: SecuritySettings,
  name:
    "ssl.certificate.location" | "ssl.key.location" | "ssl.keystore.location" | "ssl.crl.location",
): Buffer | undefined {
  const path = settings.values[name];
  return path === undefined ? undefined : readSecurityFile(path, subjectOf(settings, name));
}

function refuseBoth(
  { given }: SecuritySettings,
  one: SecurityPropertyName,
  other: SecurityPropertyName,
): void {
  if (!given.has(one) || !given.has(other)) return;
  throw new PcaptsError("USAGE", `${one} and ${other} say the same: leave one of them out`);
}

/** What OpenSSL will not take is said before anything is connected. */
function checkContext(context: SecureContextOptions, settings: SecuritySettings): void {
  try {
    createSecureContext(context);
  } catch (error) {
    const words = (error as Error).message;
    const meaning = MEANINGS.find(([pattern]) => pattern.test(words))?.[1];
    const names = NAMES_OF_CONTEXT.filter(
      ([field, name]) => field in context && settings.given.has(name),
    )
      .map(([, name]) => name)
      .join(", ");
    throw new PcaptsError(
      "USAGE",
      `${names === "" ? "TLS" : names}: ${meaning === undefined ? words : `${meaning} (${words})`}`,
      { cause: error },
    );
  }
}

const NAMES_OF_CONTEXT: readonly (readonly [keyof SecureContextOptions, SecurityPropertyName])[] = [
  ["pfx", "ssl.keystore.location"],
  ["cert", "ssl.certificate.location"],
  ["cert", "ssl.certificate.pem"],
  ["key", "ssl.key.location"],
  ["key", "ssl.key.pem"],
  ["ca", "ssl.ca.location"],
  ["ca", "ssl.ca.pem"],
  ["crl", "ssl.crl.location"],
  ["ciphers", "ssl.cipher.suites"],
  ["ecdhCurve", "ssl.curves.list"],
  ["sigalgs", "ssl.sigalgs.list"],
];

/** The name in a certificate as brokers write it: RFC 2253, its own part first. */
function readSubject(certificate: string): string | undefined {
  try {
    return new X509Certificate(certificate).subject.split("\n").toReversed().join(",");
  } catch {
    return undefined;
  }
}

function definedOnly(options: {
  [Name in keyof SecureContextOptions]: SecureContextOptions[Name] | undefined;
}): SecureContextOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function mutable(texts: readonly string[] | undefined): string[] | undefined {
  return texts === undefined ? undefined : [...texts];
}
