import type { CaptureCounters } from "../capture/frame-source.ts";
import type { ConsumeSummary, ProduceSummary } from "../pipeline/pipeline-options.ts";
import type { ConsumerStatus, ProducerStatus, RunStatus } from "../pipeline/run-status.ts";

/*
 * Every metric that is read when somebody asks, one row each. Latencies, which
 * are counted as they come, stand in metrics.ts.
 */

/** What holds for a producer or a consumer when its metrics are asked for. */
export interface RunFacts {
  readonly version: string;
  readonly mode: "producer" | "consumer";
  readonly status: RunStatus;
  readonly isHealthy: boolean;
  readonly isReady: boolean;
}

/** The same for a producer. */
export interface ProducerFacts extends RunFacts {
  readonly summary: ProduceSummary;
  readonly status: ProducerStatus;
  /** Interfaces that are captured from, each with its counters; none for files. */
  readonly interfaces: readonly { readonly name: string; readonly counters: CaptureCounters }[];
}

/** The same for a consumer. */
export interface ConsumerFacts extends RunFacts {
  readonly summary: ConsumeSummary;
  readonly status: ConsumerStatus;
}

/** One number of a metric; what an engine cannot tell is undefined, and is left out. */
export interface Sample {
  readonly value: number | undefined;
  readonly labels?: Readonly<Record<string, string>>;
}

/** One metric. */
export interface MetricRow<Facts> {
  readonly name: string;
  readonly type: "counter" | "gauge";
  /** A sentence without its full stop. */
  readonly help: string;
  readonly labels?: readonly string[];
  readonly samples: (facts: Facts) => readonly Sample[];
}

/** In which metric, under which cause, a counter of a summary is found. */
interface CounterPlace {
  readonly metric: string;
  readonly cause?: string;
}

/** Each counter of a producer's ledger. */
const PRODUCER_COUNTERS = {
  received: { metric: "pcapts_received_frames_total" },
  droppedByKernel: { metric: "pcapts_lost_frames_total", cause: "kernel" },
  droppedByInterface: { metric: "pcapts_lost_frames_total", cause: "interface" },
  filtered: { metric: "pcapts_filtered_frames_total" },
  leftInRing: { metric: "pcapts_ring_frames" },
  captured: { metric: "pcapts_captured_frames_total" },
  acknowledged: { metric: "pcapts_acknowledged_frames_total" },
  failed: { metric: "pcapts_lost_frames_total", cause: "failed" },
  unknown: { metric: "pcapts_lost_frames_total", cause: "unknown" },
  droppedHere: { metric: "pcapts_lost_frames_total", cause: "dropped_here" },
  queued: { metric: "pcapts_queue_frames" },
  torn: { metric: "pcapts_lost_frames_total", cause: "torn" },
  sampledOut: { metric: "pcapts_lost_frames_total", cause: "sampled_out" },
  truncated: { metric: "pcapts_truncated_frames_total" },
  foundInSpool: { metric: "pcapts_spool_found_frames_total" },
  spooled: { metric: "pcapts_spool_frames" },
} as const satisfies Record<keyof Required<ProduceSummary>, CounterPlace>;

/** Each counter of a consumer. */
const CONSUMER_COUNTERS = {
  received: { metric: "pcapts_read_records_total" },
  written: { metric: "pcapts_written_frames_total" },
  foreign: { metric: "pcapts_skipped_records_total", cause: "foreign" },
  otherLinkType: { metric: "pcapts_skipped_records_total", cause: "other_link_type" },
  filtered: { metric: "pcapts_skipped_records_total", cause: "filtered" },
  notFilterable: { metric: "pcapts_not_filterable_frames_total" },
  outOfRange: { metric: "pcapts_skipped_records_total", cause: "out_of_range" },
  late: { metric: "pcapts_late_frames_total" },
  missed: { metric: "pcapts_missed_records_total" },
} as const satisfies Record<keyof ConsumeSummary, CounterPlace>;

/** Metrics that producers and consumers have. */
export const RUN_METRICS: readonly MetricRow<RunFacts>[] = [
  {
    name: "pcapts_build_info",
    type: "gauge",
    help: "Always 1; its labels say which version runs, and as what",
    labels: ["version", "mode"],
    samples: ({ version, mode }) => [{ value: 1, labels: { version, mode } }],
  },
  {
    name: "pcapts_healthy",
    type: "gauge",
    help: "1 while /healthz says so",
    samples: ({ isHealthy }) => [{ value: Number(isHealthy) }],
  },
  {
    name: "pcapts_ready",
    type: "gauge",
    help: "1 while /readyz says so",
    samples: ({ isReady }) => [{ value: Number(isReady) }],
  },
  {
    name: "pcapts_broker_connected",
    type: "gauge",
    help: "1 for each known broker that is connected to, 0 for the others",
    labels: ["broker"],
    samples: ({ status }) =>
      status.brokers.map(({ address, isConnected }) => ({
        value: Number(isConnected),
        labels: { broker: address },
      })),
  },
];

/** Metrics of a producer. */
export const PRODUCER_METRICS: readonly MetricRow<ProducerFacts>[] = [
  counterOf(
    "pcapts_received_frames_total",
    "Frames that the kernel saw for this capture, or that were read from files or feeds",
  ),
  counterOf(
    "pcapts_filtered_frames_total",
    "Frames that were received and left out by a filter or as own traffic",
  ),
  counterOf("pcapts_captured_frames_total", "Frames that were taken to be published"),
  counterOf("pcapts_acknowledged_frames_total", "Captured frames that Kafka has acknowledged"),
  counterOf("pcapts_lost_frames_total", "Frames that are not in Kafka, or may not be, by cause"),
  gaugeOf("pcapts_ring_frames", "Frames in the kernel's ring or in buffers of the engine"),
  gaugeOf("pcapts_queue_frames", "Captured frames in memory that are not acknowledged yet"),
  counterOf("pcapts_truncated_frames_total", "Frames that were cut by --overload truncate"),
  gaugeOf("pcapts_spool_frames", "Frames in the spool"),
  counterOf("pcapts_spool_found_frames_total", "Frames that a run before had left in the spool"),
  {
    name: "pcapts_queue_bytes",
    type: "gauge",
    help: "Memory in use for them, of queue.buffering.max.kbytes",
    samples: ({ status }) => [{ value: status.queuedBytes }],
  },
  {
    name: "pcapts_interface_received_frames_total",
    type: "counter",
    help: "Frames that the kernel saw, by interface",
    labels: ["interface"],
    samples: ({ interfaces }) =>
      interfaces.map(({ name, counters }) => ({
        value: counters.received,
        labels: { interface: name },
      })),
  },
  {
    name: "pcapts_interface_lost_frames_total",
    type: "counter",
    help: "Frames lost before they were captured, by interface and cause",
    labels: ["interface", "cause"],
    samples: ({ interfaces }) =>
      interfaces.flatMap(({ name, counters }) => [
        { value: counters.droppedByKernel, labels: { interface: name, cause: "kernel" } },
        { value: counters.droppedByInterface, labels: { interface: name, cause: "interface" } },
      ]),
  },
];

/** Metrics of a consumer. */
export const CONSUMER_METRICS: readonly MetricRow<ConsumerFacts>[] = [
  read("pcapts_read_records_total", "Records that were read, those that are not frames included"),
  read("pcapts_written_frames_total", "Frames that were written or printed"),
  read("pcapts_skipped_records_total", "Records that were read and not written, by cause"),
  read(
    "pcapts_not_filterable_frames_total",
    "Of those that were filtered: frames of link types that the filter does not compile for",
  ),
  read("pcapts_late_frames_total", "Frames that were written behind a later one"),
  read("pcapts_missed_records_total", "Records that were deleted before they were read"),
  {
    name: "pcapts_lag_records",
    type: "gauge",
    help: "Records in the topic behind what was handed to the output, by partition",
    labels: ["partition"],
    samples: ({ status }) =>
      [...status.lag].map(([partition, value]) => ({
        value,
        labels: { partition: String(partition) },
      })),
  },
];

function counterOf(name: string, help: string): MetricRow<ProducerFacts> {
  return fromSummary(name, "counter", help, PRODUCER_COUNTERS);
}

function gaugeOf(name: string, help: string): MetricRow<ProducerFacts> {
  return fromSummary(name, "gauge", help, PRODUCER_COUNTERS);
}

function read(name: string, help: string): MetricRow<ConsumerFacts> {
  return fromSummary(name, "counter", help, CONSUMER_COUNTERS);
}

/** The metric that some counters of a summary make together. */
function fromSummary<Key extends string>(
  name: string,
  type: "counter" | "gauge",
  help: string,
  places: Readonly<Record<Key, CounterPlace>>,
): MetricRow<{ readonly summary: Readonly<Partial<Record<Key, number | undefined>>> }> {
  const entries = Object.entries(places) as [Key, CounterPlace][];
  const own = entries.filter(([, { metric }]) => metric === name);
  return {
    name,
    type,
    help,
    ...(own.some(([, { cause }]) => cause !== undefined) && { labels: ["cause"] }),
    samples: ({ summary }) =>
      own.map(([key, { cause }]) => ({
        value: summary[key],
        ...(cause !== undefined && { labels: { cause } }),
      })),
  };
}

/** Metrics that the counters of summaries are found in; a test holds the rows above to it. */
export function listCounterMetrics(): readonly string[] {
  const places: CounterPlace[] = [
    ...Object.values(PRODUCER_COUNTERS),
    ...Object.values(CONSUMER_COUNTERS),
  ];
  return [...new Set(places.map(({ metric }) => metric))];
}
