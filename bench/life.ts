import { stopMeasuring } from "./measure.ts";

/**
 * Has this called when the process ends: by itself, by an error or by a signal, which also ends the
 * program that is being measured. SIGKILL alone leaves no time for it.
 */
export function atEnd(cleanUp: () => void): void {
  process.once("exit", cleanUp);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => {
      stopMeasuring();
      // The broker goes at exit.
      process.exit(130);
    });
  }
}
