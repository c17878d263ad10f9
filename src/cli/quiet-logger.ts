import { silentLogger } from "../logger.ts";
import type { CommandLogger } from "./logging.ts";

const ignore = (): void => {};

/** A logger that keeps everything to itself, and needs nothing to be loaded. */
export const quietLogger: CommandLogger = {
  ...silentLogger,
  answer: ignore,
  report: ignore,
  limitDebug: ignore,
  showStatus: ignore,
};
