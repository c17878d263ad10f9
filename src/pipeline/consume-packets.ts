import type { Writable } from "node:stream";
import type { Logger } from "../logger.ts";
import type { ConsumeOptions, ConsumeSummary, Run } from "./pipeline-options.ts";

/** Streams a topic's frames into `output` as a pcap file. */
export function consumePackets(
  output: Writable,
  options: ConsumeOptions,
  logger: Logger,
): Run<ConsumeSummary> {
  void [output, options, logger];
  throw new Error("under construction");
}
