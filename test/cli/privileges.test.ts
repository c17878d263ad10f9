import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { findUser } from "../../src/cli/privileges.ts";
import { projectRoot } from "../brokers.ts";
import { runPcapts } from "./pcapts-process.ts";

const run = promisify(execFile);
const PRIVILEGES = new URL("../../src/cli/privileges.js", import.meta.url).href;

let directory: string;
let users: string;
before(() => {
  directory = mkdtempSync(path.join(tmpdir(), "pcapts-users-"));
  users = path.join(directory, "passwd");
  writeFileSync(
    users,
    "root:x:0:0:root:/root:/bin/sh\n" +
      "# a comment\n" +
      "probe:x:2001:2002:a probe:/nonexistent:/bin/false\n" +
      "2001:x:2003:2004:a number for a name::\n",
  );
});
after(() => rmSync(directory, { recursive: true }));

test("findUser() finds a user by name, else by number", () => {
  const probe = { name: "probe", uid: 2001, gid: 2002 };
  assert.deepEqual(findUser("probe", users), probe);
  assert.deepEqual(findUser("2001", users), { name: "2001", uid: 2003, gid: 2004 });
  assert.deepEqual(findUser("2003", users), { name: "2001", uid: 2003, gid: 2004 });
});

test("findUser() asks the system for users that are in no file", () => {
  const { name, uid } = findUser("daemon", users);
  assert.deepEqual([name, uid], ["daemon", 1]);
});

test("findUser() refuses what is no user", () => {
  for (const wanted of ["nosuchuser", "", "-h", "pro", "# a comment", "x"]) {
    assert.throws(() => findUser(wanted, users), {
      code: "USAGE",
      message: `-Z, --relinquish-privileges expects a user of this system, not "${wanted}"`,
    });
  }
});

/** What a root process says of itself after it has changed to a user. */
function drop(user: string, ...prefix: string[]): Promise<string> {
  return dropBy({ program: PRIVILEGES }, user, ...prefix);
}

async function dropBy(
  { program, keytab }: { program: string; keytab?: string },
  user: string,
  ...prefix: string[]
): Promise<string> {
  const script = `
    import { readFileSync } from "node:fs";
    import { dropPrivileges, findUser } from ${JSON.stringify(program)};
    const said = [];
    const logger = { debug() {}, info: (line) => said.push(line), warn() {}, error() {} };
    try {
      dropPrivileges(findUser(${JSON.stringify(user)}), logger, ${JSON.stringify(keytab)});
      const status = readFileSync("/proc/self/status", "ascii");
      for (const name of ["Uid", "Gid", "CapPrm", "CapEff"]) {
        said.push(new RegExp(name + ":\\\\s+(.*)").exec(status)[0].replaceAll("\\t", " "));
      }
      for (const back of [() => process.setuid(0), () => process.seteuid(0)]) {
        try { back(); said.push("is root again"); } catch (error) { said.push(error.code); }
      }
    } catch (error) {
      said.push(error.code + ": " + error.message);
    }
    console.log(said.join("\\n"));`;
  const command = [...prefix, process.execPath, "--input-type=module", "-e", script];
  const { stdout } = await run(command[0]!, command.slice(1));
  return stdout.trimEnd();
}

test("dropPrivileges() changes groups and user, gives up every capability, and cannot go back", async () => {
  assert.equal(
    await drop("daemon"),
    [
      'Changed to user "daemon" (1:1), for good',
      "Uid: 1 1 1 1",
      "Gid: 1 1 1 1",
      "CapPrm: 0000000000000000",
      "CapEff: 0000000000000000",
      "EPERM",
      "EPERM",
    ].join("\n"),
  );
});

test("dropPrivileges() says so when there is nothing to give up", async () => {
  assert.match(await drop("root"), /^-Z root: nothing to give up, the process stays user 0\n/);
  assert.match(
    await drop("daemon", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
    /^-Z daemon: nothing to give up, the process stays user 65534\nUid: 65534 65534/,
  );
});

test("dropPrivileges() fails where root may not change its user", async () => {
  assert.equal(
    await drop("daemon", "setpriv", "--bounding-set=-setuid,-setgid"),
    'PRIVILEGES_NOT_DROPPED: Cannot change to user "daemon": EPERM, Operation not permitted; ' +
      "changing needs CAP_SETUID and CAP_SETGID",
  );
});

// kafkajs loads its requests one by one: Kafka "could not be reached" for half a minute, for want of a module.
test("dropPrivileges() fails where the user may not read the installation", async () => {
  const home = path.join(directory, "root");
  mkdirSync(path.join(home, "node_modules"), { recursive: true, mode: 0o700 });
  cpSync(path.join(projectRoot, "dist/src"), path.join(home, "dist/src"), { recursive: true });
  symlinkSync(
    path.join(projectRoot, "node_modules/kafkajs"),
    path.join(home, "node_modules/kafkajs"),
  );
  writeFileSync(path.join(home, "package.json"), `{ "type": "module" }`);
  const program = path.join(home, "dist/src/cli/privileges.js");
  assert.equal(
    await dropBy({ program }, "daemon"),
    `PRIVILEGES_NOT_DROPPED: Cannot go on as user "daemon", who may not read "${program}"; ` +
      "pcapts is installed there: install it where every user may read it, such as /usr/local",
  );
});

test("dropPrivileges() fails where the user may not read the keytab of later logins", async () => {
  const keytab = path.join(directory, "probe.keytab");
  writeFileSync(keytab, "", { mode: 0o600 });
  assert.equal(
    await dropBy({ program: PRIVILEGES, keytab: `FILE:${keytab}` }, "daemon"),
    `PRIVILEGES_NOT_DROPPED: Cannot go on as user "daemon", who may not read "${keytab}"; ` +
      "each login to Kafka reads this keytab: give it to that user (chown daemon)",
  );
});

test("a user that is not there is wrong use, before anything is opened", async () => {
  const { status, stderr } = await runPcapts("-p", "-i", "nosuch0", "-Z", "nosuchuser");
  assert.equal(status, 2);
  assert.match(
    stderr,
    /-Z, --relinquish-privileges expects a user of this system, not "nosuchuser"/,
  );
  assert.doesNotMatch(stderr, /nosuch0/);
});
