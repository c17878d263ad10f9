/*
 * The library's messages of DEBUG begin with what they are about. `-X debug=`
 * chooses among them by librdkafka's words, so these are told from the
 * beginnings; only then, because without `debug=` all are printed.
 */

const CONTEXTS: readonly (readonly [RegExp, string])[] = [
  [/^kafkajs Connection: (Request|Response) Sasl/, "security"],
  [/^kafkajs Connection: (Request|Response) /, "protocol"],
  [/^kafkajs Sasl/i, "security"],
  [/^kafkajs /, "broker"],
  [/^Connecting to Kafka/, "broker"],
  [/^Cannot tell the address that /, "broker"],
  [/^protocol: /, "protocol"],
  [/^security: /, "security"],
  [/^group: /, "cgrp"],
  [/^fetching: /, "fetch"],
  [/^(publishing|partition \d+): /, "msg"],
];

/**
 * What a message of DEBUG is about.
 *
 * @param message the message
 * @returns librdkafka's word for it, or undefined for one that is always wanted
 */
export function debugContextOf(message: string): string | undefined {
  return CONTEXTS.find(([beginning]) => beginning.test(message))?.[1];
}
