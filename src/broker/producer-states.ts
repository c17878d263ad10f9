import { BrokerError } from "./broker-error.ts";
import type { BatchFacts } from "./batch-check.ts";

/** A batch that is in the log, as its producer numbered it. */
interface KnownBatch {
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly baseOffset: number;
}

interface ProducerState {
  epoch: number;
  /** When it last wrote, to forget those that are gone. */
  lastMs: number;
  /** The last five batches, oldest first. */
  batches: KnownBatch[];
}

/** A {@link ProducerStates} as JSON holds it: id, epoch, last time, batches. */
export type ProducerSnapshot = readonly (readonly [
  number,
  number,
  number,
  readonly (readonly [number, number, number])[],
])[];

const BATCHES_KNOWN = 5;
const MAX_SEQUENCE = 0x7fff_ffff;
/** Kafka's `producer.id.expiration.ms`. */
const FORGET_AFTER_MS = 24 * 60 * 60 * 1000;
/** Those that wrote longest ago are forgotten beyond this, so that memory has an end. */
const MOST_PRODUCERS = 10_000;

/**
 * What one partition knows of its idempotent producers, by Kafka's rules
 * (ProducerStateManager, ProducerAppendInfo): sequences follow each other, the
 * last five batches are recognised, a new epoch begins at 0, and a producer that
 * is not known yet may begin anywhere.
 */
export class ProducerStates {
  readonly #producers = new Map<number, ProducerState>();

  /** Base offset of the batch when it is in the log already. */
  findDuplicate(facts: BatchFacts): number | undefined {
    const state = this.#producers.get(facts.producerId);
    if (state === undefined || state.epoch !== facts.producerEpoch) return undefined;
    const last = lastSequenceOf(facts);
    return state.batches.find(
      ({ firstSequence, lastSequence }) =>
        firstSequence === facts.baseSequence && lastSequence === last,
    )?.baseOffset;
  }

  /** @throws BrokerError INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE_NUMBER */
  check({ producerId, producerEpoch, baseSequence }: BatchFacts): void {
    const state = this.#producers.get(producerId);
    if (state === undefined) return;
    if (producerEpoch < state.epoch) {
      throw new BrokerError(
        "INVALID_PRODUCER_EPOCH",
        `Producer ${producerId} has epoch ${state.epoch}, the batch has ${producerEpoch}`,
      );
    }
    const last = state.batches.at(-1)!.lastSequence;
    const expected = producerEpoch > state.epoch || last === MAX_SEQUENCE ? 0 : last + 1;
    if (baseSequence === expected) return;
    throw new BrokerError(
      "OUT_OF_ORDER_SEQUENCE_NUMBER",
      `Producer ${producerId} is to go on with sequence ${expected}, the batch has ${baseSequence}`,
    );
  }

  /** Notes a batch that is in the log now. */
  note(facts: BatchFacts, baseOffset: number, nowMs: number): void {
    const { producerId, producerEpoch: epoch } = facts;
    if (producerId < 0) return;
    const known = this.#producers.get(producerId);
    const batches = known?.epoch === epoch ? known.batches : [];
    if (batches.length === BATCHES_KNOWN) batches.shift();
    batches.push({
      firstSequence: facts.baseSequence,
      lastSequence: lastSequenceOf(facts),
      baseOffset,
    });
    // Written again at the end: the map stays in the order of last use.
    this.#producers.delete(producerId);
    this.#producers.set(producerId, { epoch, lastMs: nowMs, batches });
    if (this.#producers.size > MOST_PRODUCERS) {
      this.#producers.delete(this.#producers.keys().next().value!);
    }
  }

  /** Forgets producers that have not written for a day. */
  expire(nowMs: number): void {
    for (const [id, { lastMs }] of this.#producers) {
      if (nowMs - lastMs < FORGET_AFTER_MS) return;
      this.#producers.delete(id);
    }
  }

  /** As JSON can hold it. */
  snapshot(): ProducerSnapshot {
    return [...this.#producers].map(([id, { epoch, lastMs, batches }]) => [
      id,
      epoch,
      lastMs,
      batches.map((batch) => [batch.firstSequence, batch.lastSequence, batch.baseOffset]),
    ]);
  }

  /** Takes a snapshot's place. */
  restore(snapshot: ProducerSnapshot): void {
    this.#producers.clear();
    for (const [id, epoch, lastMs, batches] of snapshot) {
      this.#producers.set(id, {
        epoch,
        lastMs,
        batches: batches.map(([firstSequence, lastSequence, baseOffset]) => ({
          firstSequence,
          lastSequence,
          baseOffset,
        })),
      });
    }
  }
}

/** Sequences go on with 0 behind 2^31 - 1. */
function lastSequenceOf({ baseSequence, lastOffsetDelta }: BatchFacts): number {
  const last = baseSequence + lastOffsetDelta;
  return last > MAX_SEQUENCE ? last - MAX_SEQUENCE - 1 : last;
}
