import "./counters-signal.ts"; // before anything else: see there
import module from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";

/*
 * Node keeps compiled code from 22.1 on, by default in a directory under /tmp
 * whose name anyone can guess and fill first. Here it is one of the user's own,
 * and root, who captures, uses none.
 */
if (process.getuid?.() !== 0) {
  const cacheHome = process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
  (module as { enableCompileCache?: (directory: string) => unknown }).enableCompileCache?.(
    join(cacheHome, "pcapts"),
  );
}

void import("./main.ts").then(({ main }) => main());
