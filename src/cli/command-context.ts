import type { CommandLogger } from "./logging.ts";
import type { StopSignals } from "./stop-signals.ts";

/** What a command works with besides its flags. */
export interface CommandContext {
  readonly logger: CommandLogger;
  readonly signals: StopSignals;
}
