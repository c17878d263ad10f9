import { ConnectionError } from "./connection-error.ts";

/** What is needed of kafkajs's connection. */
export interface RenewableConnection {
  /** null where nobody logs in. */
  readonly sasl: object | null;
  /** As the broker said at the last login; 0 for ever. */
  readonly sessionLifetime: { toNumber(): number };
  /** How long before its end a session counts as over. */
  reauthenticationThreshold: number;
  isAuthenticated(): boolean;
  authenticate(): Promise<void>;
}

/** Below this, a request that was sent in time could be read by the broker too late. */
const LEAST_RESERVE_MS = 1000;

/** Part of a session that is left when it is renewed. Java's clients leave 5 to 15 %. */
const RESERVE_PART = 0.15;

interface HeldRequest {
  readonly write: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * Logs in again before a broker ends the session (KIP-368). Between the first
 * message of a login and its end a broker takes no other request, so those are
 * held back, in their order; answers to what was sent before still arrive.
 *
 * kafkajs renews only what goes through its own pool.
 */
export class SessionRenewal {
  readonly #connection: RenewableConnection;
  readonly #onRenewed: () => void;
  #held: HeldRequest[] | undefined;

  /** @param onRenewed called after each login but the first */
  constructor(connection: RenewableConnection, onRenewed: () => void) {
    this.#connection = connection;
    this.#onRenewed = onRenewed;
    this.#keepReserve();
  }

  /** How long a session lasts; 0: for ever. */
  get lifetimeMs(): number {
    return this.#connection.sessionLifetime.toNumber();
  }

  /**
   * Writes a request at once, or after the login that is due or under way.
   *
   * @param reject called instead when that login fails
   */
  run(write: () => void, reject: (error: Error) => void): void {
    if (this.#held !== undefined) {
      this.#held.push({ write, reject });
      return;
    }
    if (this.#connection.sasl === null || this.#connection.isAuthenticated()) {
      write();
      return;
    }
    this.#held = [{ write, reject }];
    void this.#renew();
  }

  /** Resolves when no login is due or under way. @throws what the login failed with */
  async fresh(): Promise<void> {
    await new Promise<void>((resolve, reject) => this.run(resolve, reject));
  }

  /** Fails what is held back: the connection is given up. */
  rejectHeld(reason: string): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const { reject } of held) reject(new ConnectionError(reason));
  }

  async #renew(): Promise<void> {
    try {
      await this.#connection.authenticate();
    } catch (error) {
      const held = this.#held ?? [];
      this.#held = undefined;
      for (const { reject } of held) reject(error as Error);
      return;
    }
    this.#keepReserve();
    this.#onRenewed();
    // A write may ask for another, which goes behind those that waited.
    const held = this.#held ?? [];
    for (const { write } of held) write();
    this.#held = undefined;
  }

  #keepReserve(): void {
    const { lifetimeMs } = this;
    // kafkajs adds it to a 64-bit integer.
    this.#connection.reauthenticationThreshold = Math.floor(
      Math.min(lifetimeMs / 2, Math.max(LEAST_RESERVE_MS, lifetimeMs * RESERVE_PART)),
    );
  }
}
