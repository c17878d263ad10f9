import { PcaptsError } from "../errors.ts";
import type { SaslOptions, SecurityOptions } from "../kafka/security-options.ts";
import { isSecretProperty } from "./kafka-properties.ts";
import { settleOauth } from "./oauth-settings.ts";
import { readSecurityFile } from "./security-files.ts";
import { needed, type SecuritySettings, subjectOf } from "./security-values.ts";
import { settleTls } from "./tls-settings.ts";

/**
 * Turns the properties of TLS and SASL into options of the library, and reads
 * the files that they name.
 *
 * @throws PcaptsError USAGE: something is missing, contradicts the rest, or cannot be read
 */
export function settleSecurity(settings: SecuritySettings): SecurityOptions {
  const { values, notes } = settings;
  const protocol = values["security.protocol"];
  const usesTls = protocol === "ssl" || protocol === "sasl_ssl";
  const usesSasl = protocol === "sasl_plaintext" || protocol === "sasl_ssl";
  noteUnused(settings, "ssl.", usesTls);
  noteUnused(settings, "sasl.", usesSasl);
  noteSecretsOnLine(settings);
  if (usesTls && !values["enable.ssl.certificate.verification"]) {
    notes.push({
      level: "warn",
      text: "enable.ssl.certificate.verification=false: anybody who can reach this machine's network may pose as a broker",
    });
  }
  return {
    protocol,
    tls: usesTls ? settleTls(settings) : undefined,
    sasl: usesSasl ? settleSasl(settings) : undefined,
  };
}

function settleSasl(settings: SecuritySettings): SaslOptions {
  const { values } = settings;
  const mechanism = values["sasl.mechanisms"];
  switch (mechanism) {
    case "GSSAPI": {
      const keytab = values["sasl.kerberos.keytab"];
      if (keytab !== undefined) {
        checkKeytab(keytab, subjectOf(settings, "sasl.kerberos.keytab"));
      }
      return {
        mechanism,
        serviceName: values["sasl.kerberos.service.name"],
        principal: values["sasl.kerberos.principal"],
        keytab,
      };
    }
    case "OAUTHBEARER":
      return settleOauth(settings);
    default:
      return {
        mechanism,
        username: needed(settings, "sasl.username", `sasl.mechanism=${mechanism}`),
        password: needed(settings, "sasl.password", `sasl.mechanism=${mechanism}`),
      };
  }
}

/** Version 1 or 2 of the format, whose first byte is 5. */
function checkKeytab(path: string, subject: string): void {
  const content = readSecurityFile(path.replace(/^(WR)?FILE:/, ""), subject);
  if (content[0] === 5 && (content[1] === 1 || content[1] === 2)) return;
  throw new PcaptsError(
    "USAGE",
    `${subject}: "${path}" is not a keytab; "kadmin ktadd -k FILE PRINCIPAL" makes one`,
  );
}

/** Who names a keytab and forgets `security.protocol` would be let in nowhere and not know why. */
function noteUnused(
  { values, given, notes }: SecuritySettings,
  prefix: string,
  used: boolean,
): void {
  if (used) return;
  const names = [...given.values()]
    .map(({ name }) => name)
    .filter((name) => name.startsWith(prefix));
  if (names.length === 0) return;
  const protocol = values["security.protocol"];
  notes.push({
    level: "warn",
    text:
      `${names.join(", ")}: not used with security.protocol=${protocol}; ` +
      `-X security.protocol=${prefix === "ssl." ? "ssl or sasl_ssl" : "sasl_plaintext or sasl_ssl"} uses it`,
  });
}

function noteSecretsOnLine({ given, notes }: SecuritySettings): void {
  for (const { name, origin } of given.values()) {
    if (origin !== "-X" || !isSecretProperty(name)) continue;
    notes.push({
      level: "info",
      text:
        `-X ${name}: other users of this machine can read it in the list of processes; ` +
        `the file of --config or the environment would keep it from them`,
    });
  }
}
