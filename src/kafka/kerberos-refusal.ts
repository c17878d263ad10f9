import { PcaptsError } from "../errors.ts";
import { CredentialsError } from "./credentials-error.ts";
import { listKeytabPrincipals } from "./keytab.ts";
import type { KerberosOptions } from "./security-options.ts";

/** In what may pass by itself: trying again can help. */
const TEMPORARY =
  /cannot contact any kdc|cannot resolve network address for kdc|resource temporarily/i;

/** True when a ticket is over: with a keytab there is another to be had. */
export function isTicketExpired({ message }: Error): boolean {
  return /(ticket|context has) expired/i.test(message);
}

/**
 * Turns an error of libkrb5's into one for an operator: its words, and what to do.
 *
 * @param error of the package `kerberos`
 * @param service whom the ticket was to be for: "kafka@broker1"
 */
export function kerberosRefusal(error: Error, service: string, options: KerberosOptions): Error {
  const words = wordsOf(error.message);
  const { keytab, principal } = options;
  const who = principal === undefined ? "" : ` as "${principal}"`;
  const from = keytab === undefined ? "the ticket cache" : `keytab "${keytab}"`;
  const advice = adviceFor(words, error, service, options);
  const message =
    `Cannot log in to Kafka${who} with GSSAPI and ${from}: ${words}` +
    (advice === undefined ? "" : `; ${advice}`);
  const mayPass = TEMPORARY.test(words) || (keytab !== undefined && isTicketExpired(error));
  return mayPass
    ? new CredentialsError(message, { cause: error })
    : new PcaptsError("AUTHENTICATION_FAILED", message, { cause: error });
}

/** "Unspecified GSS failure.  Minor code may provide more information: …" says nothing before the colon. */
function wordsOf(message: string): string {
  return message
    .replace(/^.*Minor code may provide more information:?\s*/s, "")
    .replace(/^No credentials were supplied, or .* inaccessible:\s*(?=\S)/s, "")
    .replace(/(: Success)?\.*$/, "")
    .trim();
}

function adviceFor(
  words: string,
  error: Error,
  service: string,
  { keytab, principal }: KerberosOptions,
): string | undefined {
  const host = service.replace("@", "/");
  if (/cannot contact any kdc|cannot (find|resolve).* kdc/i.test(words)) {
    return "is a KDC of that realm named in /etc/krb5.conf (or KRB5_CONFIG), and does it run?";
  }
  if (/clock skew/i.test(words)) return "set the clock of this machine by the KDC's";
  if (/server.* not found in kerberos database|unknown server/i.test(words)) {
    return (
      `the KDC knows no ${host}@REALM: brokers must be reached by the name in their principal, ` +
      "and sasl.kerberos.service.name must be its first part"
    );
  }
  if (/client.* not found in kerberos database/i.test(words)) {
    return "the KDC does not know the principal (sasl.kerberos.principal)";
  }
  const held = keytab === undefined ? [] : listKeytabPrincipals(keytab);
  if (
    held.length > 0 &&
    /can't find client principal|no suitable keys|key table entry/i.test(words)
  ) {
    return `the keytab holds ${held.join(", ")}`;
  }
  if (/preauthentication failed|decrypt integrity check|password incorrect/i.test(words)) {
    return "the key was changed since the keytab was made: make it anew (kadmin ktadd)";
  }
  if (/expired/i.test(words)) {
    if (keytab === undefined) {
      return "get a ticket with kinit, or say sasl.kerberos.keytab, which gets new ones by itself";
    }
    return isTicketExpired(error) ? undefined : "the principal or its key has expired at the KDC";
  }
  if (
    /can't find client principal|no kerberos credentials|no credentials cache|credentials cache file|matching credential/i.test(
      words,
    )
  ) {
    if (keytab !== undefined) {
      return (
        "libkrb5 did not use the keytab: is the realm of the principal this machine's, " +
        "and has Node file capabilities (setcap), with which libkrb5 ignores the environment?"
      );
    }
    return (
      `get a ticket with kinit${principal === undefined ? "" : ` ${principal}`}, ` +
      "or say sasl.kerberos.keytab"
    );
  }
  if (/realm/i.test(words))
    return "/etc/krb5.conf (or KRB5_CONFIG) says which realm a host belongs to";
  return undefined;
}
