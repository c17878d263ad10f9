import type { RunAudit } from "../pipeline/audit-ledger.ts";
import type { AuditCommandLine } from "./audit-command-line.ts";
import { readKafkaSettings } from "./command-settings.ts";
import type { CommandLogger } from "./logging.ts";

/** What an audit came to. */
export interface AuditAnswer {
  /** For standard output. */
  readonly text: string;
  /** 0 only if nothing is missing. */
  readonly status: 0 | 1;
}

/**
 * `pcapts audit`: reads the ledger of a topic back, and says "complete" or
 * names what is missing.
 *
 * @throws PcaptsError what kept it from reading
 */
export async function auditCommand(
  { line, ledgerTopic, json }: AuditCommandLine,
  logger: CommandLogger,
): Promise<AuditAnswer> {
  const { client } = await readKafkaSettings(line, "consumer", logger);
  const { "kafka-topic": topic, sensor } = line.values;
  const { auditTopic } = await import("../pipeline/read-ledger.ts");
  const runs = await auditTopic({ kafka: client, topic, ledgerTopic, sensor }, logger);
  const gaps = runs.reduce((sum, run) => sum + run.gaps.length, 0);
  const complete = runs.length > 0 && gaps === 0;
  return {
    text: json
      ? `${JSON.stringify({ complete, topic, runs }, null, 2)}\n`
      : formatAudit(runs, topic),
    status: complete ? 0 : 1,
  };
}

function formatAudit(runs: readonly RunAudit[], topic: string): string {
  if (runs.length === 0) return `not complete: the ledger has no run of topic "${topic}"\n`;
  const gaps = runs.reduce((sum, run) => sum + run.gaps.length, 0);
  const frames = runs.reduce((sum, run) => sum + run.acknowledged, 0);
  const verdict =
    gaps === 0
      ? `complete: ${runs.length} run(s), '${frames}' frame(s)`
      : `not complete: ${gaps} gap(s) in ${runs.length} run(s), '${frames}' frame(s) acknowledged`;
  return `${runs.map(formatRun).join("")}${verdict}\n`;
}

function formatRun(run: RunAudit): string {
  const verdict = run.gaps.length === 0 ? "complete" : `${run.gaps.length} gap(s)`;
  const running = run.state === "running" ? ", still running" : "";
  const head =
    `run ${run.run} of ${run.sensor} (${run.source}), ${run.begin} to ${run.end}${running}: ` +
    `captured ${run.captured}, acknowledged ${run.acknowledged}: ${verdict}\n`;
  const gaps = run.gaps.map(({ begin, end, text }) => {
    return `  gap: ${text}${begin === end ? "" : ` (${begin} to ${end})`}\n`;
  });
  return head + gaps.join("") + run.notes.map((note) => `  note: ${note}\n`).join("");
}
