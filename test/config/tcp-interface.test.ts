import assert from "node:assert/strict";
import { test } from "node:test";
import { readListenSettings } from "../../src/config/listen-settings.ts";
import { isTcpInterface, parseTcpInterface } from "../../src/config/tcp-interface.ts";

test("parseTcpInterface() reads TCP@ as Wireshark writes it, and leaves other interfaces alone", () => {
  for (const [text, host, port] of [
    ["TCP@192.0.2.7:19000", "192.0.2.7", 19_000],
    ["TCP@probe", "probe", 57_012],
    ["TCP@[2001:db8::7]:1", "2001:db8::7", 1],
    ["TCP@::1", "::1", 57_012],
  ] as const) {
    assert.deepEqual(parseTcpInterface(text), { host, port });
    assert.ok(isTcpInterface(text));
  }
  assert.equal(parseTcpInterface("eth0"), undefined);
  assert.ok(!isTcpInterface("tcp0"));
});

test("parseTcpInterface() names what is wrong", () => {
  for (const [text, reason] of [
    ["TCP@", /in "TCP@" the host is missing/],
    ["TCP@host:0", /"0" is no port/],
    ["TCP@[::1", /in "TCP@.{4}" the brackets do not match/],
    ["TCP@a,b", /"a,b" is no host name/],
  ] as const) {
    assert.throws(() => parseTcpInterface(text), { code: "USAGE", message: reason });
  }
});

test("readListenSettings() takes a port alone for --read-listen, on loopback", () => {
  const values = {
    "insecure-listen": false,
    "listen-tls-cert": undefined,
    "listen-tls-key": undefined,
    "listen-tls-ca": undefined,
  };
  const read = (text: string): unknown => readListenSettings(text, "--read-listen", values);
  assert.deepEqual(read("9000"), { host: "127.0.0.1", port: 9000, tls: undefined });
  assert.deepEqual(read("[::1]:0"), { host: "::1", port: 0, tls: undefined });
  assert.throws(() => read("70000"), { code: "USAGE", message: /"70000" is no port/ });
  assert.throws(() => read("192.0.2.1:9"), { code: "USAGE", message: /may send what it likes/ });
});
