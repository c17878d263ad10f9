import type { PasswordOptions } from "./security-options.ts";
import type { SaslMechanism, SaslSession } from "./sasl-mechanism.ts";

/** kafkajs's PLAIN and SCRAM. */
export type PasswordProvider = (credentials: {
  username: string;
  password: string;
}) => (session: SaslSession) => { authenticate(): Promise<void> };

/** Logs in with a password. */
export class PasswordMechanism implements SaslMechanism {
  readonly name: string;
  readonly user: string;
  readonly #provide: (session: SaslSession) => { authenticate(): Promise<void> };

  constructor({ mechanism, username, password }: PasswordOptions, provider: PasswordProvider) {
    this.name = mechanism;
    this.user = username;
    this.#provide = provider({ username, password });
  }

  get shortUser(): string {
    return this.user;
  }

  prepare(): void {}

  async authenticate(session: SaslSession): Promise<void> {
    await this.#provide(session).authenticate();
  }
}
