import { isIPv6 } from "node:net";
import type { BrokerPath } from "../kafka/broker-path.ts";

/** Stands for every host on the other side. */
const ANY_HOST = "";

/**
 * How much is said exactly. A kernel takes 4,096 instructions, of which the
 * user's filter needs some, and libpcap takes the cube of a choice's length to
 * compile it, which the program stands still for: measured with libpcap 1.10,
 * 0.1 s of CPU for an expression of this weight, and 0.7 s for one twice as
 * long, in which a ring of 64 MiB can overflow.
 */
const MAX_WEIGHT = 2000;
const MAX_PORTS = 300;

/**
 * Writes the libpcap expression that matches the traffic between this machine
 * and the brokers:
 *
 * ```
 *   host LOCAL and host BROKER and tcp port PORT
 *   host LOCAL and (host BROKER or host BROKER …) and tcp port PORT
 *   src host LOCAL and dst host LOCAL and tcp port PORT    a broker on this machine
 *   host LOCAL and tcp port PORT                           hundreds of brokers
 *   host LOCAL and tcp portrange FIRST-LAST                and of ports
 * ```
 *
 * The third leaves what other hosts send to that broker. The last two stand in
 * where naming each broker would be too long for the kernel.
 *
 * @param paths in any order, repeated ones too
 * @returns the same text for the same set of paths; "" for none
 */
export function formatOwnTraffic(paths: readonly BrokerPath[]): string {
  const exact = groupPaths(paths);
  const weight = exact.reduce((sum, clause) => sum + weightOf(clause), 0);
  const clauses =
    weight <= MAX_WEIGHT
      ? exact
      : groupPaths(paths.map((path) => ({ ...path, remoteAddress: ANY_HOST })));
  const [only, ...others] = clauses.map(formatClause);
  if (only === undefined || others.length === 0) return only ?? "";
  return [only, ...others].map((clause) => `(${clause})`).join(" or ");
}

/** Brokers that are reached from one address of this machine at the same ports. */
interface Clause {
  readonly local: string;
  readonly remotes: string[];
  readonly ports: readonly number[];
}

function groupPaths(paths: readonly BrokerPath[]): Clause[] {
  const ends = new Map<string, { local: string; remote: string; ports: Set<number> }>();
  for (const { localAddress: local, remoteAddress: remote, remotePort } of paths) {
    const key = `${local} ${remote}`;
    const known = ends.get(key) ?? { local, remote, ports: new Set() };
    ends.set(key, known);
    known.ports.add(remotePort);
  }
  const clauses = new Map<string, Clause>();
  for (const key of [...ends.keys()].toSorted()) {
    const { local, remote, ports } = ends.get(key)!;
    const sorted = [...ports].toSorted((a, b) => a - b);
    // The broker on this machine has a clause of its own.
    const group = `${local} ${local === remote} ${sorted.join(" ")}`;
    const clause = clauses.get(group) ?? { local, remotes: [], ports: sorted };
    clauses.set(group, clause);
    clause.remotes.push(remote);
  }
  return [...clauses.values()];
}

function formatClause({ local, remotes, ports }: Clause): string {
  const port =
    ports.length > MAX_PORTS
      ? `tcp portrange ${ports[0]}-${ports.at(-1)}`
      : formatChoice("tcp port", ports);
  if (remotes[0] === ANY_HOST) return `host ${local} and ${port}`;
  if (remotes[0] === local) return `src host ${local} and dst host ${local} and ${port}`;
  return `host ${local} and ${formatChoice("host", remotes)} and ${port}`;
}

function formatChoice(primitive: string, values: readonly (string | number)[]): string {
  const terms = values.map((value) => `${primitive} ${value}`);
  return terms.length === 1 ? terms[0]! : `(${terms.join(" or ")})`;
}

function weightOf({ local, remotes, ports }: Clause): number {
  const [clause, host, port] = isIPv6(local) ? [40, 18, 10] : [20, 12, 10];
  return clause + host * remotes.length + port * ports.length;
}
