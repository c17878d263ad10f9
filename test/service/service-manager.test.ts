import assert from "node:assert/strict";
import { test } from "node:test";
import { loadNativeAddon } from "../../src/native-addon.ts";
import { readServiceManager, ServiceManager } from "../../src/service/service-manager.ts";
import { eventually } from "../integration/pcapts-process.ts";
import { NotifySocket } from "./notify-socket.ts";

/* What systemd is told, and when. */

test("readServiceManager() beats twice within the watchdog's time, when it is meant", () => {
  const read = (environment: Record<string, string>): unknown => readServiceManager(environment, 7);
  const address = "/run/systemd/notify";
  assert.deepEqual(read({ NOTIFY_SOCKET: address }), { address, beatEveryMs: undefined });
  assert.deepEqual(read({ NOTIFY_SOCKET: address, WATCHDOG_USEC: "30000000", WATCHDOG_PID: "7" }), {
    address,
    beatEveryMs: 15_000,
  });
  assert.deepEqual(read({ NOTIFY_SOCKET: address, WATCHDOG_USEC: "30000000", WATCHDOG_PID: "8" }), {
    address,
    beatEveryMs: undefined,
  });
  assert.deepEqual(read({ NOTIFY_SOCKET: "@abstract" }), {
    address: "@abstract",
    beatEveryMs: undefined,
  });
  for (const none of [
    {},
    { NOTIFY_SOCKET: "" },
    { NOTIFY_SOCKET: "vsock:2:1" },
    { WATCHDOG_USEC: "1" },
  ]) {
    assert.equal(read(none), undefined);
  }
});

test("READY is said once, beats come in time, and none while something is wrong", () => {
  const sent: string[] = [];
  const said: string[] = [];
  const manager = new ServiceManager({
    settings: { address: "@x", beatEveryMs: 1000 },
    send: (_address, text) => void sent.push(text),
    warn: (message) => void said.push(message),
    error: (message) => void said.push(message),
  });
  manager.tell(false, [], "begins", 0);
  assert.deepEqual(sent.splice(0), ["WATCHDOG=1\nSTATUS=begins"]);
  manager.tell(true, [], "runs", 100);
  assert.deepEqual(sent.splice(0), ["READY=1\nSTATUS=runs"]);
  manager.tell(true, [], "runs", 400);
  assert.deepEqual(sent.splice(0), []);
  manager.tell(true, [], "runs", 500);
  assert.deepEqual(sent.splice(0), ["WATCHDOG=1\nSTATUS=runs"]);
  for (let nowMs = 1000; nowMs < 10_000; nowMs += 500) manager.tell(true, ["ill"], "runs", nowMs);
  assert.deepEqual(sent.splice(0), []);
  assert.deepEqual(said.splice(0), [
    "The service manager is not told any more that all is well: ill",
  ]);
  manager.tell(true, [], "runs", 10_000);
  assert.deepEqual(sent.splice(0), ["WATCHDOG=1\nSTATUS=runs"]);
  assert.deepEqual(said, ["All is well again, and the service manager is told so"]);
  manager.stopping();
  assert.deepEqual(sent, ["STOPPING=1"]);
});

test("a manager that is gone is said once and does no harm", () => {
  const warnings: string[] = [];
  const addon = loadNativeAddon();
  const manager = new ServiceManager({
    settings: { address: "/nonexistent/notify", beatEveryMs: 1 },
    send: (address, text) => addon.notify(address, text),
    warn: (message) => void warnings.push(message),
    error: () => {},
  });
  for (let nowMs = 0; nowMs < 5; nowMs++) manager.tell(true, [], "", nowMs);
  manager.stopping();
  assert.deepEqual(warnings, [
    "Cannot tell the service manager how it goes: No such file or directory",
  ]);
});

for (const kind of ["path", "abstract"] as const) {
  test(`notify() reaches a socket by ${kind} name, with whatever text`, async () => {
    const socket = await NotifySocket.open(kind);
    try {
      const text = "READY=1\nSTATUS=größer als 0";
      loadNativeAddon().notify(socket.address, text);
      await eventually("the message", () => socket.messages.length === 1);
      assert.deepEqual(socket.messages, [text]);
    } finally {
      socket.close();
    }
  });
}

test("notify() says what is wrong with an address", () => {
  const addon = loadNativeAddon();
  assert.throws(() => addon.notify("", "x"), /Invalid argument/);
  assert.throws(() => addon.notify(`/${"x".repeat(200)}`, "x"), /File name too long/);
});
