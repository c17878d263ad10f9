import { execFile, spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Two ends of a cable: one here to capture from, one in a network namespace of its own to send into. */
export interface VethPair {
  /** The end to capture from. */
  readonly name: string;
  /** The end in the namespace. */
  readonly peer: string;
  /**
   * Sends a capture file into the other end with tcpreplay.
   *
   * @param capture bytes of a pcap file
   * @param options tcpreplay's, such as `["--pps=1000"]`; default as fast as it can
   */
  send(capture: Buffer, options?: readonly string[]): Promise<void>;
  /** The command line that runs a program in the namespace. */
  inside(command: readonly string[]): [string, ...string[]];
  /** Runs a program in the namespace to its end. */
  exec(command: readonly string[]): Promise<{ stdout: string; stderr: string }>;
  /** Takes the interface down, as `ip link set … down`. */
  down(): Promise<void>;
  /** Deletes both ends and the namespace; safe repeatedly. Happens by itself when this process dies, however it dies. */
  remove(): Promise<void>;
}

/**
 * Makes a veth pair without addresses and IPv6, so that nothing but what a test sends is on it.
 *
 * @throws Error that says what is needed, unless root runs it on Linux
 */
export async function createVethPair(): Promise<VethPair> {
  if (process.getuid?.() !== 0) {
    throw new Error("a real interface needs root on Linux (ip, tcpreplay): run this with sudo");
  }
  const id = randomBytes(4).toString("hex");
  const name = `pc${id}`;
  const peer = `pp${id}`;
  const namespace = await NetworkNamespace.create();
  const directory = await mkdtemp(join(tmpdir(), "veth-pair-"));
  const inside = (command: readonly string[]): [string, ...string[]] => [
    "nsenter",
    `--net=/proc/${namespace.pid}/ns/net`,
    ...command,
  ];
  const exec = (command: readonly string[]): Promise<{ stdout: string; stderr: string }> => {
    const [program, ...args] = inside(command);
    return run(program, args);
  };

  let files = 0;
  const pair: VethPair = {
    name,
    peer,
    async send(capture, options = ["--topspeed"]) {
      const path = join(directory, `${files++}.pcap`);
      await writeFile(path, capture);
      await exec(["tcpreplay", "-q", ...options, `--intf1=${peer}`, path]);
    },
    inside,
    exec,
    async down() {
      await run("ip", ["link", "set", "dev", name, "down"]);
    },
    async remove() {
      await run("ip", ["link", "del", "dev", name]).catch(() => {});
      await namespace.remove();
      await rm(directory, { recursive: true, force: true });
    },
  };
  const ends = [
    ["name", name, "mtu", "65000"],
    ["peer", "name", peer, "mtu", "65000", "netns", String(namespace.pid)],
  ] as const;
  try {
    await run("ip", ["link", "add", ...ends[0], "type", "veth", ...ends[1]]);
    const disableIpv6 = (end: string): string =>
      `echo 1 > /proc/sys/net/ipv6/conf/${end}/disable_ipv6`;
    await run("sh", ["-c", disableIpv6(name)]);
    await exec(["sh", "-c", disableIpv6(peer)]);
    await run("ip", ["link", "set", "dev", name, "up"]);
    await exec(["ip", "link", "set", "dev", peer, "up"]);
    return pair;
  } catch (error) {
    await pair.remove();
    throw error;
  }
}

/**
 * A network namespace without a name, which lasts as long as a process in it. That process dies with
 * this one, so nothing is left behind, the veth pair included.
 */
class NetworkNamespace {
  readonly #holder: ChildProcess;

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
  }

  static async create(): Promise<NetworkNamespace> {
    const holding = ["unshare", "--net", "sh", "-c", "echo; exec sleep infinity"];
    const holder = spawn("setpriv", ["--pdeathsig", "KILL", ...holding], {
      stdio: ["ignore", "pipe", "inherit"],
      // A terminal's Ctrl-C leaves it to the one that it belongs to.
      detached: true,
    });
    const ready = await Promise.race([
      once(holder.stdout, "data").then(() => true),
      once(holder, "exit").then(() => false),
    ]);
    if (!ready) throw new Error("Cannot make a network namespace (setpriv, unshare --net)");
    holder.stdout.destroy();
    holder.unref();
    return new NetworkNamespace(holder);
  }

  /** Of the process that holds it. */
  get pid(): number {
    return this.#holder.pid!;
  }

  async remove(): Promise<void> {
    if (this.#holder.exitCode !== null || this.#holder.signalCode !== null) return;
    this.#holder.ref();
    const ended = once(this.#holder, "exit");
    this.#holder.kill("SIGKILL");
    await ended;
  }
}
