import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import type { ClientObserver } from "../kafka/client-observer.ts";
import {
  CONSUMER_METRICS,
  type ConsumerFacts,
  type MetricRow,
  PRODUCER_METRICS,
  type ProducerFacts,
  RUN_METRICS,
  type Sample,
} from "./metric-table.ts";

/** From a millisecond to a minute, a little more than doubling. */
const LATENCY_BUCKETS_SECONDS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
];

/**
 * The metrics of a run, in Prometheus's text format, with those of the process
 * (`process_…`, `nodejs_…`) that prom-client has. Counters are read when they
 * are asked for; only latencies are counted as they come, for a request or a
 * batch at a time.
 */
export class Metrics<Facts extends ProducerFacts | ConsumerFacts> {
  /** To be told of requests and batches. */
  readonly observer: ClientObserver;
  readonly #registry = new Registry();
  readonly #facts: () => Facts | undefined;
  #now: Facts | undefined;

  /** @param facts how the run stands; undefined before there is one */
  private constructor(rows: readonly MetricRow<Facts>[], facts: () => Facts | undefined) {
    this.#facts = facts;
    collectDefaultMetrics({ register: this.#registry });
    for (const row of rows) this.#register(row);
    this.observer = this.#createObserver(rows.some(({ name }) => name === "pcapts_lag_records"));
  }

  /** The metrics of a producer. */
  static ofProducer(facts: () => ProducerFacts | undefined): Metrics<ProducerFacts> {
    return new Metrics([...RUN_METRICS, ...PRODUCER_METRICS], facts);
  }

  /** The metrics of a consumer. */
  static ofConsumer(facts: () => ConsumerFacts | undefined): Metrics<ConsumerFacts> {
    return new Metrics([...RUN_METRICS, ...CONSUMER_METRICS], facts);
  }

  /** Value of the header Content-Type. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Reads everything once, so that the numbers of a page fit each other. */
  async text(): Promise<string> {
    this.#now = this.#facts();
    return this.#registry.metrics();
  }

  #register({ name, type, help, labels = [], samples }: MetricRow<Facts>): void {
    const listSamples = (): readonly (Sample & { readonly value: number })[] =>
      (this.#now === undefined ? [] : samples(this.#now)).filter(isKnown);
    const config = { name, help, labelNames: labels, registers: [] };
    if (type === "gauge") {
      const gauge = new Gauge({
        ...config,
        collect() {
          this.reset();
          if (labels.length === 0) this.remove();
          for (const { value, labels: own = {} } of listSamples()) this.set(own, value);
        },
      });
      this.#registry.registerMetric(gauge);
      return;
    }
    const counter = new Counter({
      ...config,
      collect() {
        this.reset();
        // Without labels prom-client would begin with 0, and "unknown" is not 0.
        if (labels.length === 0) this.remove();
        for (const { value, labels: own = {} } of listSamples()) this.inc(own, value);
      },
    });
    this.#registry.registerMetric(counter);
  }

  #createObserver(isConsumer: boolean): ClientObserver {
    const registers = [this.#registry];
    const histogram = (name: string, help: string): Histogram =>
      new Histogram({ name, help, buckets: LATENCY_BUCKETS_SECONDS, registers });
    const counter = (name: string, help: string): Counter => new Counter({ name, help, registers });
    const none: ClientObserver = {
      produceAnswered: () => {},
      batchAcknowledged: () => {},
      batchesReturned: () => {},
      fetchAnswered: () => {},
    };
    if (isConsumer) {
      const fetching = histogram(
        "pcapts_fetch_request_seconds",
        "From a Fetch request to its answer, the broker's waiting for frames included",
      );
      const fetchedBytes = counter("pcapts_fetched_bytes_total", "Bytes of answers to Fetch");
      return {
        ...none,
        fetchAnswered: (tookMs, bytes) => {
          fetching.observe(tookMs / 1000);
          fetchedBytes.inc(bytes);
        },
      };
    }
    const producing = histogram(
      "pcapts_produce_request_seconds",
      "From a Produce request to its answer",
    );
    const acknowledging = histogram(
      "pcapts_acknowledgement_seconds",
      "From the capture of a batch's first frame, or its reading from a file, to the acknowledgement",
    );
    const batches = counter("pcapts_acknowledged_batches_total", "Batches that are in the log");
    const bytes = counter(
      "pcapts_acknowledged_bytes_total",
      "Bytes of these batches, as they were sent",
    );
    const returned = counter(
      "pcapts_returned_batches_total",
      "Batches that came back without being in the log, to be sent again",
    );
    const lastTime = new Gauge({
      name: "pcapts_last_acknowledgement_timestamp_seconds",
      help: "When Kafka last acknowledged a batch; 0 before the first",
      registers,
    });
    return {
      ...none,
      produceAnswered: (tookMs) => producing.observe(tookMs / 1000),
      batchAcknowledged: (batch) => {
        acknowledging.observe(batch.agedMs / 1000);
        batches.inc();
        bytes.inc(batch.bytes);
        lastTime.setToCurrentTime();
      },
      batchesReturned: (count) => returned.inc(count),
    };
  }
}

function isKnown(sample: Sample): sample is Sample & { readonly value: number } {
  // A counter never goes down; one that a moment ago was read a little ahead of others may be -1.
  return sample.value !== undefined && sample.value >= 0;
}
