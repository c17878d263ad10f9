import type { FrameSource } from "../capture/frame-source.ts";
import type { Logger } from "../logger.ts";
import type { ProduceOptions, ProduceSummary, Run } from "./pipeline-options.ts";

/** Publishes every frame of a source to a topic. */
export function producePackets(
  source: FrameSource,
  options: ProduceOptions,
  logger: Logger,
): Run<ProduceSummary> {
  void [source, options, logger];
  throw new Error("under construction");
}
