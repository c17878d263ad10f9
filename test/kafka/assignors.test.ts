import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { assignPartitions } from "../../src/kafka/assignors.ts";
import type { GroupAssignment } from "../../src/kafka/assignors.ts";

const plain = (assignment: GroupAssignment): Record<string, Record<string, number[]>> =>
  Object.fromEntries(
    [...assignment].map(([member, topics]) => [member, Object.fromEntries(topics)]),
  );

test("range gives neighbouring partitions, the first members one more", () => {
  const members = ["b", "a", "c"].map((memberId) => ({ memberId, topics: ["t"] }));
  assert.deepEqual(plain(assignPartitions("range", members, new Map([["t", 7]]))), {
    a: { t: [0, 1, 2] },
    b: { t: [3, 4] },
    c: { t: [5, 6] },
  });
});

test("roundrobin deals the partitions of all topics out one by one", () => {
  const members = ["a", "b"].map((memberId) => ({ memberId, topics: ["s", "t"] }));
  const counts = new Map([
    ["t", 2],
    ["s", 3],
  ]);
  assert.deepEqual(plain(assignPartitions("roundrobin", members, counts)), {
    a: { s: [0, 2], t: [1] },
    b: { s: [1], t: [0] },
  });
});

test("every partition has exactly one owner, who wants its topic, whatever members and topics there are", () => {
  const topics = fc.subarray(["r", "s", "t"]);
  const scene = fc.record({
    assignor: fc.constantFrom("range" as const, "roundrobin" as const),
    members: fc.array(topics, { minLength: 1, maxLength: 6 }),
    counts: fc.array(fc.nat({ max: 20 }), { minLength: 3, maxLength: 3 }),
  });
  fc.assert(
    fc.property(scene, ({ assignor, members, counts }) => {
      const subscribers = members.map((wanted, index) => ({
        memberId: `m${index}`,
        topics: wanted,
      }));
      const partitionCounts = new Map(["r", "s", "t"].map((topic, i) => [topic, counts[i]!]));
      const assignment = assignPartitions(assignor, subscribers, partitionCounts);
      const owners = new Map<string, string>();
      for (const [memberId, byTopic] of assignment) {
        for (const [topic, partitions] of byTopic) {
          const { topics: wanted } = subscribers.find((s) => s.memberId === memberId)!;
          assert.ok(wanted.includes(topic));
          for (const partition of partitions) {
            assert.ok(!owners.has(`${topic} ${partition}`));
            owners.set(`${topic} ${partition}`, memberId);
          }
        }
      }
      for (const [topic, count] of partitionCounts) {
        const isWanted = members.some((wanted) => wanted.includes(topic));
        const owned = [...owners.keys()].filter((key) => key.startsWith(`${topic} `)).length;
        assert.equal(owned, isWanted ? count : 0);
      }
    }),
  );
});
