/**
 * Finaliser of MurmurHash3 (32 bit, public domain): every input bit changes each output bit with a
 * probability near one half, so that `hash % partitions` spreads for any number of partitions.
 *
 * @returns a signed 32-bit integer
 */
export function avalanche(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

/** Adds one 32-bit word to a running hash (the body of MurmurHash3); order matters. */
export function mixWord(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  const mixed = hash ^ k;
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0;
}

/**
 * Joins the hashes of two endpoints so that swapping them changes nothing.
 *
 * @param one hash of an endpoint, already through {@link avalanche}
 * @param kind what else both directions share, such as the IP protocol or an EtherType
 * @returns 0 to 2^31 - 1: larger numbers are not small integers to V8, and returning them
 *   allocates (measured: 70 ns a frame instead of 54)
 */
export function mixEndpoints(one: number, other: number, kind: number): number {
  // Sum and bitwise difference: together they tell pairs apart that have either in common.
  const sum = Math.imul((one + other) | 0, 0xcc9e2d51);
  return avalanche(sum ^ one ^ other ^ Math.imul(kind, 0x9e3779b1)) >>> 1;
}
