import type { LiveSource } from "../capture/live-source.ts";
import { BrokerPathFinder } from "../kafka/broker-path.ts";
import type { Transport } from "../kafka/transport.ts";
import type { Logger } from "../logger.ts";
import { formatOwnTraffic } from "./own-traffic-filter.ts";

/**
 * Leaves this host's own traffic to Kafka out of a capture. Otherwise each
 * frame that is published makes frames on the interface that Kafka is reached
 * through, which are captured and published in their turn.
 *
 * What is left out follows the transport: brokers that the metadata names, by
 * the addresses that a connection would have, and connections by those that
 * they have.
 */
export class OwnTraffic {
  readonly #source: LiveSource;
  readonly #transport: Pick<Transport, "brokers" | "paths" | "changed">;
  readonly #logger: Logger;
  readonly #finder: BrokerPathFinder;
  #excluded = "";
  #isClosed = false;

  /** Nothing is left out before `start()`. */
  constructor(
    source: LiveSource,
    transport: Pick<Transport, "brokers" | "paths" | "changed">,
    logger: Logger,
  ) {
    this.#source = source;
    this.#transport = transport;
    this.#logger = logger;
    this.#finder = new BrokerPathFinder(logger);
  }

  /** Resolves when traffic to the brokers known by now is left out; follows changes until `close()`. */
  async start(): Promise<void> {
    // Asked for before the brokers are, so that no change is missed in between.
    const changed = this.#transport.changed();
    if (await this.#update()) void this.#follow(changed);
  }

  /** Changes nothing any more. */
  close(): void {
    this.#isClosed = true;
  }

  async #follow(changed: Promise<void>): Promise<void> {
    let next = changed;
    do {
      await next;
      next = this.#transport.changed();
    } while (!this.#isClosed && (await this.#update()));
  }

  /** @returns false when there is nothing to leave out, whatever the brokers are */
  async #update(): Promise<boolean> {
    const paths = await this.#finder.find(this.#transport.brokers());
    const expression = formatOwnTraffic([...paths, ...this.#transport.paths()]);
    // Without a path nothing is known anew; what is left out stays so.
    if (this.#isClosed || expression === "" || expression === this.#excluded) return true;
    const what = "this host's own traffic to Kafka";
    let canMatch: boolean;
    try {
      canMatch = await this.#source.exclude(expression);
    } catch (error) {
      if (this.#isClosed) return true;
      const reason = error instanceof Error ? error.message : String(error);
      this.#logger.warn(
        `Cannot leave out ${what}, not (${expression}): ${reason}; capture on an interface that ` +
          "Kafka is not reached through, or it is published again and again",
      );
      return true;
    }
    if (!canMatch) {
      this.#logger.info(
        `Not leaving out ${what}: frames of interface "${this.#source.name}" hold no IP that a filter finds`,
      );
      return false;
    }
    const change = this.#excluded === "" ? "" : ", which has changed";
    this.#excluded = expression;
    this.#logger.info(`Leaving out ${what}${change}: not (${expression})`);
    return true;
  }
}
