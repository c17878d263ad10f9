import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { FetchedChunk } from "../../src/kafka/frame-decoder.ts";
import type { OffsetSpan } from "../../src/kafka/offset-spans.ts";
import { FrameOrder, type OrderedSource } from "../../src/pipeline/order-frames.ts";
import { type Dealt, dealtBehind, type ReadChunk } from "../../src/pipeline/read-chunk.ts";
import { buildRecords, framesOf } from "../fixtures/generate.ts";

const INTERFACES = [1, 113].map((linkType) => ({
  sensor: "",
  name: "",
  linkType,
  snapLengthBytes: 262_144,
}));

/** A frame by its time in milliseconds; its bytes are its partition and its offset. */
function chunkOf(partition: number, firstOffset: number, times: readonly number[]): FetchedChunk {
  const offsets = times.map((_, n) => BigInt(firstOffset + n));
  const frames = times.map((ms, n) => ({
    bytes: Buffer.from(`${partition}:${firstOffset + n}`),
    seconds: Math.floor(ms / 1000),
    nanoseconds: (ms % 1000) * 1_000_000,
  }));
  return {
    bytes: buildRecords({ frames }),
    frameCount: times.length,
    bigEndian: false,
    nanosecond: false,
    interfaces: INTERFACES,
    interfaceOf: Uint16Array.from(times, (_, n) => (partition + n) % 2),
    offsets,
    partition,
    nextOffset: BigInt(firstOffset + times.length),
  };
}

/** A source that gives chunks as they stand there, each memory used again as a fetcher does. */
function sourceOf(
  chunks: readonly FetchedChunk[],
  ends: ReadonlyMap<number, bigint>,
): OrderedSource & { readonly paused: Set<number> } {
  const paused = new Set<number>();
  return {
    paused,
    async *chunks() {
      for (const chunk of chunks) {
        const bytes = Buffer.from(chunk.bytes);
        yield { ...chunk, bytes };
        bytes.fill(0xee);
      }
    },
    isFinished: (partition, position) => position >= ends.get(partition)!,
    isAtEnd: () => false,
    pause: (partition) => void paused.add(partition),
    resume: (partition) => void paused.delete(partition),
    stop: () => {},
  };
}

interface Outcome {
  readonly times: number[];
  readonly names: string[];
  readonly late: number;
  readonly chunks: ReadChunk[];
}

/** With a window a member's patience, without one that of a run which reads a finished topic alone. */
async function readAll(chunks: readonly FetchedChunk[], windowMs?: number): Promise<Outcome> {
  const ends = new Map<number, bigint>();
  for (const { partition, nextOffset } of chunks) ends.set(partition, nextOffset);
  const start = new Map([...ends.keys()].map((partition) => [partition, 0n]));
  const order = new FrameOrder(sourceOf(chunks, ends), {
    start,
    windowMs: windowMs ?? 0,
    patience: windowMs === undefined ? "memory" : "partitions",
    nowMs: () => performance.now(),
  });
  const times: number[] = [];
  const names: string[] = [];
  const read: ReadChunk[] = [];
  for await (const chunk of order.chunks()) {
    for (const [index, { seconds, nanoseconds, bytes }] of framesOf(chunk).entries()) {
      times.push(seconds * 1000 + nanoseconds / 1_000_000);
      names.push(bytes.toString());
      const [partition, offset] = bytes.toString().split(":").map(Number);
      assert.equal(chunk.partitionOf?.[index], partition);
      assert.equal(chunk.offsets?.[index], BigInt(offset!));
    }
    read.push({
      ...chunk,
      bytes: Buffer.from(chunk.bytes),
      ...(chunk.interfaceOf && { interfaceOf: chunk.interfaceOf.slice() }),
    });
  }
  return { times, names, late: order.late, chunks: read };
}

interface Arrivals {
  readonly partitions: readonly (readonly number[])[];
  readonly chunks: readonly FetchedChunk[];
}

/** Partitions with times that only grow, cut into chunks that arrive in any order between partitions. */
const arbitraryArrivals = arriving(0);

/** The same, but each frame may be so many milliseconds early. */
const arbitraryDisorder = fc.nat(150).chain(arriving);

function arriving(mostEarlyMs: number): fc.Arbitrary<Arrivals> {
  return fc
    .array(fc.array(fc.integer({ min: 0, max: 200 }), { minLength: 1, maxLength: 60 }), {
      minLength: 1,
      maxLength: 5,
    })
    .chain((partitions) =>
      fc.tuple(
        fc.constant(
          partitions.map((steps) =>
            steps.map(
              (
                (sum) => (step: number) =>
                  (sum += step) +
                  mostEarlyMs -
                  (mostEarlyMs === 0 ? 0 : (step * 7919) % mostEarlyMs)
              )(0),
            ),
          ),
        ),
        fc.array(fc.tuple(fc.nat(4), fc.integer({ min: 1, max: 9 })), { maxLength: 60 }),
      ),
    )
    .map(([partitions, cuts]) => {
      const at = partitions.map(() => 0);
      const chunks: FetchedChunk[] = [];
      const take = (partition: number, count: number): void => {
        const times = partitions[partition]!.slice(at[partition], at[partition]! + count);
        if (times.length === 0) return;
        chunks.push(chunkOf(partition, at[partition]!, times));
        at[partition]! += times.length;
      };
      for (const [n, count] of cuts) take(n % partitions.length, count);
      for (const [partition, times] of partitions.entries()) take(partition, times.length);
      return { partitions, chunks };
    });
}

test("partitions in order become one order, whatever their chunks and the order in which they come", async () => {
  await fc.assert(
    fc.asyncProperty(arbitraryArrivals, async ({ partitions, chunks }) => {
      const { times, names, late } = await readAll(chunks);
      assert.deepEqual(
        times,
        partitions.flat().toSorted((a, b) => a - b),
      );
      assert.equal(new Set(names).size, times.length);
      assert.equal(late, 0);
    }),
    { numRuns: 200 },
  );
});

test("a partition that is out of order within the window is put in order, too", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 1, maxLength: 200 }),
      fc.integer({ min: 1, max: 20 }),
      async (jitters, length) => {
        const times = jitters.map((jitter, n) => 100 + n * 10 - jitter);
        const chunks: FetchedChunk[] = [];
        for (let at = 0; at < times.length; at += length) {
          chunks.push(chunkOf(0, at, times.slice(at, at + length)));
        }
        const outcome = await readAll(chunks, 60);
        assert.deepEqual(
          outcome.times,
          times.toSorted((a, b) => a - b),
        );
        assert.equal(outcome.late, 0);
      },
    ),
    { numRuns: 100 },
  );
});

test("what is out of order by any time is put in order when the whole fits into memory", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(fc.integer({ min: 0, max: 2 ** 40 }), { minLength: 1, maxLength: 40 }), {
        minLength: 1,
        maxLength: 20,
      }),
      async (pieces) => {
        const offsets = [0, 0, 0];
        const chunks = pieces.map((times, n) => {
          const partition = n % 3;
          offsets[partition]! += times.length;
          return chunkOf(partition, offsets[partition]! - times.length, times);
        });
        const { times, late } = await readAll(chunks);
        assert.deepEqual(
          times,
          pieces.flat().toSorted((a, b) => a - b),
        );
        assert.equal(late, 0);
      },
    ),
    { numRuns: 100 },
  );
});

test("frames of one partition with equal times keep the order of their offsets", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 1, max: 9 }),
      async (times, length) => {
        const chunks: FetchedChunk[] = [];
        for (let at = 0; at < times.length; at += length) {
          chunks.push(chunkOf(0, at, times.slice(at, at + length)));
        }
        const { names } = await readAll(chunks);
        const expected = times
          .map((time, offset) => ({ time, offset }))
          .toSorted((a, b) => a.time - b.time || a.offset - b.offset);
        assert.deepEqual(
          names,
          expected.map(({ offset }) => `0:${offset}`),
        );
      },
    ),
    { numRuns: 200 },
  );
});

test("what is later than the window is given out next and counted", async () => {
  const { times, late } = await readAll(
    [chunkOf(0, 0, [100, 200, 300]), chunkOf(0, 3, [150, 400]), chunkOf(0, 5, [500])],
    100,
  );
  assert.deepEqual(times, [100, 200, 150, 300, 400, 500]);
  assert.equal(late, 1);
});

/** Times that grow, and jump back now and then as where captures follow each other. */
const arbitraryCaptures = fc
  .array(fc.array(fc.nat(3000), { minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 4 })
  .map((captures) => captures.flatMap((times) => times.toSorted((a, b) => a - b)));

test("when nothing more comes, everything that is there goes out, wherever times jump back", async () => {
  const property = fc.asyncProperty(
    fc.array(arbitraryCaptures, { minLength: 1, maxLength: 3 }),
    fc.integer({ min: 1, max: 20 }),
    fc.constantFrom("window" as const, "disorder" as const),
    async (partitions, chunkFrames, patience) => {
      const chunks = partitions.flatMap((times, partition) => {
        const firsts = [...times.keys()].filter((n) => n % chunkFrames === 0);
        return firsts.map((n) => chunkOf(partition, n, times.slice(n, n + chunkFrames)));
      });
      const source = sourceOf(chunks, new Map());
      let end = (): void => {};
      const stopped = new Promise<void>((resolve) => (end = resolve));
      let isAtEnd = false;
      const live: OrderedSource = {
        ...source,
        async *chunks() {
          yield* source.chunks();
          isAtEnd = true;
          await stopped;
        },
        isFinished: () => false,
        isAtEnd: () => isAtEnd,
        stop: () => end(),
      };
      const start = new Map([...partitions.keys()].map((partition) => [partition, 0n]));
      const nowMs = (): number => performance.now();
      const order = new FrameOrder(live, { start, windowMs: 5, patience, nowMs });
      const there = partitions.flat().length;
      let out = 0;
      let isStuck = false;
      const guard = setTimeout(() => {
        isStuck = true;
        order.stop();
      }, 10_000);
      for await (const { frameCount } of order.chunks()) {
        out += frameCount;
        if (out === there) order.stop();
      }
      clearTimeout(guard);
      assert.equal(isStuck, false, "frames are kept that nothing lets go");
      assert.equal(out, there);
    },
  );
  await fc.assert(property, { numRuns: 100 });
});

const NONE: readonly OffsetSpan[] = [];

test("positions, and what is noted as done behind them, tell exactly which frames are out, and end behind the last", async () => {
  await fc.assert(
    fc.asyncProperty(arbitraryDisorder, fc.nat(30), async ({ partitions, chunks }, cut) => {
      const { chunks: read } = await readAll(chunks, 40);
      const dealt = new Map(
        partitions.map((_, partition) => [partition, { position: 0n, done: NONE }]),
      );
      const given = new Set<string>();
      const assertTold = (): void => {
        const told = [...dealt].flatMap(([partition, { position, done }]) =>
          [{ from: 0n, to: position }, ...done].flatMap(({ from, to }) =>
            Array.from({ length: Number(to - from) }, (_, n) => `${partition}:${Number(from) + n}`),
          ),
        );
        assert.deepEqual(told.toSorted(), [...given].toSorted());
      };
      const note = ({ positions, done }: Dealt): void => {
        for (const [partition, position] of positions) {
          dealt.set(partition, { position, done: done?.get(partition) ?? NONE });
        }
      };
      for (const chunk of read) {
        const frames = framesOf(chunk).map(({ bytes }) => bytes.toString());
        const count = Math.min(cut, chunk.frameCount);
        for (const frame of frames.slice(0, count)) given.add(frame);
        note(dealtBehind(chunk, count));
        assertTold();
        for (const frame of frames) given.add(frame);
        note(chunk);
        assertTold();
      }
      assert.deepEqual(
        [...dealt.values()].map(({ position }) => position),
        partitions.map((times) => BigInt(times.length)),
      );
    }),
    { numRuns: 300 },
  );
});

test("frames keep their interfaces", async () => {
  const { chunks } = await readAll([chunkOf(0, 0, [1, 3, 5]), chunkOf(1, 0, [2, 4, 6])]);
  for (const chunk of chunks) {
    for (const [index, { bytes }] of framesOf(chunk).entries()) {
      const [partition = 0, offset = 0] = bytes.toString().split(":").map(Number);
      assert.equal(chunk.interfaceOf?.[index], (partition + offset) % 2);
    }
  }
});

/** A chunk of five frames of 200,000 bytes, all of one time. */
function bigChunk(partition: number, number: number, ms: number): FetchedChunk {
  const chunk = chunkOf(partition, number * 5, [ms]);
  const frame = Buffer.alloc(16 + 200_000);
  chunk.bytes.copy(frame, 0, 0, 16);
  frame.writeUInt32LE(200_000, 8);
  frame.writeUInt32LE(200_000, 12);
  return {
    ...chunk,
    bytes: Buffer.concat(Array.from({ length: 5 }, () => frame)),
    frameCount: 5,
    offsets: [0, 1, 2, 3, 4].map((each) => BigInt(number * 5 + each)),
    interfaceOf: new Uint16Array(5),
    nextOffset: BigInt(number * 5 + 5),
  };
}

test(
  "more than the memory holds of one partition pauses it, and goes out all the same",
  { timeout: 60_000 },
  async () => {
    // 96 MiB of a partition before the first frame of another.
    const big = Array.from({ length: 96 }, (_, n) => bigChunk(0, n, 10_000 + n));
    const chunks = [...big, chunkOf(1, 0, [1])];
    const ends = new Map([
      [0, 480n],
      [1, 1n],
    ]);
    const source = sourceOf(chunks, ends);
    const order = new FrameOrder(source, {
      start: new Map([
        [0, 0n],
        [1, 0n],
      ]),
      windowMs: 0,
      patience: "memory",
      nowMs: () => performance.now(),
    });
    let frames = 0;
    let wasPaused = false;
    for await (const chunk of order.chunks()) {
      frames += chunk.frameCount;
      wasPaused ||= source.paused.has(0);
    }
    assert.equal(frames, 481);
    assert.ok(wasPaused);
    assert.equal(order.late, 1);
  },
);

for (const patience of ["memory", "partitions", "window", "disorder"] as const) {
  // A source that gives nothing of a paused partition, and all of them paused, once was waited for for ever.
  test(
    `more than the memory holds within one window goes out in order (patience "${patience}")`,
    { timeout: 60_000 },
    async () => {
      const left = [0, 1].map((partition) =>
        Array.from({ length: 60 }, (_, n) => bigChunk(partition, n, 1000 + n * 2 + partition)),
      );
      const paused = new Set<number>();
      const source: OrderedSource = {
        async *chunks() {
          while (left.some((chunks) => chunks.length > 0)) {
            const partition = [0, 1].find((each) => !paused.has(each) && left[each]!.length > 0);
            if (partition === undefined) await new Promise((resolve) => setImmediate(resolve));
            else yield left[partition]!.shift()!;
          }
        },
        isFinished: (partition, position) => position >= 300n && left[partition]!.length === 0,
        isAtEnd: () => false,
        pause: (partition) => void paused.add(partition),
        resume: (partition) => void paused.delete(partition),
        stop: () => {},
      };
      const order = new FrameOrder(source, {
        start: new Map([
          [0, 0n],
          [1, 0n],
        ]),
        windowMs: 10_000,
        patience,
        nowMs: () => 0,
      });
      let last = 0;
      let frames = 0;
      for await (const chunk of order.chunks()) {
        for (const { seconds, nanoseconds } of framesOf(chunk)) {
          const time = seconds * 1000 + nanoseconds / 1_000_000;
          assert.ok(time >= last);
          last = time;
          frames++;
        }
      }
      assert.equal(frames, 600);
      assert.equal(order.late, 0);
    },
  );
}

test("after a stop a member gives out what its positions need, and no more", async () => {
  await fc.assert(
    fc.asyncProperty(
      arbitraryArrivals,
      fc.nat(20),
      fc.nat(40),
      async ({ partitions, chunks }, stopAfter, windowMs) => {
        const start = new Map(partitions.map((_, partition) => [partition, 0n]));
        const ends = new Map(
          partitions.map((times, partition) => [partition, BigInt(times.length)]),
        );
        const source = sourceOf(chunks, ends);
        let asked = 0;
        const order: FrameOrder = new FrameOrder(
          {
            ...source,
            async *chunks() {
              for await (const chunk of source.chunks()) {
                if (asked++ === stopAfter) {
                  order.stop();
                  return;
                }
                yield chunk;
              }
            },
          },
          { start, windowMs, patience: "partitions", othersGoOn: true, nowMs: () => 0 },
        );
        const given = partitions.map(() => new Set<number>());
        const position = partitions.map(() => 0n);
        for await (const chunk of order.chunks()) {
          for (const { bytes } of framesOf(chunk)) {
            const [partition, offset] = bytes.toString().split(":").map(Number);
            assert.ok(!given[partition!]!.has(offset!), "none twice");
            given[partition!]!.add(offset!);
          }
          for (const [partition, next] of chunk.positions) position[partition] = next;
        }
        // What the next reading begins behind is exactly what has been given out.
        for (const [partition, next] of position.entries()) {
          assert.deepEqual(
            [...given[partition]!].toSorted((a, b) => a - b),
            Array.from({ length: Number(next) }, (_, offset) => offset),
          );
        }
      },
    ),
    { numRuns: 300 },
  );
});

test("an end of a partition is told of behind the frames in front of it, and before those behind it", async () => {
  const told: string[] = [];
  const chunks = [chunkOf(0, 0, [10, 30]), chunkOf(1, 0, [20, 40]), chunkOf(0, 2, [50])];
  const ends = new Map([
    [0, 3n],
    [1, 2n],
  ]);
  const source = sourceOf(chunks, ends);
  const order: FrameOrder = new FrameOrder(
    {
      ...source,
      async *chunks() {
        for await (const chunk of source.chunks()) {
          yield chunk;
          // As a fetcher does: when the next is asked for.
          order.noteEnd(chunk.partition, chunk.nextOffset);
        }
      },
    },
    {
      start: new Map([
        [0, 0n],
        [1, 0n],
      ]),
      windowMs: 0,
      patience: "memory",
      nowMs: () => 0,
      onEndOfPartition: (partition, offset) => told.push(`end of ${partition} at ${offset}`),
    },
  );
  for await (const chunk of order.chunks()) {
    for (const { bytes } of framesOf(chunk)) told.push(bytes.toString());
  }
  assert.deepEqual(told, [
    "0:0",
    "1:0",
    "0:1",
    "end of 0 at 2",
    "1:1",
    "end of 1 at 2",
    "0:2",
    "end of 0 at 3",
  ]);
});

test("what went out before, of another reading, makes earlier frames late", async () => {
  const order = new FrameOrder(sourceOf([chunkOf(0, 0, [10, 20, 30])], new Map([[0, 3n]])), {
    start: new Map([[0, 0n]]),
    windowMs: 0,
    patience: "memory",
    goneUntil: { seconds: 0, fraction: 25_000 },
    nowMs: () => 0,
  });
  let frames = 0;
  for await (const chunk of order.chunks()) frames += chunk.frameCount;
  assert.equal(frames, 3);
  assert.equal(order.late, 2);
  assert.deepEqual(order.goneUntil, { seconds: 0, fraction: 30_000 });
});

test("nanoseconds decide, however far apart captures are", async () => {
  const decades = [1, 500_000_000, 1_700_000_000, 4_000_000_000];
  const instants = decades.flatMap((seconds) =>
    [5, 1, 3, 2, 999_999_999].map((nanoseconds) => ({ seconds, nanoseconds })),
  );
  const chunks = instants.map(({ seconds, nanoseconds }, n) => {
    const bytes = Buffer.from(`${n % 2}:${Math.floor(n / 2)}`);
    return {
      ...chunkOf(n % 2, Math.floor(n / 2), [0]),
      bytes: buildRecords({ frames: [{ bytes, seconds, nanoseconds }], nanosecond: true }),
      nanosecond: true,
    };
  });
  const ends = new Map([
    [0, 10n],
    [1, 10n],
  ]);
  const order = new FrameOrder(sourceOf(chunks, ends), {
    start: new Map([
      [0, 0n],
      [1, 0n],
    ]),
    windowMs: 0,
    patience: "memory",
    nowMs: () => 0,
  });
  const got: string[] = [];
  for await (const chunk of order.chunks()) {
    for (const { seconds, nanoseconds } of framesOf(chunk)) got.push(`${seconds}.${nanoseconds}`);
  }
  const expected = instants.toSorted(
    (a, b) => a.seconds - b.seconds || a.nanoseconds - b.nanoseconds,
  );
  assert.deepEqual(
    got,
    expected.map(({ seconds, nanoseconds }) => `${seconds}.${nanoseconds}`),
  );
});
