import type { CaptureCounters } from "../capture/frame-source.ts";
import type { ConsumeSummary, ProduceSummary } from "../pipeline/pipeline-options.ts";
import type { ServeSummary } from "../pipeline/serve-packets.ts";

/**
 * Where every frame of a producer went, as a ledger that adds up.
 *
 * @param summary the counters; `undefined` is printed as unknown
 * @returns one line
 */
export function formatProduceSummary(summary: ProduceSummary): string {
  const { captured, acknowledged, failed, unknown, droppedHere, queued } = summary;
  const { foundInSpool, spooled, sampledOut, truncated = 0 } = summary;
  return (
    `received ${formatCount(summary.received)} = ` +
    `dropped by the kernel ${formatCount(summary.droppedByKernel)} + ` +
    `filtered ${summary.filtered} + captured ${captured} + ` +
    `left in the ring ${formatCount(summary.leftInRing)}; ` +
    `captured ${captured} ` +
    (foundInSpool === undefined ? "" : `+ found in the spool ${foundInSpool} `) +
    `= acknowledged ${acknowledged} + failed ${failed} + ` +
    `unknown ${unknown} + dropped here ${droppedHere} + ` +
    (sampledOut === undefined ? "" : `sampled out ${sampledOut} + `) +
    `queued ${queued}` +
    (spooled === undefined ? "" : ` + in the spool ${spooled}`) +
    (truncated === 0 ? "" : `; ${truncated} of them were cut`) +
    formatInterfaceDrops(summary) +
    (summary.torn === 0 ? "" : `; torn ${summary.torn}, which never came whole`)
  );
}

/**
 * What one of several interfaces counted; what was captured is counted for all together.
 *
 * @param name the interface
 * @param counters `undefined` is printed as unknown
 * @returns one line
 */
export function formatInterfaceCounters(name: string, counters: CaptureCounters): string {
  return (
    `${name}: received ${formatCount(counters.received)}, ` +
    `dropped by the kernel ${formatCount(counters.droppedByKernel)}, ` +
    `filtered ${counters.filtered}${formatInterfaceDrops(counters)}`
  );
}

function formatInterfaceDrops({
  droppedByInterface = 0,
}: Pick<CaptureCounters, "droppedByInterface">): string {
  return droppedByInterface === 0
    ? ""
    : `; the interface dropped ${droppedByInterface} before that`;
}

/**
 * What a consumer did with the records it met.
 *
 * @param summary the counters
 * @returns one line
 */
export function formatConsumeSummary(summary: ConsumeSummary): string {
  const { filtered, notFilterable, outOfRange, late, missed } = summary;
  const notes = [
    ...(filtered === 0 ? [] : [`not matching the filter ${filtered}`]),
    ...(outOfRange === 0 ? [] : [`captured outside of --from and --to ${outOfRange}`]),
  ];
  return (
    `read ${summary.received} record(s): written ${summary.written} frame(s), ` +
    `not frames ${summary.foreign}, of another link type ${summary.otherLinkType}` +
    notes.map((note) => `, ${note}`).join("") +
    (notFilterable === 0
      ? ""
      : `; the filter does not fit the link type of ${notFilterable} of them`) +
    (late === 0 ? "" : `; ${late} came too late to be put in order`) +
    (missed === 0 ? "" : `; ${missed} record(s) were deleted before they were read`)
  );
}

/**
 * What a server did for all its readers together.
 *
 * @param summary the counters
 * @returns one line
 */
export function formatServeSummary(summary: ServeSummary): string {
  const { readers, connected, refused, failed } = summary;
  return (
    `served ${readers} reader(s), connected ${connected}, turned away ${refused}, failed ${failed}; ` +
    formatConsumeSummary(summary)
  );
}

function formatCount(count: number | undefined): string {
  return count === undefined ? "unknown" : String(count);
}
