/**
 * Frames into Kafka and out again, as a library: open a source, give it to
 * {@link producePackets}; or give {@link consumePackets} a stream to write to.
 *
 * @example
 * const settings = resolveKafkaSettings({
 *   mode: "consumer",
 *   properties: [],
 *   brokers: "localhost:9092",
 *   connectTimeoutMs: 30_000,
 * });
 * const run = consumePackets(createWriteStream("out.pcap"), {
 *   kafka: settings.client,
 *   fetcher: settings.fetcher,
 *   topic: "pcap",
 *   group: undefined,
 *   flushTimeoutMs: 10_000,
 *   start: { kind: "begin" },
 *   exitAtEnd: true,
 *   maxPackets: 0,
 *   fileType: "pcap",
 *   linkType: undefined,
 *   headerNow: false,
 *   snapLengthBytes: MAX_FRAME_BYTES,
 *   prettyPrint: undefined,
 * }, silentLogger);
 * const { written } = await run.done;
 *
 * @module
 */
export { openFileSource, type FileSourceOptions } from "./capture/file-source.ts";
export type { CaptureCounters, FrameSource } from "./capture/frame-source.ts";
export { findInterface, listInterfaces, type NetworkInterface } from "./capture/interfaces.ts";
export type { CaptureEngine, LiveSource, LiveSourceOptions } from "./capture/live-source.ts";
export { openLiveSource } from "./capture/open-live-source.ts";
export { compilePacketFilter, type PacketFilter } from "./capture/packet-filter.ts";
export { paceSource, type ReplayClock } from "./capture/paced-source.ts";
export type { ProcessUser } from "./capture/process-user.ts";
export { type ReplayPace, ReplayTimeline } from "./capture/replay-timeline.ts";
export { mergeLiveSources } from "./capture/several-sources.ts";
export { formatBrokerAddress, parseBrokerAddresses } from "./config/broker-address.ts";
export {
  type KafkaSettings,
  type KafkaSettingsInput,
  type PropertyAssignment,
  resolveKafkaSettings,
  type SettingNote,
} from "./config/kafka-settings.ts";
export { ERROR_TABLE, type ErrorCode, PcaptsError } from "./errors.ts";
export type { ClientObserver } from "./kafka/client-observer.ts";
export type {
  Assignor,
  BrokerAddress,
  FetcherOptions,
  GroupOptions,
  KafkaClientOptions,
  PublisherOptions,
  StartPosition,
} from "./kafka/client-options.ts";
export type {
  KerberosOptions,
  OauthOptions,
  PasswordOptions,
  SaslOptions,
  SecurityOptions,
  TlsOptions,
  TokenOptions,
} from "./kafka/security-options.ts";
export type { BrokerState } from "./kafka/transport.ts";
export { type Logger, silentLogger } from "./logger.ts";
export { decodeKey, encodeKey } from "./packet/capture-time.ts";
export {
  type CaptureInterface,
  FRAME_HEADER_BYTES,
  type FrameChunk,
  MAX_FRAME_BYTES,
} from "./packet/frame-chunk.ts";
export { consumePackets } from "./pipeline/consume-packets.ts";
export type {
  ConsumeOptions,
  ConsumeSummary,
  PrettyPrint,
  ProduceOptions,
  ProduceSummary,
  Run,
} from "./pipeline/pipeline-options.ts";
export type { ReaderEnd } from "./pipeline/packet-reader.ts";
export { producePackets } from "./pipeline/produce-packets.ts";
export type {
  ConsumerRun,
  ConsumerStatus,
  ProducerRun,
  ProducerStatus,
  RunStatus,
} from "./pipeline/run-status.ts";
export {
  type PacketServer,
  servePackets,
  type ServeOptions,
  type ServeSummary,
} from "./pipeline/serve-packets.ts";
