import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Two ends of a cable: one here to capture from, one in a network namespace of its own to send into. */
export interface VethPair {
  /** The end to capture from. */
  readonly name: string;
  /**
   * Sends a capture file into the other end with tcpreplay.
   *
   * @param capture bytes of a pcap file
   * @param options tcpreplay's, such as `["--pps=1000"]`; default as fast as it can
   */
  send(capture: Buffer, options?: readonly string[]): Promise<void>;
  /** Takes the interface down, as `ip link set … down`. */
  down(): Promise<void>;
  /** Deletes both ends and the namespace; safe repeatedly. */
  remove(): Promise<void>;
}

/**
 * Makes a veth pair without addresses and IPv6, so that nothing but what a test sends is on it.
 *
 * @throws Error that says what is needed, unless root runs it on Linux
 */
export async function createVethPair(): Promise<VethPair> {
  if (process.getuid?.() !== 0) {
    throw new Error("tests on a real interface need root on Linux (ip, tcpreplay): sudo npm test");
  }
  const id = randomBytes(4).toString("hex");
  const name = `pc${id}`;
  const peer = `pp${id}`;
  const namespace = `pcapts-${id}`;
  const directory = await mkdtemp(join(tmpdir(), "veth-pair-"));
  const inNamespace = (...command: string[]): Promise<unknown> =>
    run("ip", ["netns", "exec", namespace, ...command]);

  let files = 0;
  const pair: VethPair = {
    name,
    async send(capture, options = ["--topspeed"]) {
      const path = join(directory, `${files++}.pcap`);
      await writeFile(path, capture);
      await inNamespace("tcpreplay", "-q", ...options, `--intf1=${peer}`, path);
    },
    async down() {
      await run("ip", ["link", "set", "dev", name, "down"]);
    },
    async remove() {
      await run("ip", ["link", "del", "dev", name]).catch(() => {});
      await run("ip", ["netns", "del", namespace]).catch(() => {});
      await rm(directory, { recursive: true, force: true });
    },
  };
  try {
    await run("ip", ["netns", "add", namespace]);
    await run("ip", [
      "link",
      "add",
      "name",
      name,
      "mtu",
      "65000",
      "type",
      "veth",
      "peer",
      "name",
      peer,
      "mtu",
      "65000",
      "netns",
      namespace,
    ]);
    const disableIpv6 = (end: string): string =>
      `echo 1 > /proc/sys/net/ipv6/conf/${end}/disable_ipv6`;
    await run("sh", ["-c", disableIpv6(name)]);
    await inNamespace("sh", "-c", disableIpv6(peer));
    await run("ip", ["link", "set", "dev", name, "up"]);
    await inNamespace("ip", "link", "set", "dev", peer, "up");
    return pair;
  } catch (error) {
    await pair.remove();
    throw error;
  }
}
