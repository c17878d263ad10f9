import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import type { BrokerPath } from "../../src/kafka/broker-path.ts";
import { formatOwnTraffic } from "../../src/pipeline/own-traffic-filter.ts";
import { readCapture } from "../capture-frames.ts";
import { buildCapture } from "../fixtures/generate.ts";
import { buildTcpPacket, type TcpEnd, wrapPacket } from "../fixtures/tcp-frames.ts";

/** Link types that hold IP, as tcpdump names them. */
const IP_LINK_TYPES = [
  [1, "EN10MB"],
  [0, "NULL"],
  [9, "PPP"],
  [101, "RAW"],
  [108, "LOOP"],
  [113, "LINUX_SLL"],
  [276, "LINUX_SLL2"],
] as const;

const MAX_KERNEL_INSTRUCTIONS = 4096;

function pathsOf(...texts: readonly string[]): BrokerPath[] {
  return texts.map((text) => {
    const [localAddress = "", remoteAddress = "", port] = text.split(" ");
    return { localAddress, remoteAddress, remotePort: Number(port) };
  });
}

/** Instructions of what tcpdump compiles; fails with libpcap's words when it does not. */
function compile(filter: string, dlt: string): number {
  const { stdout, stderr } = spawnSync("tcpdump", ["-y", dlt, "-ddd", filter]);
  const count = Number(stdout.toString().split("\n")[0]);
  assert.ok(count > 0, `${dlt}: ${stderr.toString()}`);
  return count;
}

/** Which frames tcpdump's filter lets through, by their numbers. */
function filterFrames(frames: readonly Buffer[], linkType: number, filter: string): number[] {
  const numbered = frames.map((bytes, seconds) => ({ bytes, seconds }));
  const { status, stdout, stderr } = spawnSync("tcpdump", ["-r", "-", "-w", "-", filter], {
    input: buildCapture({ frames: numbered, linkType }),
  });
  assert.equal(status, 0, stderr.toString());
  return readCapture(stdout).frames.map(({ seconds }) => seconds);
}

test("one broker gives one plain clause", () => {
  assert.equal(
    formatOwnTraffic(pathsOf("10.0.0.1 10.0.0.2 9092")),
    "host 10.0.0.1 and host 10.0.0.2 and tcp port 9092",
  );
  assert.equal(formatOwnTraffic([]), "");
});

test("brokers are grouped by local address and ports, in an order of their own, once each", () => {
  const paths = pathsOf(
    "10.0.0.1 10.0.0.3 9092",
    "10.0.0.1 10.0.0.2 9092",
    "10.0.0.1 10.0.0.3 9092",
    "10.0.0.1 10.0.0.4 9093",
    "10.0.0.1 10.0.0.4 9092",
    "2001:db8::1 2001:db8::2 9092",
  );
  const expected =
    "(host 10.0.0.1 and (host 10.0.0.2 or host 10.0.0.3) and tcp port 9092) or " +
    "(host 10.0.0.1 and host 10.0.0.4 and (tcp port 9092 or tcp port 9093)) or " +
    "(host 2001:db8::1 and host 2001:db8::2 and tcp port 9092)";
  assert.equal(formatOwnTraffic(paths), expected);
  assert.equal(formatOwnTraffic(paths.toReversed()), expected);
});

for (const [network, local, broker, other] of [
  ["IPv4", "10.0.0.1", "10.0.0.2", "10.0.0.3"],
  ["IPv6", "2001:db8::1", "2001:db8::2", "2001:db8::3"],
] as const) {
  for (const [linkType, dlt] of IP_LINK_TYPES) {
    test(`${network} in ${dlt} frames: own traffic is left out, that of others stays`, () => {
      const here = { address: local, port: 40_000 };
      const kafka = { address: broker, port: 9092 };
      const self = { address: local, port: 9092 };
      const elsewhere = { address: other, port: 40_000 };
      const left: [TcpEnd, TcpEnd][] = [
        [here, kafka],
        [kafka, here],
        [here, self],
        [self, here],
      ];
      const kept: [TcpEnd, TcpEnd][] = [
        [elsewhere, kafka],
        [kafka, elsewhere],
        [here, { address: broker, port: 443 }],
        [{ address: broker, port: 443 }, here],
        [here, { address: other, port: 9092 }],
        // Another host's client of the broker on this machine.
        [elsewhere, self],
        [self, elsewhere],
      ];
      const frames = [...left, ...kept].map((ends) =>
        wrapPacket(buildTcpPacket(...ends), linkType),
      );
      const expression = formatOwnTraffic(
        pathsOf(`${local} ${broker} 9092`, `${local} ${local} 9092`),
      );
      assert.deepEqual(
        filterFrames(frames, linkType, expression),
        left.map((_, n) => n),
      );
      assert.deepEqual(
        filterFrames(frames, linkType, `not (${expression}) and (tcp)`),
        kept.map((_, n) => left.length + n),
      );
    });
  }
}

test("the user's filter means the same behind it, with tags too", () => {
  const here = { address: "10.0.0.1", port: 40_000 };
  const kafka = { address: "10.0.0.2", port: 9092 };
  const web = { address: "10.0.0.2", port: 80 };
  const frames = [
    wrapPacket(buildTcpPacket(here, kafka), 1),
    wrapPacket(buildTcpPacket(here, web), 1),
    wrapPacket(buildTcpPacket(here, web), 1, 5),
    wrapPacket(buildTcpPacket(here, web), 1, 6),
  ];
  const own = formatOwnTraffic(pathsOf("10.0.0.1 10.0.0.2 9092"));
  assert.deepEqual(filterFrames(frames, 1, `not (${own}) and (tcp)`), [1]);
  assert.deepEqual(filterFrames(frames, 1, `not (${own}) and (vlan 5 and tcp)`), [2]);
  assert.deepEqual(filterFrames(frames, 1, `not (${own}) and (tcp or vlan 6)`), [1, 3]);
});

for (const [what, pathTo] of [
  ["IPv4 addresses", (n: number) => `10.0.0.1 10.0.1.${n} 9092`],
  ["IPv6 addresses", (n: number) => `2001:db8::1 2001:db8:${n}::${n} 9092`],
  ["ports of this machine", (n: number) => `127.0.0.1 127.0.0.1 ${9000 + n}`],
  ["ports of one host", (n: number) => `2001:db8::1 2001:db8::2 ${9000 + n}`],
] as const) {
  test(`100 brokers at ${what} are all named, in less than the kernel takes`, () => {
    const paths = pathsOf(...Array.from({ length: 100 }, (_, n) => pathTo(n)));
    const expression = formatOwnTraffic(paths);
    for (const { remoteAddress, remotePort } of paths) {
      assert.match(expression, new RegExp(`host ${remoteAddress}\\b`));
      assert.match(expression, new RegExp(`port ${remotePort}\\b`));
    }
    for (const [, dlt] of IP_LINK_TYPES) {
      const size = compile(`not (${expression}) and (ip or ip6)`, dlt);
      assert.ok(size < MAX_KERNEL_INSTRUCTIONS, `${dlt}: ${size}`);
    }
  });
}

// 300 named brokers were compiled for 0.4 s of CPU, three times over, while nothing was captured or published.
test("so many brokers that naming them would hold the program up are left out by their port", () => {
  const pathTo = (n: number): string => `10.0.0.1 10.0.${n >> 8}.${n & 255} 9092`;
  const expressionFor = (count: number): string =>
    formatOwnTraffic(pathsOf(...Array.from({ length: count }, (_, n) => pathTo(n + 1))));
  assert.match(expressionFor(160), /host 10\.0\.0\.160 /);
  assert.equal(expressionFor(200), "host 10.0.0.1 and tcp port 9092");
});

test("whatever the brokers, the kernel has room for the user's filter", () => {
  const sizes = [58, 99, 220, 300, 330, 1000];
  for (const count of sizes) {
    for (const pathTo of [
      (n: number) => `10.0.0.1 10.${n % 100}.${n >> 8}.${n & 255} 9092`,
      (n: number) => `2001:db8::1 2001:db8:${n}:${n}:${n}:${n}:${n}:${n} 9092`,
      (n: number) => `2001:db8::1 2001:db8:${n}:${n}:${n}:${n}:${n}:${n} ${9000 + n}`,
      (n: number) => `10.0.0.1 10.${n % 100}.${n >> 8}.${n & 255} ${9000 + n}`,
    ]) {
      const paths = pathsOf(...Array.from({ length: count }, (_, n) => pathTo(n + 1)));
      const size = compile(`not (${formatOwnTraffic(paths)}) and (ip or ip6)`, "EN10MB");
      assert.ok(size < MAX_KERNEL_INSTRUCTIONS - 500, `${count} of ${pathTo(1)}: ${size}`);
    }
  }
});
