import { createSocket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { isIPv6 } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "../logger.ts";
import { formatAddress } from "./broker-connection.ts";
import type { BrokerAddress } from "./client-options.ts";

/** The addresses that stand in the packets of connections to a broker. */
export interface BrokerPath {
  readonly localAddress: string;
  readonly remoteAddress: string;
  readonly remotePort: number;
}

/** A slower name service is not waited for. */
const LOOKUP_TIMEOUT_MS = 2000;

/** Tells paths to brokers before they are connected to. */
export class BrokerPathFinder {
  readonly #logger: Logger;
  readonly #lookups = new Map<string, Promise<readonly string[]>>();

  /** @param logger gets at DEBUG what cannot be told */
  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /**
   * Looks names up, every address of each, and asks the routing table which address of this
   * machine it would be reached from. Names that are known are not looked up again; those that
   * failed, or are not known within 2 s, are left out and tried again the next time.
   *
   * @returns paths in no order; connections may have others, should names or routes change
   */
  async find(brokers: readonly BrokerAddress[]): Promise<BrokerPath[]> {
    const late = sleep(LOOKUP_TIMEOUT_MS, undefined, { ref: false }).then(() => {
      throw new Error(`no answer from the name service within ${LOOKUP_TIMEOUT_MS / 1000} s`);
    });
    late.catch(() => {});
    const found = brokers.map((broker) =>
      this.#orNone(broker, async () => {
        const addresses = await Promise.race([this.#lookUp(broker.host), late]);
        const paths = addresses.map((host) =>
          this.#orNone({ host, port: broker.port }, async () => [
            await findBrokerPath({ host, port: broker.port }),
          ]),
        );
        return (await Promise.all(paths)).flat();
      }),
    );
    return (await Promise.all(found)).flat();
  }

  #lookUp(host: string): Promise<readonly string[]> {
    let lookedUp = this.#lookups.get(host);
    if (lookedUp === undefined) {
      lookedUp = lookup(host, { all: true }).then((all) => all.map(({ address }) => address));
      lookedUp.catch(() => this.#lookups.delete(host));
      this.#lookups.set(host, lookedUp);
    }
    return lookedUp;
  }

  async #orNone(
    broker: BrokerAddress,
    find: () => Promise<readonly BrokerPath[]>,
  ): Promise<readonly BrokerPath[]> {
    try {
      return await find();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#logger.debug(
        `Cannot tell the address that ${formatAddress(broker)} is reached from yet: ${reason}`,
      );
      return [];
    }
  }
}

/**
 * Finds out which address of this machine a connection to a broker would have: a UDP socket that
 * is connected gets one and sends nothing.
 *
 * @param broker its host is an IP address, with its zone if it is link-local (`fe80::1%eth0`)
 * @throws Error of node:dgram, such as ENETUNREACH when there is no route
 */
export async function findBrokerPath({ host, port }: BrokerAddress): Promise<BrokerPath> {
  const socket = createSocket(isIPv6(host) ? "udp6" : "udp4");
  try {
    const connected = once(socket, "connect");
    socket.connect(port, host);
    await connected;
    return {
      localAddress: addressOnTheWire(socket.address().address),
      // Not what was asked for: 0.0.0.0 becomes 127.0.0.1.
      remoteAddress: addressOnTheWire(socket.remoteAddress().address),
      remotePort: port,
    };
  } finally {
    socket.close();
  }
}

/**
 * An address as packets carry it: a link-local one without its zone, and of an IPv4-mapped one the
 * IPv4 address, because its packets are IPv4.
 *
 * @param address as the system says it: `fe80::1%eth0`, `::ffff:192.0.2.1`
 */
export function addressOnTheWire(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  return mapped?.[1] ?? address.replace(/%.*$/, "");
}
