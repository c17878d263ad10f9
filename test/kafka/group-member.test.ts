import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { BrokerFaults, RequestFault } from "../../src/broker/faults.ts";
import { KAFKA_ERROR_CODE } from "../../src/kafka-wire/error-codes.ts";
import { GroupMember } from "../../src/kafka/group-member.ts";
import type { OffsetAndMetadata } from "../../src/kafka-wire/committed-offsets.ts";
import type { PublishableTopic } from "../../src/kafka/topic.ts";
import type { Transport } from "../../src/kafka/transport.ts";
import { silentLogger } from "../../src/logger.ts";
import { randomTopicName } from "../brokers.ts";
import { FaultyBroker, IMPATIENT } from "./faulty-broker.ts";
import { randomFrom } from "./numbered-frames.ts";

/*
 * Members of groups against a broker that misbehaves on purpose.
 */

const ROUNDS = 12;
const DROPS = ["before", "after", "half-answered"] as const;
const COORDINATOR = [
  KAFKA_ERROR_CODE.NOT_COORDINATOR,
  KAFKA_ERROR_CODE.COORDINATOR_NOT_AVAILABLE,
  KAFKA_ERROR_CODE.COORDINATOR_LOAD_IN_PROGRESS,
];
const { REBALANCE_IN_PROGRESS, ILLEGAL_GENERATION } = KAFKA_ERROR_CODE;
/** What a coordinator may answer to each request without meaning it for long. */
const ERRORS: Readonly<Record<string, readonly number[]>> = {
  FindCoordinator: COORDINATOR,
  JoinGroup: COORDINATOR,
  SyncGroup: [...COORDINATOR, REBALANCE_IN_PROGRESS],
  Heartbeat: [...COORDINATOR, REBALANCE_IN_PROGRESS, ILLEGAL_GENERATION],
  OffsetCommit: [...COORDINATOR, REBALANCE_IN_PROGRESS],
  OffsetFetch: COORDINATOR,
};

const signal = AbortSignal.timeout(60_000);
let broker: FaultyBroker;
let transports: Transport[];
let topic: PublishableTopic;
before(async () => {
  broker = await FaultyBroker.start();
  transports = [await broker.connect(), await broker.connect()];
  topic = await broker.newTopic(transports[0]!, 3);
});
after(() => broker.remove());

/** A member that joins until it may stay, as `consume` has it. */
class Member {
  readonly #member: GroupMember;
  /** Resolves when the partitions are to be given up. */
  revoked: Promise<void> = Promise.resolve();
  partitions: readonly number[] = [];

  constructor(transport: Transport, groupId: string) {
    this.#member = new GroupMember({
      transport,
      topic: topic.name,
      group: {
        groupId,
        // An id whose answer was lost holds up the others for this long.
        sessionTimeoutMs: 3000,
        heartbeatIntervalMs: 10,
        rebalanceTimeoutMs: 2000,
        autoCommit: true,
        autoCommitIntervalMs: 5000,
        assignors: ["range"],
        withoutOffset: "begin",
      },
      client: IMPATIENT,
      logger: silentLogger,
    });
  }

  get isRevoked(): boolean {
    return this.#member.isRevoked;
  }

  async join(): Promise<void> {
    let revoke = (): void => {};
    this.revoked = new Promise<void>((resolve) => (revoke = resolve));
    this.partitions = await this.#member.join(signal, () => revoke());
  }

  commit(offsets: ReadonlyMap<number, bigint>): Promise<boolean> {
    const noted = [...offsets].map(([of, offset]) => [of, { offset, metadata: `note ${offset}` }]);
    return this.#member.commit(new Map(noted as [number, OffsetAndMetadata][]));
  }

  async committed(): Promise<Map<number, bigint>> {
    const committed = new Map<number, bigint>();
    for (const [of, { offset, metadata }] of await this.#member.committed([0, 1, 2], signal)) {
      assert.equal(metadata, `note ${offset}`);
      committed.set(of, offset);
    }
    return committed;
  }

  leave(): Promise<void> {
    return this.#member.leave();
  }
}

test("a member joins and commits through lost connections and coordinators that change or rebalance", async () => {
  const firstSeed = Math.floor(Math.random() * 2 ** 31);
  const met = new Set<string>();
  for (let seed = firstSeed; seed < firstSeed + ROUNDS; seed++) {
    const random = randomFrom(seed);
    const troubles = 0.1 + random() * 0.3;
    const oneOf = <Choice>(choices: readonly Choice[]): Choice =>
      choices[Math.floor(random() * choices.length)]!;
    const member = new Member(transports[0]!, randomTopicName("group"));
    broker.faults = {
      onRequest: ({ api }): RequestFault | undefined => {
        const errors = ERRORS[api];
        if (errors === undefined) return undefined;
        // Each goes wrong at least once.
        if (met.has(api) && random() >= troubles) return undefined;
        met.add(api);
        if (random() < 0.3) return { throttleMs: 3 };
        // A new id whose answer is lost is told of below.
        if (random() < 0.4 && api !== "JoinGroup") return { drop: oneOf(DROPS) };
        return { errorCode: oneOf(errors) };
      },
    };
    let offsets = new Map<number, bigint>();
    await member.join();
    for (let step = 1n; step <= 20n; step++) {
      const next = new Map([0, 1, 2].map((partition) => [partition, step]));
      while (member.isRevoked || !(await member.commit(next))) {
        await member.join();
        assert.deepEqual(member.partitions, [0, 1, 2], `seed ${seed}`);
      }
      offsets = next;
    }
    assert.deepEqual(await member.committed(), offsets, `seed ${seed}`);
    broker.faults = {};
    await member.leave();
  }
  // Heartbeats are few in so short a time, and have a test below.
  met.delete("Heartbeat");
  const expected = Object.keys(ERRORS).filter((api) => api !== "Heartbeat");
  assert.deepEqual([...met].toSorted(), expected.toSorted(), `seeds from ${firstSeed}`);
});

/** Goes wrong once, the first time that `api` is asked. */
class Once implements BrokerFaults {
  count = 0;
  readonly #api: string;
  readonly #fault: RequestFault;

  constructor(api: string, fault: RequestFault) {
    this.#api = api;
    this.#fault = fault;
  }

  onRequest({ api }: { api: string }): RequestFault | undefined {
    return api === this.#api && ++this.count === 1 ? this.#fault : undefined;
  }
}

for (const drop of DROPS) {
  test(`a member joins when the connection is lost while it asks for an id, ${drop}`, async () => {
    const faults = new Once("JoinGroup", { drop });
    broker.faults = faults;
    const member = new Member(transports[0]!, randomTopicName("group"));
    await member.join();
    assert.deepEqual(member.partitions, [0, 1, 2]);
    assert.ok(faults.count > 1);
    await member.leave();
  });
}

for (const name of ["REBALANCE_IN_PROGRESS", "ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID"] as const) {
  test(`a heartbeat that is answered with ${name} has the partitions given up, and the member joins again`, async () => {
    broker.faults = {};
    const member = new Member(transports[0]!, randomTopicName("group"));
    await member.join();
    assert.equal(member.isRevoked, false);
    broker.faults = new Once("Heartbeat", { errorCode: KAFKA_ERROR_CODE[name] });
    await member.revoked;
    assert.equal(member.isRevoked, true);
    await member.join();
    assert.equal(member.isRevoked, false);
    assert.deepEqual(member.partitions, [0, 1, 2]);
    await member.leave();
  });
}

test("a heartbeat that finds another coordinator, or none, leaves the partitions where they are", async () => {
  broker.faults = {};
  const member = new Member(transports[0]!, randomTopicName("group"));
  await member.join();
  for (const fault of [
    ...COORDINATOR.map((errorCode) => ({ errorCode })),
    ...DROPS.map((drop) => ({ drop })),
  ]) {
    let heartbeats = 0;
    await new Promise<void>((resolve) => {
      broker.faults = {
        onRequest: ({ api }) => {
          if (api !== "Heartbeat") return undefined;
          heartbeats++;
          // The second one shows that the first was survived.
          if (heartbeats === 2) resolve();
          return heartbeats === 1 ? fault : undefined;
        },
      };
    });
    assert.equal(member.isRevoked, false, JSON.stringify(fault));
  }
  assert.equal(await member.commit(new Map([[0, 1n]])), true);
  await member.leave();
});

test("two members share the partitions after a rebalance that goes wrong at first, and one gets all when the other leaves", async () => {
  broker.faults = {};
  const groupId = randomTopicName("group");
  const [first, second] = transports.map((transport) => new Member(transport, groupId));
  await first!.join();
  assert.deepEqual(first!.partitions, [0, 1, 2]);
  const faults = new Once("SyncGroup", { errorCode: REBALANCE_IN_PROGRESS });
  broker.faults = faults;
  await settle([first!, second!], 3);
  assert.ok(faults.count > 1);
  await second!.leave();
  await settle([first!], 3);
  assert.deepEqual(first!.partitions, [0, 1, 2]);
  await first!.leave();
});

/** Has members join whenever they are to, until each partition belongs to one of them. */
async function settle(members: readonly Member[], partitionCount: number): Promise<void> {
  const isSettled = (): boolean => {
    const all = members.flatMap(({ partitions }) => partitions);
    return (
      members.every(({ isRevoked, partitions }) => !isRevoked && partitions.length > 0) &&
      all.length === partitionCount &&
      new Set(all).size === partitionCount
    );
  };
  let finish = (): void => {};
  const finished = new Promise<void>((resolve) => (finish = resolve));
  let isOver = false;
  await Promise.all(
    members.map(async (member) => {
      if (member.partitions.length > 0) await Promise.race([member.revoked, finished]);
      while (!isOver) {
        await member.join();
        isOver = isSettled();
        if (isOver) finish();
        await Promise.race([member.revoked, finished]);
      }
    }),
  );
}
