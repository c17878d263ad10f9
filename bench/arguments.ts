import { parseArgs, type ParseArgsConfig } from "node:util";

/** Something in the command line that cannot be meant. */
export class BenchUsageError extends Error {}

/**
 * Values of the flags in `argv`.
 * @param options as for node:util's `parseArgs`
 * @throws BenchUsageError for a flag that is unknown or lacks its value
 */
export function parseFlags<Options extends NonNullable<ParseArgsConfig["options"]>>(
  argv: readonly string[],
  options: Options,
): ReturnType<typeof parseArgs<{ args: string[]; options: Options }>>["values"] {
  try {
    return parseArgs({ args: [...argv], options }).values;
  } catch (error) {
    throw new BenchUsageError(error instanceof Error ? error.message : String(error));
  }
}

/** What `parse` makes of a value, if there is one. */
export function optional<T>(text: string | undefined, parse: (text: string) => T): T | undefined {
  return text === undefined ? undefined : parse(text);
}

/**
 * A positive integer, which may have `_` or `,` between its digits.
 * @throws BenchUsageError naming the flag
 */
export function parseCount(flag: string, text: string): number {
  const number = Number(text.replaceAll(/[_,]/g, ""));
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new BenchUsageError(`${flag} expects a positive integer, not ${JSON.stringify(text)}`);
}

/**
 * Names separated by commas, each of them known.
 * @throws BenchUsageError naming the flag and what it knows
 */
export function parseNames<Name extends string>(
  flag: string,
  text: string,
  known: readonly Name[],
): Name[] {
  const names = text.split(",").filter((name) => name !== "");
  const unknown = names.find((name) => !known.some((one) => one === name));
  if (unknown === undefined && names.length > 0) return names as Name[];
  throw new BenchUsageError(
    `${flag} expects some of ${known.join(", ")}, not ${JSON.stringify(unknown ?? text)}`,
  );
}
