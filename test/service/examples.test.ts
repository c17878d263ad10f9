import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { stringify } from "yaml";
import { listCounterMetrics } from "../../src/service/metric-table.ts";
import { Metrics } from "../../src/service/metrics.ts";
import { projectRoot } from "../brokers.ts";
import { runProgram } from "../integration/other-programs.ts";
import { PROMTOOL } from "./status-pages.ts";

/* Metrics, their table in the docs, dashboard and alerts speak of the same things. */

const directory = mkdtempSync(path.join(tmpdir(), "pcapts-examples-"));
after(() => rmSync(directory, { recursive: true, force: true }));

const read = (name: string): string => readFileSync(path.join(projectRoot, name), "utf8");

/** Everything that a producer or a consumer has, by name, those of the process included. */
async function listMetrics(): Promise<Map<string, string>> {
  const pages = await Promise.all([
    Metrics.ofProducer(() => undefined).text(),
    Metrics.ofConsumer(() => undefined).text(),
  ]);
  const declared = pages.join("\n").matchAll(/^# TYPE (\w+) (\w+)$/gm);
  return new Map([...declared].map(([, name = "", type = ""]) => [name, type]));
}

/** Names of series that an expression asks for. */
function namesIn(expression: string): string[] {
  return expression.match(/\b(pcapts|process|nodejs)_\w+/g) ?? [];
}

interface Panel {
  readonly title: string;
  readonly targets: readonly { readonly expr: string }[];
}

const dashboard = JSON.parse(read("examples/grafana/pcapts.json")) as {
  readonly panels: readonly Panel[];
};

/** Expressions as Grafana sends them, with its variables filled in. */
const dashboardExpressions = dashboard.panels.flatMap(({ targets }) =>
  targets.map(({ expr }) =>
    expr
      .replaceAll("$instance", ".*")
      .replaceAll("$__rate_interval", "1m")
      .replaceAll("$__range", "1h"),
  ),
);

test("every metric has a row in docs/operations.md, and every row is of a metric", async () => {
  const rows = read("docs/operations.md").matchAll(/^\| `(pcapts_\w+)(?:\{[^}]*\})?` \|/gm);
  const documented = new Set([...rows].map(([, name = ""]) => name));
  const existing = [...(await listMetrics()).keys()].filter((name) => name.startsWith("pcapts_"));
  assert.deepEqual([...documented].toSorted(), existing.toSorted());
});

test("every counter of a summary is found in a metric, by conventions of Prometheus", async () => {
  const metrics = await listMetrics();
  for (const name of listCounterMetrics()) assert.ok(metrics.has(name), name);
  for (const [name, type] of metrics) {
    if (!name.startsWith("pcapts_")) continue;
    assert.equal(type === "counter", name.endsWith("_total"), name);
    if (type === "histogram") assert.match(name, /_seconds$/);
  }
});

test("causes of losses in docs/operations.md are those of the metric", () => {
  const causes = (text: string): Set<string> =>
    new Set([...text.matchAll(/cause(?:=|: )"(\w+)"/g)].map(([, cause = ""]) => cause));
  assert.deepEqual(
    [...causes(read("docs/operations.md"))].toSorted(),
    [...causes(read("src/service/metric-table.ts"))].toSorted(),
  );
});

test("the dashboard asks for metrics that there are, in PromQL that promtool takes", async () => {
  const metrics = await listMetrics();
  const series = (name: string): boolean => {
    const base = name.replace(/_(bucket|sum|count)$/, "");
    return metrics.has(name) || metrics.get(base) === "histogram";
  };
  const asked = dashboardExpressions.flatMap(namesIn);
  assert.ok(asked.length >= 20);
  assert.deepEqual(
    asked.filter((name) => !series(name)),
    [],
  );
  // Nothing that is counted is left out of the picture.
  const shown = new Set(asked.map((name) => name.replace(/_bucket$/, "")));
  const own = [...metrics.keys()].filter((name) => name.startsWith("pcapts_"));
  assert.deepEqual(
    own.filter((name) => !shown.has(name) && name !== "pcapts_build_info"),
    [],
  );
  const rules = dashboardExpressions.map((expr, index) => ({ record: `panel:${index}`, expr }));
  const file = path.join(directory, "dashboard.yml");
  writeFileSync(file, stringify({ groups: [{ name: "dashboard", rules }] }));
  await runProgram([PROMTOOL, "check", "rules", file]);
});

test("Prometheus takes its example, and the alerts ask for metrics that there are", async () => {
  await runProgram([
    PROMTOOL,
    "check",
    "config",
    path.join(projectRoot, "examples/prometheus/pcapts.yml"),
  ]);
  const alerts = read("examples/prometheus/pcapts-alerts.yml");
  const metrics = await listMetrics();
  const expressions = [...alerts.matchAll(/expr: (.*)/g)].map(([, expr = ""]) => expr);
  assert.deepEqual(
    expressions.flatMap(namesIn).filter((name) => !metrics.has(name)),
    [],
  );
  const named = [...alerts.matchAll(/alert: (\w+)/g)].map(([, name]) => name);
  const documented = [...read("docs/operations.md").matchAll(/^\| `(Pcapts\w+)` \|/gm)];
  assert.deepEqual(
    named,
    documented.map(([, name]) => name),
  );
});

/** A series, what an alert makes of it, and when. */
const ALERT_CASES = [
  { alert: "PcaptsDown", series: 'up{job="pcapts"}', bad: "0+0x30", good: "1+0x30" },
  { alert: "PcaptsIll", series: "pcapts_healthy", bad: "0+0x30", good: "1+0x30" },
  { alert: "PcaptsNotReady", series: "pcapts_ready", bad: "0+0x30", good: "1+0x30" },
  {
    alert: "PcaptsLosesFrames",
    series: 'pcapts_lost_frames_total{cause="kernel"}',
    bad: "0+5x30",
    good: "7+0x30",
  },
  {
    alert: "PcaptsQueueFills",
    series: "pcapts_queue_bytes",
    bad: "0+20000000x30",
    good: "1000000+0x30",
  },
  {
    alert: "PcaptsLagGrows",
    series: 'pcapts_lag_records{partition="0"}',
    bad: "200000+1000x30",
    good: "900000-1000x30",
  },
];

test("each alert fires when it should, and only then", async () => {
  const rules = path.join(projectRoot, "examples/prometheus/pcapts-alerts.yml");
  const firing = (alert: string, series: string, values: string, expected: boolean): object => ({
    interval: "1m",
    input_series: [{ series: withInstance(series), values }],
    // An expression instead of the alerts themselves: labels and words are not what is tested.
    promql_expr_test: [
      {
        expr: `count(ALERTS{alertname="${alert}", alertstate="firing"}) or vector(0)`,
        eval_time: "20m",
        exp_samples: [{ labels: "{}", value: expected ? 1 : 0 }],
      },
    ],
  });
  const tests = ALERT_CASES.flatMap(({ alert, series, bad, good }) => [
    firing(alert, series, bad, true),
    firing(alert, series, good, false),
  ]);
  const file = path.join(directory, "alerts-test.yml");
  writeFileSync(file, stringify({ rule_files: [rules], evaluation_interval: "1m", tests }));
  await runProgram([PROMTOOL, "test", "rules", file]);
});

function withInstance(series: string): string {
  return series.endsWith("}")
    ? series.replace("}", ', instance="probe1"}')
    : `${series}{instance="probe1"}`;
}
