import type { ProduceSummary } from "../pipeline/pipeline-options.ts";
import type { ConsumerRun, ProducerRun, RunStatus } from "../pipeline/run-status.ts";

/** Why a run is not well, or not ready; an empty list is good. */
export type Reasons = readonly string[];

/** Something that can be asked how it is. */
export interface Health {
  /** Why it should be started again. */
  illness(): Reasons;
  /** Why it does not do its work at the moment, illness included. */
  hindrances(): Reasons;
  /** Looks how things go; call it about once a second. */
  look(): void;
}

/** What a producer's health is judged by. */
export interface ProducerHealthOptions {
  readonly run: Pick<ProducerRun, "status" | "summary">;
  /** What is wrong with an engine that frames go into and none come out of. */
  readonly listStalls: () => Reasons;
  /** How long frames may wait for Kafka without one of them being acknowledged. */
  readonly limitMs: number;
  /** A monotonic clock. */
  readonly nowMs: () => number;
}

/**
 * A producer is ill when its engine stalls: starting it again helps. Brokers
 * that are away make it only not ready: its frames would be lost by a start.
 */
export class ProducerHealth implements Health {
  readonly #options: ProducerHealthOptions;
  #stalls: Reasons = [];
  #acknowledged = 0;
  #progressMs: number;

  constructor(options: ProducerHealthOptions) {
    this.#options = options;
    this.#progressMs = options.nowMs();
  }

  look(): void {
    const { run, listStalls, nowMs } = this.#options;
    this.#stalls = listStalls();
    const { acknowledged, queued } = run.summary();
    if (queued === 0 || acknowledged !== this.#acknowledged) this.#progressMs = nowMs();
    this.#acknowledged = acknowledged;
  }

  illness(): Reasons {
    return this.#stalls;
  }

  hindrances(): Reasons {
    const { run, limitMs, nowMs } = this.#options;
    const status = run.status();
    const summary: ProduceSummary = run.summary();
    const reasons = [...this.#stalls];
    // A connection that Kafka closes because nothing was sent over it is no trouble.
    if (!isConnected(status) && (summary.queued > 0 || !status.isTopicKnown)) {
      reasons.push(describeConnections(status));
    }
    if (!status.isTopicKnown) reasons.push("the topic is not known to be there yet");
    if (!status.isCapturing) reasons.push("no frames are taken: the run is starting or ending");
    const waitedMs = nowMs() - this.#progressMs;
    if (summary.queued > 0 && waitedMs > limitMs) {
      reasons.push(
        `${summary.queued} frame(s) are queued, and Kafka has acknowledged none for ${Math.round(waitedMs / 1000)} s`,
      );
    }
    return reasons;
  }
}

/** A consumer that runs is well; it is ready while it is connected to Kafka and the topic is there. */
export class ConsumerHealth implements Health {
  readonly #run: Pick<ConsumerRun, "status">;

  constructor(run: Pick<ConsumerRun, "status">) {
    this.#run = run;
  }

  look(): void {}

  illness(): Reasons {
    return [];
  }

  hindrances(): Reasons {
    const status = this.#run.status();
    const reasons: string[] = [];
    if (!isConnected(status)) reasons.push(describeConnections(status));
    if (!status.isTopicKnown) reasons.push("the topic does not exist yet, or was not asked for");
    return reasons;
  }
}

/** A run that has not begun. */
export const STARTING: Health = {
  look: () => {},
  illness: () => [],
  hindrances: () => ["the run is starting"],
};

function isConnected({ brokers }: RunStatus): boolean {
  return brokers.some((broker) => broker.isConnected);
}

function describeConnections({ brokers }: RunStatus): string {
  const addresses = brokers.map(({ address }) => address).join(", ");
  return `not connected to Kafka${addresses === "" ? "" : ` (${addresses})`}`;
}
