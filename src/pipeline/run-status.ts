import type { BrokerState } from "../kafka/transport.ts";
import type { ConsumeSummary, ProduceSummary, Run } from "./pipeline-options.ts";

/** What holds for producers and consumers, as it stands now. */
export interface RunStatus {
  /** Brokers that are known by now, and whether they are connected to. */
  readonly brokers: readonly BrokerState[];
  /** The topic is there and may be used. */
  readonly isTopicKnown: boolean;
}

/** How a producer stands, beside its counters. */
export interface ProducerStatus extends RunStatus {
  /** The source is asked for frames. */
  readonly isCapturing: boolean;
  /** Memory in use for frames that are not acknowledged. */
  readonly queuedBytes: number;
}

/** How a consumer stands, beside its counters. */
export interface ConsumerStatus extends RunStatus {
  /** Partitions that are read, and records behind what came of each; undefined where that is not known. */
  readonly lag: ReadonlyMap<number, number | undefined>;
}

/** A producer at work. */
export interface ProducerRun extends Run<ProduceSummary> {
  /** How it stands now. */
  status(): ProducerStatus;
}

/** A consumer at work. */
export interface ConsumerRun extends Run<ConsumeSummary> {
  /** How it stands now. */
  status(): ConsumerStatus;
}
