import type { TokenSource } from "./oauth-token.ts";
import { exchangeToken } from "./sasl-mechanism.ts";
import type { SaslMechanism, SaslSession } from "./sasl-mechanism.ts";

const SEPARATOR = "\u0001";

/** Logs in with an OAuth token (RFC 7628). */
export class OauthMechanism implements SaslMechanism {
  readonly name = "OAUTHBEARER";
  readonly #tokens: TokenSource;
  readonly #extensions: Readonly<Record<string, string>>;

  constructor(tokens: TokenSource, extensions: Readonly<Record<string, string>>) {
    this.#tokens = tokens;
    this.#extensions = extensions;
  }

  get user(): string | undefined {
    return this.#tokens.subject;
  }

  get shortUser(): string | undefined {
    return this.user;
  }

  prepare(): void {}

  async authenticate(session: SaslSession): Promise<void> {
    const token = await this.#tokens.take();
    try {
      const refusal = await exchangeToken(session, this.#firstMessage(token));
      if (refusal.length === 0) return;
      // The broker has said why in JSON, and refuses once that is confirmed.
      await exchangeToken(session, Buffer.from(SEPARATOR));
      throw new Error(`the broker answered ${refusal.toString()}`);
    } catch (error) {
      this.#tokens.drop();
      throw error;
    }
  }

  #firstMessage(token: string): Buffer {
    const pairs = [`auth=Bearer ${token}`];
    for (const [key, value] of Object.entries(this.#extensions)) pairs.push(`${key}=${value}`);
    return Buffer.from(["n,,", ...pairs, "", ""].join(SEPARATOR));
  }
}
