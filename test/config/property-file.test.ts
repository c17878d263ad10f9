import assert from "node:assert/strict";
import { test } from "node:test";
import { parsePropertyFile } from "../../src/config/property-file.ts";

test("parsePropertyFile() reads keys and values and skips comments and blank lines", () => {
  const text = "\uFEFF# the lab\r\n\r\nlinger.ms = 20\r\n  #acks=1\nclient.id=a=b # c";
  assert.deepEqual(parsePropertyFile(text, "lab.conf"), [
    { name: "linger.ms", value: "20", origin: "lab.conf line 3" },
    { name: "client.id", value: "a=b # c", origin: "lab.conf line 5" },
  ]);
});

// The error quoted the first line of the key.
test("parsePropertyFile() prints nothing of a key in PEM whose lines were not folded", () => {
  const body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";
  for (const line of [body, body.slice(0, 30), "Zm9vYmFyYmF6cXV4Zm9vYmFy=="]) {
    assert.throws(
      () => parsePropertyFile(`ssl.key.pem=-----BEGIN PRIVATE KEY-----\n${line}\n`, "lab.conf"),
      (error: Error) => {
        assert.match(error.message, /lab\.conf line 2/);
        assert.ok(!error.message.includes(line.slice(0, 16)), error.message);
        return true;
      },
    );
  }
});

test("parsePropertyFile() names the line that is no property", () => {
  assert.throws(
    () => parsePropertyFile("a=1\nlinger.ms 20\n", "lab.conf"),
    /^PcaptsError: lab\.conf line 2 expects KEY=VALUE, not "linger\.ms 20"/,
  );
});
