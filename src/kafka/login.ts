import type { SaslMechanism, SaslSession } from "./sasl-mechanism.ts";

/** A request of kafkajs's own. */
interface Question {
  readonly request: { readonly apiName: string };
  readonly response: { parse(data: unknown): Promise<unknown> };
}

/** The logins of one connection, and what kafkajs would not tell of them. */
export class Login {
  readonly #mechanism: SaslMechanism;
  #failure: unknown;
  #offered: readonly string[] | undefined;

  constructor(mechanism: SaslMechanism) {
    this.#mechanism = mechanism;
  }

  /** What made the last login fail: kafkajs's mechanisms keep the text of it alone. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Mechanisms that the broker knows, once it was asked. */
  get offered(): readonly string[] | undefined {
    return this.#offered;
  }

  /** What kafkajs takes as `sasl`. */
  get sasl(): object {
    const mechanism = this.#mechanism;
    return {
      mechanism: mechanism.name,
      authenticationProvider: (session: SaslSession) => ({
        authenticate: async () => this.#authenticate(session),
      }),
    };
  }

  async #authenticate(session: SaslSession): Promise<void> {
    this.#failure = undefined;
    try {
      await this.#mechanism.authenticate({
        ...session,
        saslAuthenticate: async (step) => {
          try {
            return await session.saslAuthenticate(step);
          } catch (error) {
            this.#failure = error;
            throw error;
          }
        },
      });
    } catch (error) {
      this.#failure ??= error;
      throw error;
    }
  }

  /** Sees to it that the broker's list of mechanisms is known when it refuses one. */
  observe<Q extends Question>(question: Q): Q {
    if (question.request.apiName !== "SaslHandshake") return question;
    const { response } = question;
    return {
      ...question,
      response: {
        ...response,
        parse: async (data: { enabledMechanisms?: readonly string[] }) => {
          this.#offered = data.enabledMechanisms;
          return response.parse(data);
        },
      },
    };
  }
}
