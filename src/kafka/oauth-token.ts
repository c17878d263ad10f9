import type { TokenOptions } from "./security-options.ts";
import { requestToken } from "./token-endpoint.ts";

/** A token is got anew once this part of its life is over, well before brokers end its session. */
const FRESH_PART = 0.8;

/** Where the tokens of a run come from. */
export interface TokenSource {
  /** A token that is valid for a while. @throws CredentialsError, AUTHENTICATION_FAILED */
  take(): Promise<string>;
  /** The last token was refused: the next is a new one, if there is one. */
  drop(): void;
  /** Whom the last token is for. */
  readonly subject: string | undefined;
}

/**
 * @param options where tokens come from
 * @param clock milliseconds of wall time
 */
export function createTokenSource(
  options: TokenOptions,
  clock: () => number = Date.now,
): TokenSource {
  switch (options.kind) {
    case "static": {
      const { token } = options;
      return { take: async () => token, drop: () => {}, subject: subjectOf(token) };
    }
    case "unsigned": {
      const { claims, lifeSeconds } = options;
      const subject = subjectOf(signNothing(claims, lifeSeconds, 0));
      return {
        take: async () => signNothing(claims, lifeSeconds, clock()),
        drop: () => {},
        subject,
      };
    }
    case "endpoint":
      return new EndpointTokens(options, clock);
  }
}

/** Tokens of an endpoint, each used until most of its life is over. */
class EndpointTokens implements TokenSource {
  readonly #options: TokenOptions & { kind: "endpoint" };
  readonly #clock: () => number;
  #token: string | undefined;
  #freshUntilMs = 0;
  #asking: Promise<string> | undefined;
  #subject: string | undefined;

  constructor(options: TokenOptions & { kind: "endpoint" }, clock: () => number) {
    this.#options = options;
    this.#clock = clock;
  }

  get subject(): string {
    return this.#subject ?? this.#options.clientId;
  }

  async take(): Promise<string> {
    if (this.#token !== undefined && this.#clock() < this.#freshUntilMs) return this.#token;
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  drop(): void {
    this.#token = undefined;
  }

  async #ask(): Promise<string> {
    const askedMs = this.#clock();
    const { token, lifeSeconds } = await requestToken(this.#options);
    this.#token = token;
    this.#freshUntilMs = askedMs + lifeSeconds * 1000 * FRESH_PART;
    this.#subject = subjectOf(token);
    return token;
  }
}

/** A JSON web token without a signature (RFC 7515, appendix A.5). */
function signNothing(
  claims: Readonly<Record<string, unknown>>,
  lifeSeconds: number,
  nowMs: number,
): string {
  const iat = Math.floor(nowMs / 1000);
  const parts = [{ alg: "none" }, { ...claims, iat, exp: iat + lifeSeconds }];
  return (
    parts.map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".") + "."
  );
}

/** The subject of a token, if it is one that can be read. */
function subjectOf(token: string): string | undefined {
  try {
    const claims = JSON.parse(
      Buffer.from(token.split(".")[1] ?? "", "base64url").toString(),
    ) as Record<string, unknown>;
    return typeof claims["sub"] === "string" ? claims["sub"] : undefined;
  } catch {
    return undefined;
  }
}
