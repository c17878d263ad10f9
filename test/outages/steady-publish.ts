import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { forEachDelivered } from "../../src/kafka/delivery.ts";
import { persistently } from "../../src/kafka/persistently.ts";
import { Publisher } from "../../src/kafka/publisher.ts";
import type { PublisherSetup } from "../../src/kafka/publisher-setup.ts";
import { eventually } from "../integration/pcapts-process.ts";
import { assertAcknowledgedOnce, assertAllThere } from "../kafka/delivered-frames.ts";
import type { PartitionContent } from "../kafka/faulty-broker.ts";
import { numberedFrames, numberOfCaptureTime } from "../kafka/numbered-frames.ts";
import type { RoundResult } from "./round-result.ts";

const PATIENT = { connectTimeoutMs: 60_000, retryBackoffMs: 20, retryBackoffMaxMs: 500 };

/** What a round was. */
interface Round {
  /** For messages: what it can be run again with. */
  readonly what: string;
  /** How often something was made to go wrong. */
  readonly faults: number;
  /** Frames may be given up; otherwise none may. */
  readonly mayLose?: boolean;
  /** The broker does not know a batch that it has already. */
  readonly mayRepeat?: boolean;
}

/** Publishes numbered frames without a pause, while a test makes trouble. */
export class SteadyPublish {
  /** Frames that were taken so far; the next has this number. */
  count = 0;
  readonly #framesAtOnce: number;
  readonly #pauseMs: number;
  /** Numbers of frames, as they were acknowledged. */
  readonly #acknowledged: number[] = [];
  #resends = 0;
  #isEnding = false;
  #publisher!: Publisher;
  #publishing!: Promise<void>;

  private constructor(framesAtOnce: number, pauseMs: number) {
    this.#framesAtOnce = framesAtOnce;
    this.#pauseMs = pauseMs;
  }

  /** @param framesAtOnce and then a pause, so that trouble meets many moments */
  static async begin(
    setup: PublisherSetup,
    framesAtOnce = 200,
    pauseMs = 5,
  ): Promise<SteadyPublish> {
    const steady = new SteadyPublish(framesAtOnce, pauseMs);
    steady.#publisher = await persistently("get a producer id", PATIENT, undefined, () =>
      Publisher.open({ ...setup, ...steady.#notes() }),
    );
    steady.#publishing = steady.#publish();
    // Whoever ends it hears of what failed.
    steady.#publishing.catch(() => {});
    return steady;
  }

  /** What keeps the numbers that are acknowledged, and counts batches that come back. */
  #notes(): Pick<PublisherSetup, "onDelivery" | "observer"> {
    return {
      onDelivery: (delivery) =>
        forEachDelivered(delivery, (_index, _offset, captureMicros) => {
          this.#acknowledged.push(numberOfCaptureTime(captureMicros));
        }),
      observer: {
        produceAnswered: () => {},
        batchAcknowledged: () => {},
        batchesReturned: (count) => (this.#resends += count),
        fetchAnswered: () => {},
      },
    };
  }

  async #publish(): Promise<void> {
    while (!this.#isEnding) {
      await this.#publisher.publish(numberedFrames(this.count, this.#framesAtOnce, 37));
      this.count += this.#framesAtOnce;
      await sleep(this.#pauseMs);
    }
  }

  /** Waits until so many more frames are acknowledged. */
  async acknowledges(frames: number, timeoutMs = 90_000): Promise<void> {
    const wanted = this.#publisher.counters.acknowledged + frames;
    await eventually(
      `${frames} more acknowledged frames`,
      () => this.#publisher.counters.acknowledged >= wanted,
      timeoutMs,
    );
  }

  /** Waits until it is known what became of every frame that was taken so far. */
  async settles(timeoutMs = 90_000): Promise<void> {
    const wanted = this.count;
    await eventually(
      `an answer for each of ${wanted} frames`,
      () => {
        const { acknowledged, failed, unknown } = this.#publisher.counters;
        return acknowledged + failed + unknown >= wanted;
      },
      timeoutMs,
    );
  }

  /**
   * Stops, waits for the last answer, and holds counters and log to each other: sent is
   * acknowledged and lost, and all that was acknowledged is in the log once, in order.
   *
   * @param read what the topic holds
   */
  async end(read: () => Promise<readonly PartitionContent[]>, round: Round): Promise<RoundResult> {
    const { what, faults, mayLose = false, mayRepeat = false } = round;
    this.#isEnding = true;
    await this.#publishing;
    assert.equal(await this.#publisher.flush(), true, what);
    this.#publisher.close();
    const { acknowledged, failed, unknown } = this.#publisher.counters;
    const lost = failed + unknown;
    assert.equal(acknowledged + lost, this.count, `${what}: sent is acknowledged and lost`);
    if (!mayLose) assert.equal(lost, 0, what);
    assert.equal(this.#acknowledged.length, acknowledged, what);
    if (mayRepeat) assertAllThere(await read(), this.#acknowledged, what);
    else assertAcknowledgedOnce(await read(), this.#acknowledged, unknown, what);
    return { frames: this.count, faults, acknowledged, lost, resends: this.#resends };
  }
}
