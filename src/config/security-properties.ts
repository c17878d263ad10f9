import type { PropertyRow } from "./kafka-properties.ts";

/*
 * The part of the property table that decides how brokers are spoken to and
 * who speaks: TLS and SASL. security-settings.ts says what they come to.
 */

/** Security properties with a meaning, under librdkafka's names unless `differs` says why not. */
export const SECURITY_PROPERTY_TABLE = [
  {
    name: "security.protocol",
    mode: "both",
    value: { type: "choice", choices: ["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] },
    default: "plaintext",
    help: "how the brokers are spoken to: with TLS (ssl), with a login (sasl_plaintext), with both (sasl_ssl)",
  },
  {
    name: "sasl.mechanisms",
    aliases: ["sasl.mechanism"],
    mode: "both",
    value: {
      type: "choice",
      choices: ["GSSAPI", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"],
    },
    default: "GSSAPI",
    help: "how to log in; GSSAPI is Kerberos",
  },
  {
    name: "sasl.username",
    mode: "both",
    value: { type: "text" },
    help: "user of PLAIN and SCRAM",
  },
  {
    name: "sasl.password",
    mode: "both",
    value: { type: "text" },
    secret: true,
    help: "password of PLAIN and SCRAM",
  },
  {
    name: "sasl.kerberos.service.name",
    mode: "both",
    value: { type: "text" },
    default: "kafka",
    help: "first part of the brokers' Kerberos principal, before /HOST@REALM",
  },
  {
    name: "sasl.kerberos.keytab",
    mode: "both",
    value: { type: "text" },
    help: "keytab to get tickets with; without one the ticket cache of the user is used, as kinit filled it",
  },
  {
    name: "sasl.kerberos.principal",
    mode: "both",
    value: { type: "text" },
    help: "principal to log in as; the first of the keytab, or the ticket cache's, when it is left out",
    differs: "librdkafka's default, kafkaclient, is a principal that hardly any realm has",
  },
  {
    name: "sasl.oauthbearer.method",
    mode: "both",
    value: { type: "choice", choices: ["default", "oidc"] },
    default: "default",
    help: "oidc asks sasl.oauthbearer.token.endpoint.url for tokens; default takes sasl.oauthbearer.token",
  },
  {
    name: "sasl.oauthbearer.grant.type",
    mode: "both",
    value: {
      type: "choice",
      choices: ["client_credentials"],
      later: {
        "urn:ietf:params:oauth:grant-type:jwt-bearer":
          "use client_credentials, with a client secret",
      },
    },
    default: "client_credentials",
    help: "how the token endpoint is asked",
  },
  {
    name: "sasl.oauthbearer.token.endpoint.url",
    mode: "both",
    value: { type: "text" },
    help: "http or https address of the token endpoint",
  },
  {
    name: "sasl.oauthbearer.client.id",
    aliases: ["sasl.oauthbearer.client.credentials.client.id"],
    mode: "both",
    value: { type: "text" },
    help: "name of this program at the token endpoint",
  },
  {
    name: "sasl.oauthbearer.client.secret",
    aliases: ["sasl.oauthbearer.client.credentials.client.secret"],
    mode: "both",
    value: { type: "text" },
    secret: true,
    help: "secret of this program at the token endpoint",
  },
  {
    name: "sasl.oauthbearer.scope",
    mode: "both",
    value: { type: "text" },
    help: "scope that the token endpoint is asked for",
  },
  {
    name: "sasl.oauthbearer.extensions",
    mode: "both",
    value: { type: "text" },
    help: "sent to the broker beside the token: KEY=VALUE, separated by commas",
  },
  {
    name: "sasl.oauthbearer.token",
    mode: "both",
    value: { type: "text" },
    secret: true,
    help: "a token that was got elsewhere; used until the broker refuses it",
    differs: "librdkafka takes such a token from a program alone",
  },
  {
    name: "enable.sasl.oauthbearer.unsecure.jwt",
    mode: "both",
    value: { type: "boolean" },
    default: "false",
    help: "make unsigned tokens from sasl.oauthbearer.config; for tests alone",
  },
  {
    name: "sasl.oauthbearer.config",
    mode: "both",
    value: { type: "text" },
    secret: true,
    help: "what an unsigned token says: principal=NAME, scope=A,B, lifeSeconds=3600, extension_NAME=VALUE, separated by blanks",
  },
  {
    name: "https.ca.location",
    mode: "both",
    value: { type: "text" },
    help: "file or directory of the authorities that the token endpoint's certificate may come from",
  },
  {
    name: "https.ca.pem",
    mode: "both",
    value: { type: "text" },
    help: "the same as PEM text",
  },
  {
    name: "ssl.ca.location",
    mode: "both",
    value: { type: "text" },
    help: "file or directory of the authorities that brokers' certificates may come from; the system's when it is left out",
  },
  {
    name: "ssl.ca.pem",
    mode: "both",
    value: { type: "text" },
    help: "the same as PEM text",
  },
  {
    name: "ssl.certificate.location",
    mode: "both",
    value: { type: "text" },
    help: "file of the client's certificate, PEM, with those between it and its authority",
  },
  {
    name: "ssl.certificate.pem",
    mode: "both",
    value: { type: "text" },
    help: "the same as PEM text",
  },
  {
    name: "ssl.key.location",
    mode: "both",
    value: { type: "text" },
    help: "file of the client's private key, PEM",
  },
  {
    name: "ssl.key.pem",
    mode: "both",
    value: { type: "text" },
    secret: true,
    help: "the same as PEM text",
  },
  {
    name: "ssl.key.password",
    mode: "both",
    value: { type: "text" },
    secret: true,
    help: "password of the private key",
  },
  {
    name: "ssl.keystore.location",
    mode: "both",
    value: { type: "text" },
    help: "PKCS#12 file with the client's certificate and key, instead of two PEM files",
  },
  {
    name: "ssl.keystore.password",
    mode: "both",
    value: { type: "text" },
    secret: true,
    help: "password of the PKCS#12 file",
  },
  {
    name: "ssl.crl.location",
    mode: "both",
    value: { type: "text" },
    help: "file of certificates that are revoked, PEM",
  },
  {
    name: "ssl.cipher.suites",
    mode: "both",
    value: { type: "text" },
    help: "ciphers that TLS may use, in OpenSSL's words",
  },
  {
    name: "ssl.curves.list",
    mode: "both",
    value: { type: "text" },
    help: "curves that TLS may use, in OpenSSL's words",
  },
  {
    name: "ssl.sigalgs.list",
    mode: "both",
    value: { type: "text" },
    help: "signature algorithms that TLS may use, in OpenSSL's words",
  },
  {
    name: "ssl.endpoint.identification.algorithm",
    mode: "both",
    value: { type: "choice", choices: ["none", "https"] },
    default: "https",
    help: "https: a broker's certificate must be for the host it is reached at; none: it may be for any",
  },
  {
    name: "enable.ssl.certificate.verification",
    mode: "both",
    value: { type: "boolean" },
    default: "true",
    help: "refuse brokers whose certificate is not valid; false lets anybody pose as a broker",
  },
] as const satisfies readonly PropertyRow[];
