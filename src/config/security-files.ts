import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { getSystemErrorMap } from "node:util";
import { PcaptsError } from "../errors.ts";

/*
 * Files that security properties name. They are read once, when a run begins;
 * what cannot be read is a mistake in the settings.
 */

/** Where distributions keep the authorities that a system trusts; librdkafka looks there too. */
const SYSTEM_AUTHORITIES = [
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/certs/ca-bundle.crt",
  "/etc/pki/tls/certs/ca-bundle.trust.crt",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/ssl/cert.pem",
];

/**
 * Reads a file that a property names.
 *
 * @param path the property's value
 * @param subject the property, as messages name it: "-X ssl.key.location"
 * @throws PcaptsError USAGE
 */
export function readSecurityFile(path: string, subject: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new PcaptsError("USAGE", `${subject}: cannot read "${path}": ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

/**
 * Reads the certificates of a file, or of all files of a directory.
 *
 * @param path `probe` stands for the system's own, as in librdkafka
 * @param subject the property, as messages name it
 * @returns PEM texts; undefined for `probe` where the system has none
 * @throws PcaptsError USAGE: not readable, or no certificate in it
 */
export function readAuthorities(path: string, subject: string): readonly string[] | undefined {
  if (path === "probe") return readSystemAuthorities();
  const texts = listFiles(path, subject)
    .map((file) => readSecurityFile(file, subject).toString("latin1"))
    .filter(holdsCertificate);
  if (texts.length === 0) {
    throw new PcaptsError(
      "USAGE",
      `${subject}: there is no certificate in "${path}"; PEM text is expected, BEGIN CERTIFICATE`,
    );
  }
  return texts;
}

/** The authorities that the system trusts; undefined where it keeps none, so that Node's own count. */
export function readSystemAuthorities(): readonly string[] | undefined {
  for (const path of SYSTEM_AUTHORITIES) {
    try {
      const text = readFileSync(path, "latin1");
      if (holdsCertificate(text)) return [text];
    } catch {
      // Another distribution's place.
    }
  }
  return undefined;
}

/** PEM text as a property holds it: in one line, line ends may be written `\n`. */
export function unfoldPem(text: string): string {
  return text.includes("\n") ? text : text.replaceAll("\\n", "\n");
}

function holdsCertificate(text: string): boolean {
  return /-----BEGIN (TRUSTED |X509 )?CERTIFICATE-----/.test(text);
}

/** The file itself, or the files in a directory, hashed names of OpenSSL's among them. */
function listFiles(path: string, subject: string): readonly string[] {
  let isDirectory: boolean;
  try {
    isDirectory = statSync(path).isDirectory();
  } catch {
    return [path]; // Reading it says why not.
  }
  if (!isDirectory) return [path];
  try {
    return readdirSync(path)
      .map((name) => join(path, name))
      .filter((file) => statSync(file, { throwIfNoEntry: false })?.isFile() === true);
  } catch (error) {
    throw new PcaptsError("USAGE", `${subject}: cannot read "${path}": ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

function reasonOf(error: unknown): string {
  const { errno, message } = error as NodeJS.ErrnoException;
  return (errno === undefined ? undefined : getSystemErrorMap().get(errno)?.[1]) ?? message;
}
