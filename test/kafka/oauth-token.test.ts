import assert from "node:assert/strict";
import { createServer } from "node:http";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { IncomingHttpHeaders } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { PcaptsError } from "../../src/errors.ts";
import { CredentialsError } from "../../src/kafka/credentials-error.ts";
import { Login } from "../../src/kafka/login.ts";
import { createTokenSource } from "../../src/kafka/oauth-token.ts";
import type { TokenSource } from "../../src/kafka/oauth-token.ts";
import type { SaslSession } from "../../src/kafka/sasl-mechanism.ts";
import { OauthMechanism } from "../../src/kafka/sasl-oauthbearer.ts";
import { Certificates } from "../certificates.ts";

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

test("a token is got anew after half of its life, or when it was refused", async (t) => {
  const { url } = await serve(
    t,
    ...["one", "two", "three"].map((token) => ({ body: { access_token: token, expires_in: 100 } })),
  );
  let nowMs = 1000;
  const tokens = endpoint(url, () => nowMs);
  assert.equal(await tokens.take(), "one");
  nowMs += 49_999;
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

// Publishing stopped at the next login, although the token was good for minutes.
test("while an endpoint does not answer, or is busy, a token is used as long as it is valid", async (t) => {
  for (const status of [408, 429, 503]) {
    const { url } = await serve(
      t,
      { body: { access_token: "one", expires_in: 100 } },
      { status, body: "later" },
    );
    let nowMs = 1000;
    const tokens = endpoint(url, () => nowMs);
    assert.equal(await tokens.take(), "one");
    nowMs += 99_999;
    assert.equal(await tokens.take(), "one");
    nowMs += 1;
    await assert.rejects(tokens.take(), CredentialsError);
  }
});

test("a token is not taken for fresh when the clock was set back", async (t) => {
  const { url } = await serve(
    t,
    ...["one", "two"].map((token) => ({ body: { access_token: token, expires_in: 100 } })),
  );
  let nowMs = 1_000_000;
  const tokens = endpoint(url, () => nowMs);
  assert.equal(await tokens.take(), "one");
  nowMs -= 3600_000;
  assert.equal(await tokens.take(), "two");
});

test("what an endpoint says is one line of a bounded length", async (t) => {
  const { url } = await serve(t, {
    status: 400,
    body: {
      error: "invalid_request",
      error_description: `\u001b[31m\r\n${"long ".repeat(10_000)}`,
    },
  });
  await assert.rejects(endpoint(url).take(), (error: Error) => {
    assert.ok(error.message.length < 700, String(error.message.length));
    assert.doesNotMatch(error.message, /\p{Cc}/u);
    return true;
  });
});

// An endpoint whose keys were changed, or a clock that was set, ended a run at its next login.
test("a token that was used before and is refused is followed by a new one; a new one ends the login", async (t) => {
  const { url } = await serve(
    t,
    ...["one", "two"].map((token) => ({ body: { access_token: token, expires_in: 100 } })),
  );
  const mechanism = new OauthMechanism(endpoint(url), {});
  const sent: string[] = [];
  let refused = "";
  const login = new Login(mechanism);
  const { authenticationProvider } = login.sasl as {
    authenticationProvider: (session: SaslSession) => { authenticate(): Promise<void> };
  };
  const logIn = (): Promise<void> =>
    authenticationProvider({
      host: "broker",
      port: 9092,
      logger: undefined,
      saslAuthenticate: async ({ request }) => {
        const token = /Bearer (\w+)/.exec((await request.encode()).toString())?.[1] ?? "";
        sent.push(token);
        if (!refused.includes(token)) return Buffer.alloc(0);
        throw Object.assign(new Error("invalid_token"), { type: "SASL_AUTHENTICATION_FAILED" });
      },
    }).authenticate();
  await logIn();
  refused = "one";
  await assert.rejects(logIn(), /invalid_token; a new one is tried/);
  assert.ok(login.failure instanceof CredentialsError);
  await logIn();
  refused = "one two";
  await assert.rejects(logIn(), CredentialsError);
  await assert.rejects(logIn(), /^Error: invalid_token$/);
  assert.deepEqual(sent, ["one", "one", "two", "two", "two"]);
  assert.ok(!(login.failure instanceof CredentialsError), String(login.failure));
});

test("an endpoint with TLS is trusted when its authority is among those that are named, and those alone count", async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), "pcapts-token-endpoint-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const certificates = new Certificates(directory);
  certificates.createAuthorities();
  const { certificate, key } = certificates.createServer("endpoint");
  const server = createTlsServer(
    { cert: readFileSync(certificate), key: readFileSync(key) },
    (_, response) => response.end(JSON.stringify({ access_token: "one" })),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const ask = (ca: readonly string[] | undefined): Promise<string> =>
    createTokenSource({
      kind: "endpoint",
      url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/token`,
      clientId: "probe",
      clientSecret: "hush",
      scope: undefined,
      ca,
    }).take();
  assert.equal(await ask([readFileSync(certificates.authority, "utf8")]), "one");
  for (const ca of [undefined, [readFileSync(certificates.stranger, "utf8")]]) {
    await assert.rejects(
      ask(ca),
      /from an authority that is not trusted here; https\.ca\.location/,
    );
  }
});
