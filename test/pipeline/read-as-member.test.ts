import assert from "node:assert/strict";
import { test } from "node:test";
import type { GroupOptions } from "../../src/kafka/client-options.ts";
import type { CommittedOffsets, GroupMember } from "../../src/kafka/group-member.ts";
import { silentLogger } from "../../src/logger.ts";
import type { FrameOutput } from "../../src/pipeline/frame-output.ts";
import type { ReadChunk } from "../../src/pipeline/read-chunk.ts";
import type { TopicReading } from "../../src/pipeline/topic-reading.ts";
import { readAsMember } from "../../src/pipeline/read-as-member.ts";
import type { MemberReading } from "../../src/pipeline/read-as-member.ts";

/*
 * Real groups are in test/integration; here the coordinator fails on demand,
 * which a real one does not.
 */

const group: GroupOptions = {
  groupId: "g",
  sessionTimeoutMs: 1000,
  heartbeatIntervalMs: 100,
  rebalanceTimeoutMs: 1000,
  autoCommit: true,
  autoCommitIntervalMs: 5,
  assignors: ["range"],
  withoutOffset: "end",
};

interface Scene {
  readonly reading: MemberReading;
  readonly commits: string[];
  readonly warnings: string[];
}

/**
 * A member of partition 0 that reads chunks up to offsets 1, 2 and 3.
 *
 * @param firstCommits so many commits were tried before the second chunk comes
 */
function createScene(commit: (attempt: number) => boolean | Error, firstCommits = 1): Scene {
  const commits: string[] = [];
  const warnings: string[] = [];
  const member = {
    isRevoked: false,
    join: async () => [0],
    committed: async () => new Map([[0, { offset: 0n, metadata: "" }]]),
    commit: async (offsets: CommittedOffsets) => {
      const answer = commit(commits.length + 1);
      commits.push([...offsets].map(([partition, { offset }]) => `${partition}:${offset}`).join());
      if (answer instanceof Error) throw answer;
      return answer;
    },
    leave: async () => {},
  };
  let isStopped = false;
  const fetcher = {
    readsForever: false,
    stop: () => (isStopped = true),
    async *chunks(): AsyncGenerator<ReadChunk> {
      for (const nextOffset of [1n, 2n, 3n]) {
        if (isStopped) return;
        yield { positions: new Map([[0, nextOffset]]), frameCount: 1 } as unknown as ReadChunk;
        while (commits.length < firstCommits) {
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
      }
    },
  };
  const output = {
    isFull: false,
    take: async ({ positions }: ReadChunk) => ({ positions }),
    mark: async () => undefined,
    sync: async () => {},
  };
  const reading: MemberReading = {
    member: member as unknown as GroupMember,
    group,
    output: output as unknown as FrameOutput,
    signal: new AbortController().signal,
    logger: { ...silentLogger, warn: (message) => void warnings.push(message) },
    leftMs: () => 1000,
    explicitStart: undefined,
    knownPartitions: async () => [0],
    startOf: async () => new Map(),
    createReading: () => fetcher as unknown as TopicReading,
  };
  return { reading, commits, warnings };
}

test("what a failed commit left is committed with the next", async () => {
  const { reading, commits, warnings } = createScene((attempt) => attempt !== 1, 2);
  await readAsMember(reading);
  assert.ok(commits.length > 1);
  assert.equal(commits.at(-1), "0:3");
  assert.deepEqual(warnings, []);
});

test("a last commit that fails is said", async () => {
  const { reading, commits, warnings } = createScene(() => false);
  await readAsMember(reading);
  assert.equal(commits.at(-1), "0:3");
  assert.match(warnings.join("\n"), /the last offsets of 1 partition\(s\) could not be committed/);
});

test("a commit that is refused for good ends the reading with its error", async () => {
  const { reading, commits } = createScene(() => new Error("not allowed"));
  await assert.rejects(readAsMember(reading), /not allowed/);
  assert.ok(commits.length >= 1);
});
