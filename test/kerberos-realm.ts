/**
 * A Kerberos realm of MIT's programs, in a directory of its own.
 *
 * Nothing of the machine's own Kerberos is read or written: every program gets
 * the realm's `environment()`. `startKerberosRealm()` runs the KDC; another
 * process that knows the directory adds principals with `openKerberosRealm()`,
 * because the database is a file.
 */
import { type ChildProcess, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import path from "node:path";
import { freePort } from "./brokers.ts";
import {
  endProcess,
  makeServerDirectory,
  spawnWithParent,
  waitUntilListening,
} from "./server-process.ts";

/** How a principal differs from the plain one. */
export interface PrincipalOptions {
  /** For kinit; without it the key is random and only a keytab has it. */
  readonly password?: string;
  /** How long its tickets live; default a day. */
  readonly ticketLifetimeSeconds?: number;
  /** How long a ticket can be renewed after it was first given; default a week. */
  readonly renewLifetimeSeconds?: number;
}

/** Variables that MIT's library reads. */
export type KerberosEnvironment = Readonly<Record<"KRB5_CONFIG" | "KRB5CCNAME", string>>;

/** A realm whose database can be reached. */
export interface KerberosRealm {
  /** `PCAPTS.TEST`. */
  readonly name: string;
  readonly directory: string;
  /** The path of krb5.conf. */
  readonly configFile: string;
  /** What a program needs to be in this realm; the ticket cache is empty and its own. */
  environment(): KerberosEnvironment;
  /**
   * Adds a principal with a random key.
   *
   * @param name `alice` or `kafka/localhost`
   * @returns its whole name, `alice@PCAPTS.TEST`
   */
  addPrincipal(name: string, options?: PrincipalOptions): string;
  /** Gives a principal a new key; keytabs made before hold the old one. */
  changeKey(name: string): void;
  /** Writes the keys of principals into a new file; a principal's keys stay as they are. */
  keytab(...names: readonly string[]): string;
  /**
   * Gets a ticket with a keytab, as a user does.
   *
   * @param args more arguments for kinit, such as `-l 5s`
   * @returns the environment of the realm with the new ticket cache
   */
  kinit(name: string, ...args: readonly string[]): KerberosEnvironment;
  /** The environment of somebody whose krb5.conf names a KDC where nobody listens. */
  environmentWithoutKdc(): Promise<KerberosEnvironment>;
}

/** A realm whose KDC this process runs. */
export interface RunningKerberosRealm extends KerberosRealm {
  readonly port: number;
  /** What the KDC logged. */
  log(): string;
  /** Ends the KDC; the database stays. */
  stop(): Promise<void>;
  /** Starts it again at the same port. */
  start(): Promise<void>;
  /** Ends the KDC and deletes the directory. */
  remove(): Promise<void>;
}

const REALM = "PCAPTS.TEST";
const DIRECTORY_PREFIX = "pcapts-realm-";

/** Makes a realm and starts its KDC; resolves when it serves. */
export async function startKerberosRealm(): Promise<RunningKerberosRealm> {
  const directory = makeServerDirectory(DIRECTORY_PREFIX);
  const realm = new RealmWithKdc(directory, await freePort());
  try {
    realm.prepare();
    await realm.start();
    return realm;
  } catch (error) {
    await realm.remove();
    throw error;
  }
}

/** The realm that another process runs. */
export function openKerberosRealm(directory: string): KerberosRealm {
  return new RealmDirectory(directory);
}

class RealmDirectory implements KerberosRealm {
  readonly name = REALM;
  readonly directory: string;
  readonly configFile: string;

  constructor(directory: string) {
    this.directory = directory;
    this.configFile = path.join(directory, "krb5.conf");
  }

  environment(): KerberosEnvironment {
    return { KRB5_CONFIG: this.configFile, KRB5CCNAME: `FILE:${this.#newFile("ccache")}` };
  }

  addPrincipal(name: string, options: PrincipalOptions = {}): string {
    const { password, ticketLifetimeSeconds = 86_400, renewLifetimeSeconds = 604_800 } = options;
    this.#administer(
      "add_principal",
      ...(password === undefined ? ["-randkey"] : ["-pw", password]),
      "-maxlife",
      `${ticketLifetimeSeconds} seconds`,
      "-maxrenewlife",
      `${renewLifetimeSeconds} seconds`,
      name,
    );
    return `${name}@${REALM}`;
  }

  changeKey(name: string): void {
    this.#administer("change_password", "-randkey", name);
  }

  keytab(...names: readonly string[]): string {
    const file = this.#newFile("keytab");
    this.#administer("ktadd", "-norandkey", "-k", file, ...names);
    return file;
  }

  kinit(name: string, ...args: readonly string[]): KerberosEnvironment {
    const environment = this.environment();
    const command = ["kinit", "-k", "-t", this.keytab(name), ...args, name] as const;
    runKerberosProgram(command, environment);
    return environment;
  }

  async environmentWithoutKdc(): Promise<KerberosEnvironment> {
    const file = this.#newFile("krb5.conf");
    fs.writeFileSync(file, formatClientConfig(await freePort()));
    return { ...this.environment(), KRB5_CONFIG: file };
  }

  #newFile(extension: string): string {
    return path.join(this.directory, `${randomBytes(6).toString("hex")}.${extension}`);
  }

  #administer(...query: readonly string[]): void {
    runKerberosProgram(["kadmin.local", "-r", REALM, ...query], this.serverEnvironment());
  }

  protected serverEnvironment(): NodeJS.ProcessEnv {
    return { ...this.environment(), KRB5_KDC_PROFILE: path.join(this.directory, "kdc.conf") };
  }
}

class RealmWithKdc extends RealmDirectory implements RunningKerberosRealm {
  readonly port: number;
  #kdc: ChildProcess | undefined;

  constructor(directory: string, port: number) {
    super(directory);
    this.port = port;
  }

  /** Writes the configuration and an empty database. */
  prepare(): void {
    fs.writeFileSync(this.configFile, formatClientConfig(this.port));
    fs.writeFileSync(
      path.join(this.directory, "kdc.conf"),
      formatServerConfig(this.directory, this.port),
    );
    const masterPassword = randomBytes(12).toString("hex");
    runKerberosProgram(
      ["kdb5_util", "create", "-s", "-r", REALM, "-P", masterPassword],
      this.serverEnvironment(),
    );
  }

  async start(): Promise<void> {
    const output = path.join(this.directory, "krb5kdc.out");
    this.#kdc = spawnWithParent(
      serverProgram("krb5kdc"),
      ["-n", "-r", REALM, "-P", path.join(this.directory, "krb5kdc.pid")],
      output,
      this.serverEnvironment(),
    );
    await waitUntilListening("krb5kdc", this.port, this.#kdc);
  }

  log(): string {
    return fs.readFileSync(path.join(this.directory, "kdc.log"), "utf8");
  }

  async stop(): Promise<void> {
    await endProcess(this.#kdc, "SIGTERM");
  }

  async remove(): Promise<void> {
    await endProcess(this.#kdc, "SIGKILL");
    fs.rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Names are taken as they are: no DNS, which tests do not have and Kafka's recipes switch off. */
function formatClientConfig(port: number): string {
  return `[libdefaults]
  default_realm = ${REALM}
  rdns = false
  dns_canonicalize_hostname = false
  dns_lookup_kdc = false
  dns_lookup_realm = false
  dns_uri_lookup = false
  forwardable = true
[realms]
  ${REALM} = {
    kdc = 127.0.0.1:${port}
  }
[domain_realm]
  localhost = ${REALM}
`;
}

function formatServerConfig(directory: string, port: number): string {
  return `[kdcdefaults]
  kdc_listen = 127.0.0.1:${port}
  kdc_tcp_listen = 127.0.0.1:${port}
[realms]
  ${REALM} = {
    database_name = ${directory}/principal
    key_stash_file = ${directory}/stash
    acl_file = ${directory}/kadm5.acl
    supported_enctypes = aes256-cts-hmac-sha1-96:normal
    max_life = 1d
    max_renewable_life = 7d
  }
[logging]
  kdc = FILE:${directory}/kdc.log
`;
}

/** Debian keeps servers where a plain user's PATH does not look. */
function serverProgram(name: string): string {
  const place = ["/usr/sbin", "/usr/local/sbin"].find((directory) =>
    fs.existsSync(path.join(directory, name)),
  );
  return place === undefined ? name : path.join(place, name);
}

/** Runs one of MIT's programs; fails with what it said unless it succeeds. */
export function runKerberosProgram(
  [program = "", ...args]: readonly string[],
  env: NodeJS.ProcessEnv,
): string {
  const run = spawnSync(serverProgram(program), args, {
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
  if (run.status === 0 && !/^\w+: .*\bwhile\b/m.test(run.stderr)) return run.stdout;
  const said = run.error?.message ?? `${run.stderr}${run.stdout}`;
  throw new Error(
    `${program} ${args.join(" ")} failed (scripts/setup --test installs it): ${said}`,
  );
}
