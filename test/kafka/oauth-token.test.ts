import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { PcaptsError } from "../../src/errors.ts";
import { CredentialsError } from "../../src/kafka/credentials-error.ts";
import { createTokenSource } from "../../src/kafka/oauth-token.ts";
import type { TokenSource } from "../../src/kafka/oauth-token.ts";

interface Answer {
  readonly status?: number;
  readonly body: unknown;
}

interface Asked {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** An endpoint that gives these answers, the last one again and again. */
async function serve(
  t: TestContext,
  ...answers: readonly Answer[]
): Promise<{ url: string; asked: Asked[] }> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (piece: string) => (body += piece));
    request.on("end", () => {
      asked.push({ headers: request.headers, body });
      const answer = answers[Math.min(asked.length, answers.length) - 1]!;
      response.statusCode = answer.status ?? 200;
      response.end(typeof answer.body === "string" ? answer.body : JSON.stringify(answer.body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`, asked };
}

function endpoint(url: string, clock?: () => number, scope?: string): TokenSource {
  return createTokenSource(
    { kind: "endpoint", url, clientId: "probe", clientSecret: "hush", scope, ca: undefined },
    clock,
  );
}

const claimsOf = (token: string): Record<string, unknown> =>
  JSON.parse(Buffer.from(token.split(".")[1]!, "base64url").toString()) as Record<string, unknown>;

test("an endpoint is asked with client credentials, once for all who need a token", async (t) => {
  const { url, asked } = await serve(t, { body: { access_token: "one", expires_in: 100 } });
  const tokens = endpoint(url, undefined, "kafka write");
  assert.deepEqual(await Promise.all([tokens.take(), tokens.take()]), ["one", "one"]);
  assert.equal(await tokens.take(), "one");
  assert.equal(asked.length, 1);
  assert.deepEqual(Object.fromEntries(new URLSearchParams(asked[0]!.body)), {
    grant_type: "client_credentials",
    scope: "kafka write",
  });
  const basic = asked[0]!.headers.authorization!.replace("Basic ", "");
  assert.equal(Buffer.from(basic, "base64").toString(), "probe:hush");
});

test("a token is got anew after four fifths of its life, or when it was refused", async (t) => {
  const { url } = await serve(
    t,
    ...["one", "two", "three"].map((token) => ({ body: { access_token: token, expires_in: 100 } })),
  );
  let nowMs = 1000;
  const tokens = endpoint(url, () => nowMs);
  assert.equal(await tokens.take(), "one");
  nowMs += 79_999;
  assert.equal(await tokens.take(), "one");
  nowMs += 1;
  assert.equal(await tokens.take(), "two");
  tokens.drop();
  assert.equal(await tokens.take(), "three");
});

test("an endpoint that refuses is quoted, without the secret", async (t) => {
  const { url } = await serve(t, {
    status: 401,
    body: { error: "invalid_client", error_description: "probe:hush is wrong" },
  });
  await assert.rejects(endpoint(url).take(), (error) => {
    assert.ok(error instanceof PcaptsError && error.code === "AUTHENTICATION_FAILED");
    assert.match(
      error.message,
      /as "probe": it answered with status 401, invalid_client: probe:… is/,
    );
    return true;
  });
});

test("an endpoint that is away or in trouble may answer later", async (t) => {
  const { url } = await serve(t, { status: 503, body: "busy" }, { body: { access_token: "one" } });
  const tokens = endpoint(url);
  await assert.rejects(tokens.take(), CredentialsError);
  assert.equal(await tokens.take(), "one");
  await assert.rejects(endpoint("http://127.0.0.1:1/token").take(), (error) => {
    assert.ok(error instanceof CredentialsError);
    assert.match(
      error.message,
      /^Cannot get a token from "http:\/\/127\.0\.0\.1:1\/token": connection/,
    );
    return true;
  });
});

test("an answer without a token is said to be none, and is not printed", async (t) => {
  const { url } = await serve(t, { body: { id_token: "hush" } }, { body: "<html>hush</html>" });
  for (let i = 0; i < 2; i++) {
    await assert.rejects(endpoint(url).take(), (error) => {
      assert.ok(error instanceof PcaptsError && error.code === "AUTHENTICATION_FAILED");
      assert.match(error.message, /its answer holds no access_token/);
      assert.doesNotMatch(error.message, /hush/);
      return true;
    });
  }
});

test("an unsigned token is made for each login, and says who it is for", async () => {
  let nowMs = 5000;
  const tokens = createTokenSource(
    { kind: "unsigned", claims: { sub: "probe", scope: ["a"] }, lifeSeconds: 60 },
    () => nowMs,
  );
  assert.equal(tokens.subject, "probe");
  assert.deepEqual(claimsOf(await tokens.take()), { sub: "probe", scope: ["a"], iat: 5, exp: 65 });
  nowMs = 65_000;
  assert.equal(claimsOf(await tokens.take())["exp"], 125);
});

test("a token that is given is used as it is", async () => {
  const text = `e30.${Buffer.from('{"sub":"alice"}').toString("base64url")}.x`;
  const tokens = createTokenSource({ kind: "static", token: text });
  tokens.drop();
  assert.equal(await tokens.take(), text);
  assert.equal(tokens.subject, "alice");
  assert.equal(createTokenSource({ kind: "static", token: "opaque" }).subject, undefined);
});
