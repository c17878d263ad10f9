import path from "node:path";
import { Kafka, logLevel } from "kafkajs";
import { cacheDirectory } from "../brokers.ts";
import { runProgram } from "./other-programs.ts";

/** Offset that a group has committed for one partition. */
export interface GroupOffset {
  readonly partition: number;
  readonly offset: number;
}

/** What a group has committed for a topic, as another client reads it; partitions without are left out. */
export async function committedOffsets(
  bootstrap: string,
  groupId: string,
  topic: string,
): Promise<readonly GroupOffset[]> {
  const admin = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    const [found] = await admin.fetchOffsets({ groupId, topics: [topic] });
    return found!.partitions
      .map(({ partition, offset }) => ({ partition, offset: Number(offset) }))
      .filter(({ offset }) => offset >= 0);
  } finally {
    await admin.disconnect();
  }
}

/** One line of `kafka-consumer-groups --describe`. */
export interface DescribedPartition {
  readonly partition: number;
  readonly offset: number;
  readonly end: number;
  readonly lag: number;
}

/** What Kafka's own tool says of a group's offsets. */
export async function describeGroup(
  bootstrap: string,
  groupId: string,
): Promise<readonly DescribedPartition[]> {
  const { stdout } = await runProgram([
    "java",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=off",
    "-cp",
    path.join(cacheDirectory, "kafka-4.3.0/*"),
    "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "--bootstrap-server",
    bootstrap,
    "--describe",
    "--group",
    groupId,
  ]);
  // GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG …
  return stdout
    .toString()
    .split("\n")
    .filter((line) => line.startsWith(`${groupId} `))
    .map((line) => {
      const [partition = -1, offset = -1, end = -1, lag = -1] = line
        .split(/\s+/)
        .slice(2, 6)
        .map(Number);
      return { partition, offset, end, lag };
    });
}
