/*
 * SIGUSR1 prints the counters. Node's own handler for it would open a debugger
 * port, so this module is the first to be loaded, and a signal that comes
 * before there are counters is answered as soon as there are.
 */

let print: (() => void) | undefined;
let waiting = false;

process.on("SIGUSR1", () => {
  if (print === undefined) waiting = true;
  else print();
});

/**
 * Says what SIGUSR1 does from now on.
 *
 * @param printCounters called on each signal, and at once if one is waiting
 */
export function answerCountersSignal(printCounters: () => void): void {
  print = printCounters;
  if (waiting) print();
  waiting = false;
}
