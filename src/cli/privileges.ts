import { execFileSync } from "node:child_process";
import { accessSync, constants, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { becomeUser, type ProcessUser } from "../capture/process-user.ts";
import { PcaptsError } from "../errors.ts";
import type { Logger } from "../logger.ts";

const LOCAL_USERS = "/etc/passwd";

/**
 * Looks up the user of `-Z, --relinquish-privileges`.
 *
 * @param wanted name or number of a user
 * @param localUsers where to look first; then `getent` asks every source that the system has
 * @throws PcaptsError USAGE when there is no such user
 */
export function findUser(wanted: string, localUsers = LOCAL_USERS): ProcessUser {
  const user =
    selectUser(readFileSync(localUsers, "utf8"), wanted) ?? selectUser(ask(wanted), wanted);
  if (user !== undefined) return user;
  throw new PcaptsError(
    "USAGE",
    `-Z, --relinquish-privileges expects a user of this system, not "${wanted}"`,
  );
}

/** Lines as in passwd(5); a name goes before a number. */
function selectUser(lines: string, wanted: string): ProcessUser | undefined {
  const users = lines.split("\n").flatMap((line): ProcessUser[] => {
    const [name = "", , uid = "", gid = ""] = line.split(":");
    if (!/^\d+$/.test(uid) || !/^\d+$/.test(gid)) return [];
    return [{ name, uid: Number(uid), gid: Number(gid) }];
  });
  return (
    users.find(({ name }) => name === wanted) ?? users.find(({ uid }) => String(uid) === wanted)
  );
}

/** Users of a directory service are in no file. Empty where nobody knows one, or how to ask. */
function ask(wanted: string): string {
  try {
    return execFileSync("getent", ["passwd", "--", wanted], { encoding: "ascii" }).trim();
  } catch {
    return "";
  }
}

/**
 * Changes this process from root to another user, for good.
 *
 * @param user who it is afterwards
 * @param logger told what was done
 * @param keytab what every login to Kafka reads, if that is with Kerberos
 * @throws PcaptsError PRIVILEGES_NOT_DROPPED
 */
export function dropPrivileges(user: ProcessUser, logger: Logger, keytab?: string): void {
  const { name, uid, gid } = user;
  const laterModules = listLaterModules();
  try {
    if (!becomeUser(process, user)) {
      logger.info(`-Z ${name}: nothing to give up, the process stays user ${process.geteuid?.()}`);
      return;
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new PcaptsError(
      "PRIVILEGES_NOT_DROPPED",
      `Cannot change to user "${name}": ${reason}; changing needs CAP_SETUID and CAP_SETGID`,
      { cause },
    );
  }
  for (const path of laterModules) {
    requireReadable(
      path,
      name,
      "pcapts is installed there: install it where every user may read it, such as /usr/local",
    );
  }
  if (keytab !== undefined) {
    const path = keytab.replace(/^(WR)?FILE:/, "");
    requireReadable(
      path,
      name,
      `each login to Kafka reads this keytab: give it to that user (chown ${name})`,
    );
  }
  logger.info(`Changed to user "${name}" (${uid}:${gid}), for good`);
}

/** Of this package and of kafkajs, which both load some of their files when they need them. */
function listLaterModules(): readonly string[] {
  return [import.meta.url, import.meta.resolve("kafkajs")].map((url) => fileURLToPath(url));
}

/** Otherwise Kafka could not be reached, and for reasons that nobody would look for here. */
function requireReadable(path: string, userName: string, advice: string): void {
  try {
    accessSync(path, constants.R_OK);
  } catch (cause) {
    throw new PcaptsError(
      "PRIVILEGES_NOT_DROPPED",
      `Cannot go on as user "${userName}", who may not read "${path}"; ${advice}`,
      { cause },
    );
  }
}
