import { getSystemErrorMap } from "node:util";
import { PcaptsError } from "../errors.ts";

/**
 * An error as an operator should meet it: the message of a `PcaptsError` says
 * all; anything else is a mistake in this program and says so.
 *
 * @param error what was thrown
 * @param withStack add stack traces and causes, for DEBUG
 * @returns one line, or several with `withStack`
 */
export function formatError(error: unknown, withStack: boolean): string {
  const text =
    error instanceof PcaptsError
      ? error.message
      : `Internal error, please report it (-ll DEBUG shows where): ${describe(error)}`;
  return withStack ? [text, ...listStacks(error)].join("\n") : text;
}

/**
 * Exit status for an error that ended the process.
 *
 * @param error what was thrown
 */
export function exitStatusOf(error: unknown): number {
  return error instanceof PcaptsError ? error.exitCode : 1;
}

/**
 * Whether an error or one of its causes carries a code of the operating system.
 *
 * @param error what was thrown
 * @param code "EPIPE", "ENOENT" …
 */
export function isCausedBy(error: unknown, code: string): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ((at as NodeJS.ErrnoException).code === code) return true;
  }
  return false;
}

/**
 * What the operating system said, without Node's decoration.
 *
 * @param error what a file or socket operation threw
 * @returns "no such file or directory"
 */
export function describeSystemError(error: unknown): string {
  const { errno } = error as NodeJS.ErrnoException;
  const known = errno === undefined ? undefined : getSystemErrorMap().get(errno);
  return known?.[1] ?? describe(error);
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function listStacks(error: unknown): string[] {
  const stacks: string[] = [];
  for (let at = error; at instanceof Error; at = at.cause) {
    stacks.push(`${stacks.length === 0 ? "" : "caused by "}${at.stack ?? at.message}`);
  }
  return stacks;
}
