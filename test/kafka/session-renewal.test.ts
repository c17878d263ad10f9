import assert from "node:assert/strict";
import { test } from "node:test";
import { SessionRenewal } from "../../src/kafka/session-renewal.ts";
import type { RenewableConnection } from "../../src/kafka/session-renewal.ts";

/** A connection whose logins a test ends. */
class Connection implements RenewableConnection {
  readonly sasl: object | null;
  readonly sessionLifetime: { toNumber(): number };
  reauthenticationThreshold = -1;
  isFresh = true;
  logins = 0;
  endLogin: (error?: Error) => void = () => {};

  constructor(lifetimeMs: number, sasl: object | null = {}) {
    this.sasl = sasl;
    this.sessionLifetime = { toNumber: () => lifetimeMs };
  }

  isAuthenticated(): boolean {
    return this.isFresh;
  }

  async authenticate(): Promise<void> {
    this.logins++;
    await new Promise<void>((resolve, reject) => {
      this.endLogin = (error) => {
        if (error !== undefined) reject(error);
        else {
          this.isFresh = true;
          resolve();
        }
      };
    });
  }
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("requests are held back, in their order, while a login that is due is under way", async () => {
  const connection = new Connection(3000);
  let renewed = 0;
  const renewal = new SessionRenewal(connection, () => renewed++);
  const written: string[] = [];
  const send = (name: string): void => renewal.run(() => written.push(name), assert.fail);
  send("a");
  assert.deepEqual(written, ["a"]);
  connection.isFresh = false;
  send("b");
  send("c");
  await settle();
  send("d");
  assert.deepEqual(written, ["a"]);
  assert.equal(connection.logins, 1);
  connection.endLogin();
  await settle();
  assert.deepEqual(written, ["a", "b", "c", "d"]);
  send("e");
  assert.deepEqual(written, ["a", "b", "c", "d", "e"]);
  assert.deepEqual([connection.logins, renewed], [1, 1]);
});

test("a request that comes while those that were held are written goes behind them", async () => {
  const connection = new Connection(3000);
  const renewal = new SessionRenewal(connection, () => {});
  const written: string[] = [];
  connection.isFresh = false;
  renewal.run(() => {
    written.push("a");
    renewal.run(() => written.push("late"), assert.fail);
  }, assert.fail);
  renewal.run(() => written.push("b"), assert.fail);
  await settle();
  connection.endLogin();
  await settle();
  assert.deepEqual(written, ["a", "b", "late"]);
});

test("a login that fails fails every request that was held back with its own error", async () => {
  const connection = new Connection(3000);
  const renewal = new SessionRenewal(connection, assert.fail);
  connection.isFresh = false;
  const failures: Error[] = [];
  for (let i = 0; i < 3; i++) renewal.run(assert.fail, (error) => failures.push(error));
  await settle();
  const refused = new Error("refused");
  connection.endLogin(refused);
  await settle();
  assert.deepEqual(failures, [refused, refused, refused]);
});

test("closing the connection fails what is held back, and the end of the login writes nothing", async () => {
  const connection = new Connection(3000);
  const renewal = new SessionRenewal(connection, () => {});
  connection.isFresh = false;
  const failures: string[] = [];
  renewal.run(assert.fail, ({ message }) => failures.push(message));
  await settle();
  renewal.rejectHeld("closed");
  connection.endLogin();
  await settle();
  assert.deepEqual(failures, ["closed"]);
});

test("15 % of a session are left for its renewal, at least a second, at most half", () => {
  for (const [lifetimeMs, reserveMs] of [
    [3_600_000, 540_000],
    [3001, 1000],
    [1001, 500],
    [0, 0],
  ] as const) {
    const connection = new Connection(lifetimeMs);
    assert.equal(new SessionRenewal(connection, () => {}).lifetimeMs, lifetimeMs);
    assert.equal(connection.reauthenticationThreshold, reserveMs);
  }
});

test("where nobody logs in, requests are written at once", () => {
  const connection = new Connection(0, null);
  connection.isFresh = false;
  const written: string[] = [];
  new SessionRenewal(connection, assert.fail).run(() => written.push("a"), assert.fail);
  assert.deepEqual(written, ["a"]);
});
