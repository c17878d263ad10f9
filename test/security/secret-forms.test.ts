import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { formsOf } from "./secret-forms.ts";

const SECRET = "pass=a,b 5f1e0c %";

function isFoundIn(secret: Buffer, printed: string): boolean {
  return formsOf(secret).some(([, text]) => printed.includes(text));
}

test("formsOf() finds a secret that stands in a text encoded, or within something encoded", () => {
  const secret = Buffer.from(SECRET);
  const message = (before: number): Buffer =>
    Buffer.concat([randomBytes(before), secret, randomBytes(3)]);
  const texts = [
    `password ${SECRET}!`,
    JSON.stringify({ password: SECRET }),
    new URLSearchParams({ password: SECRET }).toString(),
    JSON.stringify(secret),
    JSON.stringify(secret, null, 2).replaceAll(/ +/g, ""),
    `<Buffer ${(secret.toString("hex").match(/../g) ?? []).join(" ")}>`,
    message(5).toString("hex"),
    ...[0, 1, 2, 3, 4, 5].flatMap((before) => [
      message(before).toString("base64"),
      message(before).toString("base64url"),
    ]),
  ];
  for (const text of texts) assert.ok(isFoundIn(secret, text), text);
});

test("formsOf() finds bytes that are no text, and nothing where there is nothing", () => {
  const key = randomBytes(64);
  assert.ok(isFoundIn(key, `key ${key.toString("base64")}`));
  assert.ok(isFoundIn(key, JSON.stringify(key)));
  assert.ok(!isFoundIn(key, randomBytes(4096).toString("base64")));
  assert.ok(!isFoundIn(Buffer.from(SECRET), "pass=a,b 5f1e0d %"));
});
