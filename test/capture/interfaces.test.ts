import assert from "node:assert/strict";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import { loadCap } from "../../src/capture/cap-module.ts";
import {
  findInterface,
  listInterfaces,
  selectInterface,
  type NetworkInterface,
} from "../../src/capture/interfaces.ts";

function listed(index: number, name: string, addresses: string[] = []): NetworkInterface {
  const state = {
    isLoopback: false,
    isUp: true,
    isRunning: true,
    isWireless: false,
    connection: "connected" as const,
  };
  return { index, name, addresses, description: "", ...state };
}

const list = [
  listed(1, "eth0", ["192.0.2.7", "2001:db8::7"]),
  listed(2, "any"),
  listed(3, "1"),
  listed(4, "lo", ["127.0.0.1", "::1"]),
];

test("an interface is found by name, index and address, a name first", () => {
  for (const [wanted, name] of [
    ["eth0", "eth0"],
    ["any", "any"],
    ["4", "lo"],
    ["1", "1"],
    ["192.0.2.7", "eth0"],
    ["2001:DB8:0::7", "eth0"],
    ["::1", "lo"],
  ] as const) {
    assert.equal(selectInterface(list, wanted).name, name, wanted);
  }
});

test("what is not there is refused with what is", () => {
  for (const wanted of ["eth1", "5", "0", "192.0.2.8", ""]) {
    assert.throws(() => selectInterface(list, wanted), {
      code: "INTERFACE_NOT_FOUND",
      message:
        `Cannot open interface "${wanted}": no such device; there are eth0, any, 1, lo ` +
        "(pcapts -D lists them)",
    });
  }
  assert.throws(() => selectInterface([], "eth0"), {
    message: 'Cannot open interface "eth0": no such device (pcapts -D lists them)',
  });
});

test("the list has the interfaces of this machine with addresses and state", async () => {
  const interfaces = await listInterfaces();
  assert.deepEqual(
    interfaces.map((each) => each.index),
    interfaces.map((_, position) => position + 1),
  );
  const loopback = interfaces.find((each) => each.name === "lo")!;
  assert.ok(loopback.addresses.includes("127.0.0.1"));
  assert.equal(loopback.isLoopback, true);
  assert.equal(loopback.isUp, true);
  assert.equal(loopback.isRunning, true);
  assert.equal(loopback.isWireless, false);
  assert.equal(loopback.connection, "not applicable");
  assert.match(interfaces.find((each) => each.name === "any")!.description, /all interfaces/);
  for (const name of Object.keys(networkInterfaces())) {
    assert.ok(
      interfaces.some((each) => each.name === name),
      name,
    );
  }
  assert.equal((await findInterface("127.0.0.1")).name, "lo");
});

test("an engine that does not load says why in one sentence", () => {
  const failWith = (error: Error) => () => {
    throw error;
  };
  for (const [error, reason] of [
    [
      Object.assign(new Error("x"), { code: "MODULE_NOT_FOUND" }),
      "it is not installed or not built",
    ],
    [
      new Error("The module 'cap.node'\nwas compiled against a different Node.js version using"),
      "it was built for another Node version",
    ],
    [
      new Error("libpcap.so.0.8: cannot open shared object file\nmore"),
      "libpcap.so.0.8: cannot open shared object file",
    ],
  ] as const) {
    assert.throws(() => loadCap(failWith(error)), {
      code: "ENGINE_UNAVAILABLE",
      message:
        `Cannot load the capture engine "cap": ${reason} ` +
        "(scripts/setup installs it, npm rebuild cap builds it for this Node)",
    });
  }
});
