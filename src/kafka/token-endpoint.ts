import { request as requestPlain } from "node:http";
import type { IncomingMessage } from "node:http";
import { request as requestTls } from "node:https";
import { rootCertificates } from "node:tls";
import { PcaptsError } from "../errors.ts";
import { connectionFailureReason } from "./connection-error.ts";
import { CredentialsError } from "./credentials-error.ts";
import type { TokenOptions } from "./security-options.ts";
import { describeTlsFailure } from "./tls-refusal.ts";

/** An endpoint that does not answer for this long is not there. */
const TIMEOUT_MS = 10_000;

/** More than any token takes. */
const MAX_ANSWER_BYTES = 1024 * 1024;

/** What an endpoint gives. */
export interface IssuedToken {
  readonly token: string;
  /** How long it is valid from now on. */
  readonly lifeSeconds: number;
}

/** Where an answer says nothing of it, RFC 6749 leaves it open. */
const UNKNOWN_LIFE_SECONDS = 300;

/**
 * Asks a token endpoint for a token, with client credentials (RFC 6749, 4.4).
 *
 * @throws CredentialsError when it does not answer; AUTHENTICATION_FAILED when it refuses
 */
export async function requestToken(
  options: TokenOptions & { kind: "endpoint" },
): Promise<IssuedToken> {
  const { url, clientId, clientSecret } = options;
  const where = `Cannot get a token from "${withoutCredentials(url)}"`;
  let status: number;
  let text: string;
  try {
    ({ status, text } = await post(options));
  } catch (error) {
    const tls = describeTlsFailure(error);
    const advice = tls === undefined ? "" : `; https.ca.location names the authorities to trust`;
    throw new CredentialsError(`${where}: ${tls ?? connectionFailureReason(error)}${advice}`, {
      cause: error,
    });
  }
  const answer = readJson(text);
  if (status >= 500) throw new CredentialsError(`${where}: it answered with status ${status}`);
  const token = answer["access_token"];
  if (status === 200 && typeof token === "string" && token !== "") {
    const lifeSeconds = Number(answer["expires_in"]);
    return { token, lifeSeconds: lifeSeconds > 0 ? lifeSeconds : UNKNOWN_LIFE_SECONDS };
  }
  const words = [answer["error"], answer["error_description"]]
    .filter((word) => typeof word === "string")
    .join(": ")
    // Some repeat what they were sent.
    .replaceAll(clientSecret, "…");
  throw new PcaptsError(
    "AUTHENTICATION_FAILED",
    `${where} as "${clientId}": ` +
      (status === 200
        ? "its answer holds no access_token; is it a token endpoint?"
        : `it answered with status ${status}${words === "" ? "" : `, ${words}`}; check ` +
          "sasl.oauthbearer.client.id, sasl.oauthbearer.client.secret and sasl.oauthbearer.scope"),
  );
}

async function post({
  url,
  clientId,
  clientSecret,
  scope,
  ca,
}: TokenOptions & { kind: "endpoint" }): Promise<{ status: number; text: string }> {
  const body = new URLSearchParams({
    grant_type: "client_credentials",
    ...(scope !== undefined && { scope }),
  }).toString();
  const isTls = new URL(url).protocol === "https:";
  const options = {
    method: "POST",
    timeout: TIMEOUT_MS,
    headers: {
      accept: "application/json",
      authorization: `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString("base64")}`,
      "content-type": "application/x-www-form-urlencoded",
      "content-length": Buffer.byteLength(body),
    },
    ...(isTls && ca !== undefined && { ca: [...rootCertificates, ...ca] }),
  };
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = (isTls ? requestTls : requestPlain)(url, options, resolve);
    request.on("timeout", () => request.destroy(new Error("no answer, timed out")));
    request.on("error", reject);
    request.end(body);
  });
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of response as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > MAX_ANSWER_BYTES) {
      response.destroy();
      throw new Error(`it answered with more than ${MAX_ANSWER_BYTES} bytes`);
    }
    pieces.push(piece);
  }
  return { status: response.statusCode ?? 0, text: Buffer.concat(pieces).toString() };
}

/** An object, empty when the text is none. */
function readJson(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function withoutCredentials(url: string): string {
  const shown = new URL(url);
  shown.username = "";
  shown.password = "";
  shown.search = "";
  return shown.href;
}
