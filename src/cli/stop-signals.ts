const STOP_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** What a shell reports for a program that SIGINT ended. */
const EXIT_STATUS_OF_SECOND_SIGNAL = 130;

/** Requests to stop, from now on. */
export interface StopSignals {
  /** True once a stop was asked for. */
  readonly stopped: boolean;
  /**
   * Says what stopping means from now on.
   *
   * @param stop called on the first signal, or at once if that has come already
   */
  onStop(stop: () => void): void;
  /**
   * Gives the signals back: from now on each ends the process. It may still be there for half a
   * minute, deaf, while libkrb5 waits for a KDC that does not answer, which no exit can cut short.
   */
  release(): void;
}

/**
 * Takes SIGINT, SIGTERM and SIGHUP: the first asks for an orderly stop, a
 * second one of any of them ends the process at once with status 130.
 */
export function catchStopSignals(): StopSignals {
  let stopped = false;
  let stop = (): void => {};
  for (const signal of STOP_SIGNALS) {
    process.on(signal, () => {
      if (stopped) {
        release();
        process.exit(EXIT_STATUS_OF_SECOND_SIGNAL);
      }
      stopped = true;
      stop();
    });
  }
  return {
    get stopped() {
      return stopped;
    },
    onStop(handler) {
      stop = handler;
      if (stopped) stop();
    },
    release,
  };
}

function release(): void {
  for (const signal of STOP_SIGNALS) process.removeAllListeners(signal);
}
