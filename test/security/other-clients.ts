import assert from "node:assert/strict";
import { pythonExecutable } from "../brokers.ts";
import { type Ended, RunningProcess } from "../integration/pcapts-process.ts";
import type { SecureCluster } from "../secure-cluster.ts";
import { flags, type Properties } from "./properties.ts";

/*
 * Programs on librdkafka that take the same properties as pcapts.
 */

/** Something that produces and consumes records. */
export interface OtherClient {
  readonly name: "kcat" | "confluent-kafka";
  /** Produces one record for each value, all to partition 0. */
  produce(properties: Properties, topic: string, values: readonly string[]): Promise<void>;
  /** Lengths in bytes of all values of a topic. */
  valueLengths(properties: Properties, topic: string): Promise<number[]>;
}

const PRODUCE = `
import json, sys
from confluent_kafka import Producer
failures = []
producer = Producer(json.loads(sys.argv[1]))
for value in json.load(sys.stdin):
    producer.produce(sys.argv[2], value, partition=0, callback=lambda error, _: error and failures.append(error))
left = producer.flush(20)
sys.exit(str(failures or f"{left} not sent") if failures or left else 0)
`;

const CONSUME = `
import json, sys
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition, OFFSET_BEGINNING
consumer = Consumer({**json.loads(sys.argv[1]), "group.id": "pcap-none", "enable.auto.commit": False,
                     "enable.partition.eof": True})
partitions = consumer.list_topics(sys.argv[2], 20).topics[sys.argv[2]].partitions
consumer.assign([TopicPartition(sys.argv[2], partition, OFFSET_BEGINNING) for partition in partitions])
ended = set()
while len(ended) < len(partitions):
    message = consumer.poll(20)
    if message is None: sys.exit("nothing for 20 s")
    if message.error() is None: print(len(message.value()))
    elif message.error().code() == KafkaError._PARTITION_EOF: ended.add(message.partition())
    else: raise KafkaException(message.error())
consumer.close()
`;

/**
 * kcat of the distribution.
 *
 * Its librdkafka is older than 2.8, whose SCRAM repeats the client's nonce in the last message;
 * brokers refuse that since CVE-2024-56128 was repaired. It has no token endpoint either.
 */
export function kcat(cluster: SecureCluster): OtherClient {
  const run = async (args: readonly string[], input = ""): Promise<Ended> => {
    const env = cluster.realm.environment();
    return succeed(new RunningProcess(["kcat", ...args], { input: Buffer.from(input), env }));
  };
  return {
    name: "kcat",
    async produce(properties, topic, values) {
      await run(["-P", "-p", "0", "-t", topic, ...flags(properties)], `${values.join("\n")}\n`);
    },
    async valueLengths(properties, topic) {
      const format = ["-f", "%S\n", "-o", "beginning", "-q", "-e"];
      const ended = await run(["-C", ...format, "-t", topic, ...flags(properties)]);
      return readNumbers(ended.stdout.toString());
    },
  };
}

/** confluent-kafka for Python, whose librdkafka is newer and has no GSSAPI. */
export function confluentKafka(): OtherClient {
  const run = async (
    script: string,
    properties: Properties,
    topic: string,
    input = "",
  ): Promise<Ended> => {
    const command = [pythonExecutable, "-c", script, JSON.stringify(properties), topic];
    return succeed(new RunningProcess(command, { input: Buffer.from(input) }));
  };
  return {
    name: "confluent-kafka",
    async produce(properties, topic, values) {
      await run(PRODUCE, properties, topic, JSON.stringify(values));
    },
    async valueLengths(properties, topic) {
      return readNumbers((await run(CONSUME, properties, topic)).stdout.toString());
    },
  };
}

async function succeed(process: RunningProcess): Promise<Ended> {
  const ended = await process.ended;
  assert.equal(ended.status, 0, `${process.child.spawnargs.join(" ")} said:\n${ended.stderr}`);
  return ended;
}

function readNumbers(text: string): number[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map(Number);
}
