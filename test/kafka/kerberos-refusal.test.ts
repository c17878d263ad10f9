import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { PcaptsError } from "../../src/errors.ts";
import { CredentialsError } from "../../src/kafka/credentials-error.ts";
import { loadKerberos } from "../../src/kafka/kerberos-module.ts";
import { kerberosRefusal } from "../../src/kafka/kerberos-refusal.ts";
import { listKeytabPrincipals } from "../../src/kafka/keytab.ts";
import type { KerberosOptions } from "../../src/kafka/security-options.ts";

const directory = mkdtempSync(path.join(tmpdir(), "pcapts-kerberos-"));
after(() => rmSync(directory, { recursive: true, force: true }));

const text = (value: string): Buffer => {
  const bytes = Buffer.alloc(2 + value.length);
  bytes.writeUInt16BE(value.length);
  bytes.write(value, 2);
  return bytes;
};

/** An entry of a keytab as ktadd writes it, but for its key. */
function entry(realm: string, ...components: readonly string[]): Buffer {
  const count = Buffer.alloc(2);
  count.writeUInt16BE(components.length);
  const rest = Buffer.from([0, 0, 0, 1, 0x65, 0, 0, 0, 2, 0, 18, 0, 0]);
  const body = Buffer.concat([count, text(realm), ...components.map(text), rest]);
  const size = Buffer.alloc(4);
  size.writeInt32BE(body.length);
  return Buffer.concat([size, body]);
}

const hole = Buffer.concat([Buffer.from([255, 255, 255, 252]), Buffer.alloc(4)]);

function writeKeytab(name: string, ...entries: readonly Buffer[]): string {
  const file = path.join(directory, name);
  writeFileSync(file, Buffer.concat([Buffer.from([5, 2]), ...entries]));
  return file;
}

const keytab = writeKeytab(
  "probe.keytab",
  entry("EXAMPLE.COM", "probe"),
  hole,
  entry("EXAMPLE.COM", "probe"),
  entry("EXAMPLE.COM", "kafka", "broker1"),
);

const withKeytab: KerberosOptions = {
  mechanism: "GSSAPI",
  serviceName: "kafka",
  principal: "bob@EXAMPLE.COM",
  keytab,
};
const withCache: KerberosOptions = { ...withKeytab, principal: undefined, keytab: undefined };

const MINOR = "Unspecified GSS failure.  Minor code may provide more information: ";

const refuse = (words: string, options: KerberosOptions): Error =>
  kerberosRefusal(new Error(words), "kafka@broker1", options);

test("listKeytabPrincipals() lists each principal once and passes holes by", () => {
  assert.deepEqual(listKeytabPrincipals(keytab), [
    "probe@EXAMPLE.COM",
    "kafka/broker1@EXAMPLE.COM",
  ]);
  assert.deepEqual(listKeytabPrincipals(path.join(directory, "none")), []);
  const cut = writeKeytab("cut.keytab", entry("R", "a"), entry("R", "b").subarray(0, 9));
  assert.deepEqual(listKeytabPrincipals(cut), ["a@R"]);
});

test("libkrb5's words are kept and followed by what to do", () => {
  const cases: readonly (readonly [string, KerberosOptions, RegExp])[] = [
    [
      "No credentials were supplied, or the credentials were unavailable or inaccessible: Can't find client principal bob@EXAMPLE.COM in cache collection",
      withKeytab,
      /as "bob@EXAMPLE\.COM" with GSSAPI and keytab "\S+": Can't find client principal bob@EXAMPLE\.COM in cache collection; the keytab holds probe@EXAMPLE\.COM, kafka\/broker1@EXAMPLE\.COM$/,
    ],
    [
      "No credentials were supplied, or the credentials were unavailable or inaccessible: No Kerberos credentials available (default cache: FILE:/tmp/krb5cc_0)",
      withCache,
      /with GSSAPI and the ticket cache: No Kerberos credentials available \(.*\); get a ticket with kinit, or say sasl\.kerberos\.keytab$/,
    ],
    [
      `${MINOR}Server kafka/broker1@EXAMPLE.COM not found in Kerberos database`,
      withKeytab,
      /: Server kafka\/broker1@EXAMPLE\.COM not found in Kerberos database; the KDC knows no kafka\/broker1@REALM/,
    ],
    [`${MINOR}Clock skew too great`, withKeytab, /: Clock skew too great; set the clock/],
    [`${MINOR}Ticket expired`, withCache, /: Ticket expired; get a ticket with kinit/],
    [
      `${MINOR}Preauthentication failed`,
      withKeytab,
      /the key was changed since the keytab was made/,
    ],
    ["Something new", withCache, /: Something new$/],
  ];
  for (const [words, options, message] of cases) {
    const refusal = refuse(words, options);
    assert.ok(refusal instanceof PcaptsError && refusal.code === "AUTHENTICATION_FAILED", words);
    assert.match(refusal.message, message);
  }
});

test("a KDC that is away, and a ticket that a keytab will replace, may pass", () => {
  for (const words of [
    `${MINOR}Cannot contact any KDC for realm 'EXAMPLE.COM'`,
    `${MINOR}Ticket expired`,
    "The referenced context has expired: Success",
  ]) {
    const refusal = refuse(words, withKeytab);
    assert.ok(refusal instanceof CredentialsError, words);
    assert.equal(refusal.asRefusal().code, "AUTHENTICATION_FAILED");
  }
});

test("without the package, or without the system's library, one sentence says what to install", () => {
  const absent = Object.assign(new Error("Cannot find module 'kerberos'"), {
    code: "MODULE_NOT_FOUND",
  });
  const library = new Error("Opening library libgssapi_krb5.so.2 failed: no such file");
  const cases: readonly (readonly [Error, RegExp])[] = [
    [
      absent,
      /the optional package "kerberos" is not installed or not built; npm install kerberos adds/,
    ],
    [library, /the system has no libgssapi_krb5\.so\.2; install Kerberos's libraries/],
    [new Error("wrong\nlines"), /: wrong \(npm rebuild kerberos builds it for this Node\)$/],
  ];
  for (const [cause, message] of cases) {
    assert.throws(
      () =>
        loadKerberos(() => {
          throw cause;
        }),
      (error) => {
        assert.ok(error instanceof PcaptsError && error.code === "KERBEROS_UNAVAILABLE");
        assert.match(error.message, message);
        return true;
      },
    );
  }
});
