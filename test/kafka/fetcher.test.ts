import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { BrokerFaults, RequestFault } from "../../src/broker/faults.ts";
import { PcaptsError } from "../../src/errors.ts";
import { KAFKA_ERROR_CODE } from "../../src/kafka-wire/error-codes.ts";
import { Fetcher } from "../../src/kafka/fetcher.ts";
import { Publisher } from "../../src/kafka/publisher.ts";
import type { PublishableTopic } from "../../src/kafka/topic.ts";
import type { Transport } from "../../src/kafka/transport.ts";
import { silentLogger } from "../../src/logger.ts";
import { FaultyBroker, IMPATIENT, readTopic } from "./faulty-broker.ts";
import { numberedFrames, numberOf, randomFrom } from "./numbered-frames.ts";
import { publisherSetup } from "./publisher-setup.ts";

/*
 * The fetcher against a broker that misbehaves on purpose.
 */

const PARTITIONS = 3;
const FRAMES = 1500;
const ROUNDS = 12;
const DROPS = ["before", "after", "half-answered"] as const;
/** Drops of two requests, an error, throttling, no leader. */
const TROUBLES = 2 * DROPS.length + 3;
const STALE = [
  KAFKA_ERROR_CODE.NOT_LEADER_OR_FOLLOWER,
  KAFKA_ERROR_CODE.LEADER_NOT_AVAILABLE,
  KAFKA_ERROR_CODE.UNKNOWN_TOPIC_OR_PARTITION,
];

let broker: FaultyBroker;
let transport: Transport;
let topic: PublishableTopic;
/** Numbers of the frames of each partition, in the order of the log. */
let logged: number[][];

before(async () => {
  broker = await FaultyBroker.start();
  transport = await broker.connect();
  topic = await broker.newTopic(transport, PARTITIONS);
  const publisher = await Publisher.open(publisherSetup(transport, topic));
  await publisher.publish(numberedFrames(0, FRAMES, 50));
  assert.equal(await publisher.flush(), true);
  publisher.close();
  logged = (await readTopic(transport, topic)).map(({ values }) => values.map(numberOf));
  assert.equal(logged.flat().length, FRAMES);
});
after(() => broker.remove());

/** Reads the topic to its end. @returns numbers of the frames of each partition, as they came */
async function readAll(faults: BrokerFaults): Promise<number[][]> {
  broker.faults = faults;
  const read: number[][] = Array.from({ length: PARTITIONS }, () => []);
  const fetcher = new Fetcher({
    transport,
    topic: topic.name,
    leaders: topic.leaders,
    start: new Map(logged.map((_, partition) => [partition, 0n])),
    until: new Map(logged.map((numbers, partition) => [partition, BigInt(numbers.length)])),
    options: {
      maxWaitMs: 10,
      minBytes: 1,
      maxBytes: 20_000,
      maxPartitionBytes: 2000,
      isolation: "read_committed",
    },
    client: IMPATIENT,
    nanosecond: false,
    withOffsets: false,
    logger: silentLogger,
    onForeignRecord: (partition, offset, reason) =>
      assert.fail(`partition ${partition}, offset ${offset}: ${reason}`),
  });
  try {
    for await (const { partition, bytes } of fetcher.chunks()) {
      for (let at = 0; at < bytes.length;) {
        const end = at + 16 + bytes.readUInt32LE(at + 8);
        read[partition]!.push(numberOf(bytes.subarray(at, end)));
        at = end;
      }
    }
  } finally {
    broker.faults = {};
  }
  return read;
}

// A partition that still had no leader when leaders were asked for was never asked for again.
test("every record is read once and in order through lost connections, errors, throttling and partitions without a leader", async () => {
  const firstSeed = Math.floor(Math.random() * 2 ** 31);
  const met = new Set<string>();
  // Rounds go on until chance has brought every kind of trouble.
  for (let seed = firstSeed; seed < firstSeed + ROUNDS || met.size < TROUBLES; seed++) {
    const random = randomFrom(seed);
    const troubles = random() * 0.4;
    const oneOf = <Choice>(choices: readonly Choice[]): Choice =>
      choices[Math.floor(random() * choices.length)]!;
    const trouble = (api: string): RequestFault | undefined => {
      if (random() >= troubles) return undefined;
      if (random() < 0.5) return { drop: oneOf(DROPS) };
      if (api === "Metadata") return undefined;
      return random() < 0.5 ? { errorCode: oneOf(STALE) } : { throttleMs: 5, delayMs: 1 };
    };
    const read = await readAll({
      onRequest: ({ api }) => {
        const fault = api === "Fetch" || api === "Metadata" ? trouble(api) : undefined;
        if (fault !== undefined) met.add(`${api} ${fault.drop ?? Object.keys(fault)[0]}`);
        return fault;
      },
      isLeaderless: () => {
        const isLeaderless = random() < troubles;
        if (isLeaderless) met.add("no leader");
        return isLeaderless;
      },
    });
    assert.deepEqual(read, logged, `seed ${seed}`);
  }
});

for (const [name, code] of [
  ["TOPIC_AUTHORIZATION_FAILED", "AUTHORIZATION_FAILED"],
  ["MESSAGE_TOO_LARGE", "BROKER_PROTOCOL"],
] as const) {
  test(`reading ends with ${code} when the broker answers ${name}`, async () => {
    const errorCode = KAFKA_ERROR_CODE[name];
    let fetches = 0;
    const faults: BrokerFaults = {
      onRequest: ({ api }) => (api === "Fetch" && ++fetches === 3 ? { errorCode } : undefined),
    };
    await assert.rejects(readAll(faults), (error) => {
      assert.ok(error instanceof PcaptsError);
      assert.equal(error.code, code);
      return error.message.includes(topic.name);
    });
  });
}
