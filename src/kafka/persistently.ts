import { setTimeout as sleep } from "node:timers/promises";
import { PcaptsError } from "../errors.ts";
import { abortable } from "./abortable.ts";
import { BackOff } from "../back-off.ts";
import type { KafkaClientOptions } from "./client-options.ts";
import { ConnectionError } from "./connection-error.ts";

/** How long to try, and how often. */
export type Persistence = Pick<
  KafkaClientOptions,
  "connectTimeoutMs" | "retryBackoffMs" | "retryBackoffMaxMs"
>;

/**
 * Tries again, after pauses, what fails with a {@link ConnectionError}: a
 * broker that is just starting, a leader that has just changed.
 *
 * @param what for the message when time is up: `Cannot ${what}: …`
 * @param attempt called until it succeeds or fails otherwise
 * @throws BROKER_UNREACHABLE after `connectTimeoutMs`; the signal's reason when it is aborted
 */
export async function persistently<T>(
  what: string,
  persistence: Persistence,
  signal: AbortSignal | undefined,
  attempt: () => Promise<T>,
): Promise<T> {
  const { connectTimeoutMs, retryBackoffMs, retryBackoffMaxMs } = persistence;
  const backOff = new BackOff(retryBackoffMs, retryBackoffMaxMs);
  const deadline = performance.now() + connectTimeoutMs;
  for (;;) {
    try {
      return await (signal === undefined ? attempt() : abortable(attempt(), signal));
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      const left = deadline - performance.now();
      if (left <= 0) {
        throw new PcaptsError(
          "BROKER_UNREACHABLE",
          `Cannot ${what}: ${error.message}; gave up after ${connectTimeoutMs / 1000} s (--connect-timeout)`,
          { cause: error },
        );
      }
      const delay = Math.min(backOff.nextDelayMs(), left);
      await sleep(delay, undefined, signal === undefined ? {} : { signal });
    }
  }
}

/** What a lost connection is to a user, once nobody tries again. */
export function asUnreachable(error: unknown): unknown {
  if (!(error instanceof ConnectionError)) return error;
  return new PcaptsError("BROKER_UNREACHABLE", `Lost the connection to Kafka: ${error.message}`, {
    cause: error,
  });
}
