import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { persistently } from "../../src/kafka/persistently.ts";
import { Publisher } from "../../src/kafka/publisher.ts";
import type { PublisherSetup } from "../../src/kafka/publisher-setup.ts";
import { eventually } from "../integration/pcapts-process.ts";
import { numberedFrames } from "../kafka/numbered-frames.ts";

const PATIENT = { connectTimeoutMs: 60_000, retryBackoffMs: 20, retryBackoffMaxMs: 500 };

/** Publishes numbered frames without a pause, while a test makes trouble. */
export class SteadyPublish {
  readonly publisher: Publisher;
  /** Frames that were taken so far; the next has this number. */
  count = 0;
  readonly #framesAtOnce: number;
  readonly #pauseMs: number;
  #isEnding = false;
  #publishing!: Promise<void>;

  private constructor(publisher: Publisher, framesAtOnce: number, pauseMs: number) {
    this.publisher = publisher;
    this.#framesAtOnce = framesAtOnce;
    this.#pauseMs = pauseMs;
  }

  /** @param framesAtOnce and then a pause, so that trouble meets many moments */
  static async begin(
    setup: PublisherSetup,
    framesAtOnce = 200,
    pauseMs = 5,
  ): Promise<SteadyPublish> {
    const publisher = await persistently("get a producer id", PATIENT, undefined, () =>
      Publisher.open(setup),
    );
    const steady = new SteadyPublish(publisher, framesAtOnce, pauseMs);
    steady.#publishing = steady.#publish();
    // Whoever ends it hears of what failed.
    steady.#publishing.catch(() => {});
    return steady;
  }

  async #publish(): Promise<void> {
    while (!this.#isEnding) {
      await this.publisher.publish(numberedFrames(this.count, this.#framesAtOnce, 37));
      this.count += this.#framesAtOnce;
      await sleep(this.#pauseMs);
    }
  }

  /** Waits until so many more frames are acknowledged. */
  async acknowledges(frames: number, timeoutMs = 90_000): Promise<void> {
    const wanted = this.publisher.counters.acknowledged + frames;
    await eventually(
      `${frames} more acknowledged frames`,
      () => this.publisher.counters.acknowledged >= wanted,
      timeoutMs,
    );
  }

  /** Stops, waits for the last answer, and sees to it that every frame was acknowledged. */
  async end(what = ""): Promise<void> {
    this.#isEnding = true;
    await this.#publishing;
    assert.equal(await this.publisher.flush(), true, what);
    this.publisher.close();
    const { acknowledged, failed, unknown } = this.publisher.counters;
    assert.deepEqual(
      { acknowledged, failed, unknown },
      { acknowledged: this.count, failed: 0, unknown: 0 },
      what,
    );
  }
}
