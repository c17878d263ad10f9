/**
 * A small OAuth authorisation server: client credentials in, signed tokens out
 * (RFC 6749 section 4.4), and the key set that Kafka checks them with (RFC 7517).
 *
 * Every client has the same secret, so that tests in other processes need not
 * register theirs; a token's subject is the client that asked.
 */
import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** Where tokens come from, for processes that do not run the server. */
export interface TokenIssuer {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** What every client says to get a token. */
  readonly clientSecret: string;
}

/** A token server that this process runs. */
export interface TokenServer extends TokenIssuer {
  /** Keeps no process alive; ends the server. */
  stop(): Promise<void>;
}

const DEFAULT_LIFETIME_SECONDS = 3600;
/** The audience that Kafka shall insist on. */
export const TOKEN_AUDIENCE = "kafka";

/** The endpoint whose tokens live so long. */
export function tokenEndpoint(issuer: TokenIssuer, lifetimeSeconds?: number): string {
  const query = lifetimeSeconds === undefined ? "" : `?lifetime=${lifetimeSeconds}`;
  return `${issuer.url}/token${query}`;
}

/** The endpoint of the keys that tokens are signed with. */
export function keySetEndpoint(issuer: TokenIssuer): string {
  return `${issuer.url}/keys`;
}

/** Asks for a token, for tests that hand one over as it is. */
export async function fetchToken(
  issuer: TokenIssuer,
  clientId: string,
  lifetimeSeconds?: number,
): Promise<string> {
  const answer = await fetch(tokenEndpoint(issuer, lifetimeSeconds), {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "client_credentials",
      client_id: clientId,
      client_secret: issuer.clientSecret,
    }),
  });
  const { access_token: token } = (await answer.json()) as { access_token: string };
  return token;
}

/** All tokens that were given out so far, for tests that look for them where they must not be. */
export async function fetchIssuedTokens(issuer: TokenIssuer): Promise<string[]> {
  return (await (await fetch(`${issuer.url}/issued`)).json()) as string[];
}

/** Starts a server with a new key on a free port; it does not keep the process alive. */
export async function startTokenServer(): Promise<TokenServer> {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const jwk = publicKey.export({ format: "jwk" });
  const keyId = createHash("sha256").update(String(jwk["n"])).digest("base64url").slice(0, 16);
  const clientSecret = `secret=${randomBytes(12).toString("hex")}`;

  const issued: string[] = [];
  const issueToken = (subject: string, scope: string, lifetimeSeconds: number): string => {
    const nowSeconds = Math.floor(Date.now() / 1000);
    const header = { alg: "RS256", typ: "JWT", kid: keyId };
    const claims = {
      iss: url,
      aud: TOKEN_AUDIENCE,
      sub: subject,
      scope,
      iat: nowSeconds,
      exp: nowSeconds + lifetimeSeconds,
      jti: randomBytes(8).toString("hex"),
    };
    const text = [header, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
      .join(".");
    const signature = sign("RSA-SHA256", Buffer.from(text), privateKey).toString("base64url");
    issued.push(`${text}.${signature}`);
    return `${text}.${signature}`;
  };

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const address = new URL(request.url ?? "/", url);
    if (address.pathname === "/keys") {
      return reply(response, 200, { keys: [{ ...jwk, kid: keyId, use: "sig", alg: "RS256" }] });
    }
    if (address.pathname === "/issued") return reply(response, 200, issued);
    const form = new URLSearchParams(await readText(request));
    if (address.pathname !== "/token" || request.method !== "POST") {
      return reply(response, 404, { error: "not_found" });
    }
    if (form.get("grant_type") !== "client_credentials") {
      return reply(response, 400, { error: "unsupported_grant_type" });
    }
    const [id, secret] = clientCredentials(request, form);
    if (id === "" || secret !== clientSecret) {
      response.setHeader("WWW-Authenticate", 'Basic realm="tokens"');
      return reply(response, 401, {
        error: "invalid_client",
        error_description: "Client authentication failed",
      });
    }
    const lifetimeSeconds = Number(
      address.searchParams.get("lifetime") ?? DEFAULT_LIFETIME_SECONDS,
    );
    // Kafka refuses a token without a scope, and does nothing with it.
    const scope = form.get("scope") ?? "packets";
    return reply(response, 200, {
      access_token: issueToken(id, scope, lifetimeSeconds),
      token_type: "Bearer",
      expires_in: lifetimeSeconds,
      scope,
    });
  };

  const server: Server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  server.unref();
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    clientSecret,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** Of the header, where RFC 6749 wants them, or of the form. */
function clientCredentials(request: IncomingMessage, form: URLSearchParams): [string, string] {
  const basic = /^Basic (.+)$/.exec(request.headers.authorization ?? "")?.[1];
  if (basic === undefined) return [form.get("client_id") ?? "", form.get("client_secret") ?? ""];
  const [id = "", ...secret] = Buffer.from(basic, "base64").toString().split(":");
  // Some encode both first, as the standard says, some do not.
  const plain = secret.join(":");
  return [decodeURIComponent(id), plain.includes("%") ? decodeURIComponent(plain) : plain];
}

async function readText(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}

function reply(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(JSON.stringify(body));
}
