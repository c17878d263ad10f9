import type { FrameChunk } from "../packet/frame-chunk.ts";
import { type CaptureCounters, sensorOf } from "./frame-source.ts";
import type { LiveSource } from "./live-source.ts";
import { ReadyChunks } from "./ready-chunks.ts";

/**
 * Makes one source of several interfaces. Each chunk keeps the interface table of its own source, so
 * that a frame tells where it was captured. No source keeps others waiting: chunks come in the order in
 * which they were ready, and a source has one of them ready at a time.
 *
 * When one fails, the others are stopped, what they had captured is handed over, and then its error is
 * thrown.
 *
 * @param sources one or more, with chunks not asked for yet; one alone is returned as it is
 */
export function mergeLiveSources(sources: readonly LiveSource[]): LiveSource {
  const [first, ...others] = sources;
  if (first === undefined) throw new RangeError("no sources");
  return others.length === 0 ? first : new SeveralSources(first, others);
}

class SeveralSources implements LiveSource {
  readonly kind = "live";
  readonly engine: LiveSource["engine"];
  readonly name: string;
  readonly sensor: string;
  readonly description: string;
  readonly interfaces: LiveSource["interfaces"];
  readonly hasSeveralInterfaces = true;
  readonly #sources: readonly LiveSource[];

  constructor(first: LiveSource, others: readonly LiveSource[]) {
    this.#sources = [first, ...others];
    this.engine = first.engine;
    this.sensor = sensorOf(first);
    this.name = this.#sources.map(({ name }) => name).join(", ");
    this.description = first.description;
    this.interfaces = this.#sources.flatMap(({ interfaces }) => interfaces);
  }

  async *chunks(): AsyncGenerator<FrameChunk, void, void> {
    const ready = new ReadyChunks<LiveSource>();
    for (const source of this.#sources) ready.add(source, source.chunks());
    let failure: { readonly error: unknown } | undefined;
    try {
      while (ready.running > 0) {
        const answer = ready.take();
        if (answer === undefined) {
          await ready.changed();
        } else if (answer.chunk !== undefined) {
          yield answer.chunk;
          ready.goOn(answer);
        } else if (answer.failure !== undefined && failure === undefined) {
          failure = { error: answer.failure };
          void this.stop();
        }
      }
      if (failure !== undefined) throw failure.error;
    } finally {
      await this.stop();
    }
  }

  counters(): CaptureCounters {
    const all = this.#sources.map((source) => source.counters());
    return {
      received: sumOf(all.map(({ received }) => received)),
      droppedByKernel: sumOf(all.map(({ droppedByKernel }) => droppedByKernel)),
      droppedByInterface: sumOf(all.map(({ droppedByInterface }) => droppedByInterface)),
      filtered: all.reduce((sum, { filtered }) => sum + filtered, 0),
      torn: all.reduce((sum, { torn = 0 }) => sum + torn, 0),
    };
  }

  async exclude(expression: string): Promise<boolean> {
    const could = await Promise.all(this.#sources.map((source) => source.exclude(expression)));
    return could.some(Boolean);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#sources.map((source) => source.stop()));
  }
}

/** What one does not know, all together do not know. */
function sumOf(counts: readonly (number | undefined)[]): number | undefined {
  return counts.reduce(
    (sum, count) => (sum === undefined || count === undefined ? undefined : sum + count),
    0,
  );
}
