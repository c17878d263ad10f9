import type {
  FetcherOptions,
  GroupOptions,
  KafkaClientOptions,
  PublisherOptions,
  StartPosition,
} from "../kafka/client-options.ts";
import type { ClientObserver } from "../kafka/client-observer.ts";
import type { CaptureRange } from "../kafka/frame-decoder.ts";
import type { OverloadPolicy } from "../packet/overload-policy.ts";

/** Text for people instead of, or beside, frames. */
export interface PrettyPrint {
  /** Every Nth frame; at least 1. */
  readonly every: number;
  /** `hex` and `line` are Pycapa's of 2017 and of 2020, `summary` is a line as tcpdump prints it. */
  readonly format: "hex" | "line" | "summary";
  /** Receives whole lines, each ending in "\n". */
  readonly print: (text: string) => void;
  /** Resolves when all that was printed has been taken. A consumer waits for it before it reads on. */
  readonly flush?: () => Promise<void>;
}

/** What ends a capture by itself; what is left out ends nothing. */
export interface CaptureLimits {
  /** Counted from the start of the capture, when Kafka is ready. */
  readonly durationMs?: number;
  /** Size of a pcap file that holds the frames: with the frame that reaches it the capture ends. */
  readonly fileBytes?: number;
  /** Frames. */
  readonly packets?: number;
}

/** A spool, see `Spool`. */
export interface SpoolOptions {
  readonly directory: string;
  /** Of all its files together. */
  readonly sizeBytes: number;
}

/** What `producePackets` does with the frames of its source. */
export interface ProduceOptions {
  readonly kafka: KafkaClientOptions;
  readonly publisher: PublisherOptions;
  readonly topic: string;
  /** Partitions of a topic that has to be created. */
  readonly newTopicPartitions: number;
  readonly partitioner: "flow" | "random";
  readonly headers: "auto" | "all";
  /** Timestamps of records from a file or a feed; frames from an interface carry their capture time. */
  readonly recordTimestamp: "publish" | "capture";
  /** Stop after this many frames; 0 is no limit. */
  readonly maxPackets: number;
  /** What else ends the run in order, as the end of a file does. Default none. */
  readonly limits?: CaptureLimits;
  /** Where frames go that neither memory nor Kafka takes; they wait there however long it takes. */
  readonly spool?: SpoolOptions | undefined;
  /** Default: the capture waits, and the kernel drops what its ring cannot hold. A file waits anyway. */
  readonly overload?: OverloadPolicy | undefined;
  /** Keep this host's own traffic to Kafka in what an interface gives. Default: it is left out. */
  readonly captureSelf?: boolean;
  /** Cut frames of a file or a feed to this many bytes; undefined leaves them whole. */
  readonly snapLengthBytes: number | undefined;
  /** How long to wait for acknowledgements after `stop()`. */
  readonly flushTimeoutMs: number;
  readonly prettyPrint: PrettyPrint | undefined;
  /** The topic that gets a record of what was done in each interval; it is created if need be. */
  readonly ledger?: { readonly topic: string; readonly intervalMs: number } | undefined;
  /** Told of requests and batches, for those who measure. */
  readonly observer?: ClientObserver | undefined;
}

/** How frames are put in order. */
export interface FrameOrdering {
  /**
   * How far out of order a partition may be, and how long a frame waits for those of others. A run whose
   * end is known waits for as much as memory takes.
   */
  readonly windowMs: number;
  /**
   * Begin with a shorter window and let it follow the disorder that is met, up to `windowMs`: for a reader
   * at the other end of a pipe. Default: the window as it is.
   */
  readonly isPrompt?: boolean;
}

/** What `consumePackets` writes. */
export interface ConsumeOptions {
  readonly kafka: KafkaClientOptions;
  readonly fetcher: FetcherOptions;
  readonly topic: string;
  /**
   * Fail when the topic does not exist, and write nothing before that is known. Default: wait for
   * it, unless `exitAtEnd`.
   */
  readonly topicMustExist?: boolean;
  /** The group whose members share the topic; undefined: every partition is read here. */
  readonly group: GroupOptions | undefined;
  /** With a group: `stored`, or what it is given while it is empty. */
  readonly start: StartPosition;
  /** End where the topic ended when the run began. */
  readonly exitAtEnd: boolean;
  /** Stop after this many frames; 0 is no limit. */
  readonly maxPackets: number;
  /** Only frames captured in this range. An end makes the run end when nothing more of it can come. */
  readonly range?: CaptureRange | undefined;
  /** libpcap filter; frames of link types that it does not compile for do not match. */
  readonly filter?: string | undefined;
  /** Put the frames of partitions in order of their capture times; undefined leaves them as they come. */
  readonly order?: FrameOrdering | undefined;
  readonly fileType: "pcap" | "nsecpcap" | "pcapng";
  /** Around what is written. */
  readonly compression?: "gzip" | "zstd" | undefined;
  /** Program and version that a pcapng file names. */
  readonly application?: string;
  /**
   * Link type of the output; undefined: that of the topic's frames. A pcapng file carries all, and
   * names this one at once.
   */
  readonly linkType: number | undefined;
  /** Write the file header before anything is known of the topic (Ethernet unless `linkType`). */
  readonly headerNow: boolean;
  /** Snaplen that the file header states. */
  readonly snapLengthBytes: number;
  /** How long what is under way may take after `stop()`: a write, a group's last commit and farewell. */
  readonly flushTimeoutMs: number;
  /**
   * A group goes on with its output after a crash, each frame in it once: what is committed of it is
   * kept beside a ring (or one file) as `PATH.offsets`. Default false; no effect on streams.
   */
  readonly resumes?: boolean;
  /** Replaces the pcap output when given. */
  readonly prettyPrint: PrettyPrint | undefined;
  /** Told of requests, for those who measure. */
  readonly observer?: ClientObserver | undefined;
}

/** How far a run has come. */
export interface RunProgress {
  /** Frames taken to be published, or written. */
  readonly frames: number;
  /** Captured bytes of frames that were read. */
  readonly bytes: number;
  /** 0 to 1; undefined where nobody knows when it will end. */
  readonly share: number | undefined;
}

/** A producer or consumer at work. */
export interface Run<Summary> {
  /** Resolves when the run has ended in order; rejects with a `PcaptsError`. */
  readonly done: Promise<Summary>;
  /** Takes no more frames, flushes, then `done` settles. Safe repeatedly. */
  stop(): void;
  /** Counters as they stand now. */
  summary(): Summary;
  /** How far it has come. */
  progress(): RunProgress;
}

/**
 * Where every frame of a producer went. At any time the rows add up:
 * received = droppedByKernel + filtered + captured + leftInRing, and
 * captured + foundInSpool = acknowledged + failed + unknown + droppedHere + sampledOut + queued + spooled.
 * `undefined` is "the engine cannot tell", never 0.
 */
export interface ProduceSummary {
  /** Frames that the kernel saw for this capture; frames read, for a file or a feed. */
  received: number | undefined;
  /** The kernel's ring was full. */
  droppedByKernel: number | undefined;
  /** Lost before the kernel could count them as received. */
  droppedByInterface: number | undefined;
  /** Left out here by a filter; what the kernel's filter leaves out was not received. */
  filtered: number;
  /** Received, not handed over: in the kernel's ring, or in buffers of the engine. */
  leftInRing: number | undefined;
  captured: number;
  acknowledged: number;
  failed: number;
  /** Sent, never answered. */
  unknown: number;
  /** Captured, given up before they were taken for sending: a stop ran out of time, or an overload had no room. */
  droppedHere: number;
  /** Held in memory. */
  queued: number;
  /** With an overload policy: left out because only some conversations were kept. */
  sampledOut?: number;
  /** With an overload policy: frames that were cut; they are in the other rows, too. */
  truncated?: number;
  /** With a spool: what a run before had left there. */
  foundInSpool?: number;
  /** With a spool: what is there now; at the end, what is left to the next run. */
  spooled?: number;
  /** Frames of a feed that began and never came whole; they were not received. */
  torn: number;
}

/** What a consumer did with the records it met. */
export interface ConsumeSummary {
  /** Records read, foreign ones included. */
  received: number;
  /** Frames written or printed. */
  written: number;
  /** Records that are not frames: key not 8 bytes, no value, over 256 KiB, impossible time. */
  foreign: number;
  /** Frames left out because a pcap file holds one link type only. */
  otherLinkType: number;
  /** Frames that did not match the filter. */
  filtered: number;
  /** Of those: frames of link types that the filter does not compile for. */
  notFilterable: number;
  /** Frames captured before or after the range that was asked for. */
  outOfRange: number;
  /** Frames written behind a later one, because they came too late to be put in order. */
  late: number;
  /** Records that were deleted before they were read. */
  missed: number;
}
