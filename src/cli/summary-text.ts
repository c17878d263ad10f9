import type { ConsumeSummary, ProduceSummary } from "../pipeline/pipeline-options.ts";

/**
 * Where every frame of a producer went, as a ledger that adds up.
 *
 * @param summary the counters; `undefined` is printed as unknown
 * @returns one line
 */
export function formatProduceSummary(summary: ProduceSummary): string {
  const { captured, acknowledged, failed, unknown, droppedHere, queued } = summary;
  const atInterface =
    summary.droppedByInterface === undefined || summary.droppedByInterface === 0
      ? ""
      : `; the interface dropped ${summary.droppedByInterface} before that`;
  return (
    `received ${formatCount(summary.received)} = ` +
    `dropped by the kernel ${formatCount(summary.droppedByKernel)} + ` +
    `filtered ${summary.filtered} + captured ${captured} + left in the ring ${formatCount(summary.leftInRing)}; ` +
    `captured ${captured} = acknowledged ${acknowledged} + failed ${failed} + ` +
    `unknown ${unknown} + dropped here ${droppedHere} + queued ${queued}${atInterface}`
  );
}

/**
 * What a consumer did with the records it met.
 *
 * @param summary the counters
 * @returns one line
 */
export function formatConsumeSummary(summary: ConsumeSummary): string {
  return (
    `read ${summary.received} record(s): written ${summary.written} frame(s), ` +
    `not frames ${summary.foreign}, of another link type ${summary.otherLinkType}`
  );
}

function formatCount(count: number | undefined): string {
  return count === undefined ? "unknown" : String(count);
}
