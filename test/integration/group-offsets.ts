import { Kafka, logLevel } from "kafkajs";

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
