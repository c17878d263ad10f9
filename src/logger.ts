/**
 * What the library logs through. pino's loggers have this shape; so does
 * `silentLogger`, the default for embedders.
 */
export interface Logger {
  /** @param context what it is about, in the words of librdkafka's `debug`: "fetch" */
  debug(message: string, context?: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
  /** True when DEBUG lines are printed; lets a caller skip building them. */
  isDebugEnabled(): boolean;
}

const ignore = (): void => {};

/** A logger that prints nothing. */
export const silentLogger: Logger = {
  debug: ignore,
  info: ignore,
  warn: ignore,
  error: ignore,
  isDebugEnabled: () => false,
};
