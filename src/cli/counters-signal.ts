import inspector from "node:inspector";

/*
 * SIGUSR1 prints the counters. Node's own handler for it opens a debugger
 * port, so this module is the first to be loaded. A signal that comes while
 * Node itself is still starting, before any module could take it, has opened
 * that port already: it is closed again, and the signal is not forgotten. One
 * that comes before there are counters is answered as soon as there are.
 */

let print: (() => void) | undefined;
let waiting = false;

process.on("SIGUSR1", () => {
  if (print === undefined) waiting = true;
  else print();
});

const debuggerWanted = [...process.execArgv, process.env["NODE_OPTIONS"] ?? ""].some((flags) =>
  /--inspect(-brk|-wait)?(=|\s|$)/.test(flags),
);

if (!debuggerWanted) {
  closeDebugger();
  // Node may be about to open it: another thread of Node's asks the main one, which may be busy.
  for (const delayMs of [0, 10, 50, 200, 1000]) setTimeout(closeDebugger, delayMs).unref();
}

function closeDebugger(): void {
  if (inspector.url() === undefined) return;
  inspector.close();
  waiting = true;
}

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
