import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import { once } from "node:events";
import { addressOnTheWire, BrokerPathFinder, findBrokerPath } from "../../src/kafka/broker-path.ts";
import { silentLogger } from "../../src/logger.ts";

for (const [host, address] of [
  ["127.0.0.1", "127.0.0.1"],
  ["0.0.0.0", "127.0.0.1"],
  ["::ffff:127.0.0.1", "127.0.0.1"],
  ["::ffff:7f00:1", "127.0.0.1"],
  ["::1", "::1"],
] as const) {
  test(`${host} is reached from ${address}, as packets say it`, async () => {
    assert.deepEqual(await findBrokerPath({ host, port: 9092 }), {
      localAddress: address,
      remoteAddress: address,
      remotePort: 9092,
    });
  });
}

test("an address of this machine is reached from itself", async () => {
  const addresses = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
  assert.ok(addresses.length > 0);
  for (const { address, scopeid } of addresses) {
    // Link-local ones need a zone.
    if (scopeid !== undefined && scopeid !== 0) continue;
    const { localAddress, remoteAddress } = await findBrokerPath({ host: address, port: 9 });
    assert.deepEqual([localAddress, remoteAddress], [address, address]);
  }
});

test("a path says the addresses that a connection has", async (t) => {
  const server = createServer((socket) => socket.on("error", () => {})).listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const accepted = once(server, "connection") as Promise<[Socket]>;
  const client = connect(port, "127.0.0.1");
  const [socket] = await accepted;
  const path = await findBrokerPath({ host: "127.0.0.1", port });
  assert.equal(path.localAddress, socket.remoteAddress);
  assert.equal(path.remoteAddress, socket.localAddress);
  client.destroy();
  socket.destroy();
});

test("zones are not on the wire, and IPv4-mapped addresses are IPv4", () => {
  assert.equal(addressOnTheWire("fe80::1%eth0"), "fe80::1");
  assert.equal(addressOnTheWire("::ffff:192.0.2.1"), "192.0.2.1");
  assert.equal(addressOnTheWire("2001:db8::ffff:1"), "2001:db8::ffff:1");
});

test("a broker whose name is not known is left out, said at DEBUG, and asked for again", async () => {
  const said: string[] = [];
  const finder = new BrokerPathFinder({
    ...silentLogger,
    debug: (message) => void said.push(message),
  });
  const brokers = [
    { host: "nowhere.invalid", port: 9092 },
    { host: "127.0.0.1", port: 9093 },
    // A link-local address without its zone has no route.
    { host: "fe80::1", port: 9094 },
  ];
  for (const lines of [2, 4]) {
    assert.deepEqual(await finder.find(brokers), [
      { localAddress: "127.0.0.1", remoteAddress: "127.0.0.1", remotePort: 9093 },
    ]);
    assert.equal(said.length, lines, said.join("\n"));
  }
  assert.match(
    said.find((line) => line.includes("nowhere"))!,
    /^Cannot tell the address that nowhere\.invalid:9092 is reached from yet: .*(ENOTFOUND|EAI_AGAIN)/,
  );
  assert.ok(said.some((line) => line.includes("[fe80::1]:9094")));
});
