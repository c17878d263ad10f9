import type { PartitionLog } from "./partition-log.ts";

const LONGEST_WAIT_MS = 300_000;

/**
 * Waits until enough was appended, the time is over or the client is gone.
 *
 * @param missingBytes that have to come, over all the logs
 * @param maxWaitMs at most; never more than five minutes
 * @param onGone calls back when the connection is lost; @returns how to end that
 */
export function waitForBytes(
  logs: readonly PartitionLog[],
  missingBytes: number,
  maxWaitMs: number,
  onGone: (gone: () => void) => () => void,
): Promise<void> {
  return new Promise((resolve) => {
    let missing = missingBytes;
    const endings: (() => void)[] = [];
    const finish = (): void => {
      for (const end of endings) end();
      resolve();
    };
    const timer = setTimeout(finish, Math.min(maxWaitMs, LONGEST_WAIT_MS));
    endings.push(() => clearTimeout(timer), onGone(finish));
    for (const log of logs) {
      endings.push(
        log.onAppend((bytes) => {
          missing -= bytes;
          // Nothing came: the log was closed.
          if (missing <= 0 || bytes === 0) finish();
        }),
      );
    }
  });
}
