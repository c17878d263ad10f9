import { MAX_FRAME_BYTES } from "../packet/frame-chunk.ts";
import { dltOfLinkType, formatLinkType } from "../packet/link-types.ts";
import { PcaptsError } from "../errors.ts";
import { loadLibpcap, type LibpcapAddon, type LibpcapProgram } from "./libpcap-addon.ts";

/** A libpcap filter for frames of one link type, wherever they come from. */
export interface PacketFilter {
  /** LINKTYPE_ number it is for. */
  readonly linkType: number;
  /**
   * Judges the frames of a chunk.
   *
   * @param bytes frames, each behind its 16-byte record header
   * @param verdicts gets 1 for each frame that matches, else 0; at least `frameCount` long
   * @returns how many match
   */
  match(bytes: Uint8Array, frameCount: number, bigEndian: boolean, verdicts: Uint8Array): number;
}

/**
 * Compiles a libpcap expression for frames as they stand in a file or a topic. What only a live
 * capture knows (`inbound`) is refused.
 *
 * @param linkType LINKTYPE_ number of the frames
 * @param expression "" matches every frame
 * @param addon for tests
 * @throws PcaptsError FILTER_INVALID with libpcap's words, ENGINE_UNAVAILABLE
 */
export function compilePacketFilter(
  linkType: number,
  expression: string,
  addon: LibpcapAddon = loadLibpcap(),
): PacketFilter {
  let program: LibpcapProgram;
  try {
    program = addon.compileFilter(dltOfLinkType(linkType), MAX_FRAME_BYTES, expression);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new PcaptsError(
      "FILTER_INVALID",
      `Cannot compile filter "${expression}" for frames of type ${formatLinkType(linkType)}: ${reason}`,
      { cause },
    );
  }
  return {
    linkType,
    match: (bytes, frameCount, bigEndian, verdicts) =>
      addon.matchFilter(program, bytes, frameCount, bigEndian, verdicts),
  };
}
