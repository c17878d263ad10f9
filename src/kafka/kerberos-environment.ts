import { resolve } from "node:path";

/*
 * libkrb5 is told by the environment alone which keytab and which ticket cache
 * to use. This file is the one beneath the command line that touches the
 * process for it.
 */

const KEYTAB = "KRB5_CLIENT_KTNAME";
const CACHE = "KRB5CCNAME";

/** As they were before anything was set here. */
const before = new Map([KEYTAB, CACHE].map((name) => [name, process.env[name]]));

/**
 * Says where the next login of this process finds its tickets.
 *
 * @param keytab path: tickets are got with it, and got anew when they expire, and kept in this
 *   process's memory; undefined: the keytab and the ticket cache of the user
 * @param cache number of the cache in memory; a new one is empty
 */
export function useTicketsOf(keytab: string | undefined, cache: number): void {
  if (keytab === undefined) {
    for (const [name, value] of before) setVariable(name, value);
    return;
  }
  const path = resolve(keytab.replace(/^(WR)?FILE:/, ""));
  setVariable(KEYTAB, `FILE:${path}`);
  setVariable(CACHE, `MEMORY:pcapts:${path}:${cache}`);
}

function setVariable(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}
