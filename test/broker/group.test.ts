import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { BrokerError } from "../../src/broker/broker-error.ts";
import { Group } from "../../src/broker/group.ts";
import { GroupCoordinator } from "../../src/broker/group-coordinator.ts";
import type { GroupOffsets } from "../../src/broker/group-offsets.ts";
import type { JoinRequest } from "../../src/broker/group-member.ts";
import { KAFKA_ERROR_CODE } from "../../src/kafka-wire/error-codes.ts";
import { silentLogger } from "../../src/logger.ts";

function joinRequest(memberId: string, change: Partial<JoinRequest> = {}): JoinRequest {
  return {
    memberId,
    instanceId: null,
    clientId: "test",
    clientHost: "/127.0.0.1",
    sessionTimeoutMs: 60_000,
    rebalanceTimeoutMs: 60_000,
    protocolType: "consumer",
    protocols: [{ name: "range", metadata: Buffer.from("m") }],
    onGone: () => () => {},
    ...change,
  };
}

test("a member that is gone while it waits for the others is answered, so that its request ends", async () => {
  const group = new Group("g");
  const first = await group.join(joinRequest(""), false);
  let gone = (): void => {};
  const onGone = (listener: () => void): (() => void) => {
    gone = listener;
    return () => {};
  };
  const joining = group.join(joinRequest("", { onGone }), false);
  assert.equal(group.state, "PreparingRebalance");
  gone();
  assert.equal((await joining).errorCode, KAFKA_ERROR_CODE.UNKNOWN_MEMBER_ID);
  assert.equal(group.members.has(first.memberId), true);
  group.close();
});

test("who waits for its assignment is a member however long the leader takes, and is given up after that", async () => {
  const group = new Group("g");
  const leader = await group.join(joinRequest(""), false);
  const short = { sessionTimeoutMs: 30 };
  const joining = group.join(joinRequest("", short), false);
  const [, follower] = await Promise.all([
    group.join(joinRequest(leader.memberId), false),
    joining,
  ]);
  const claim = { generationId: follower.generationId, instanceId: null };
  const syncing = group.sync({ ...claim, memberId: follower.memberId }, []);
  await sleep(100);
  assert.equal(group.members.has(follower.memberId), true);
  const assignments = [{ memberId: follower.memberId, assignment: Buffer.from("all") }];
  await group.sync({ ...claim, memberId: leader.memberId }, assignments);
  assert.equal((await syncing).assignment.toString(), "all");
  while (group.members.has(follower.memberId)) await sleep(5);
  assert.equal(group.state, "PreparingRebalance");
  group.close();
});

test("nobody joins a group of a broker that is closing", () => {
  // Offsets are not asked for.
  const coordinator = new GroupCoordinator({} as GroupOffsets, silentLogger);
  coordinator.open("g");
  coordinator.close();
  const { COORDINATOR_NOT_AVAILABLE } = KAFKA_ERROR_CODE;
  for (const id of ["g", "other"]) {
    assert.throws(
      () => coordinator.open(id),
      (error) => error instanceof BrokerError && error.errorCode === COORDINATOR_NOT_AVAILABLE,
    );
  }
});
