import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import path from "node:path";
import { cacheDirectory } from "../brokers.ts";
import { runProgram } from "../integration/other-programs.ts";
import type { RunningProcess } from "../integration/pcapts-process.ts";

/** Prometheus's own tool. */
export const PROMTOOL = existsSync(path.join(cacheDirectory, "promtool"))
  ? path.join(cacheDirectory, "promtool")
  : "promtool";

/** A page of a status server. */
export interface StatusPage {
  readonly status: number;
  readonly contentType: string | null;
  readonly text: string;
}

/** The pages of a pcapts that was started with `--metrics 127.0.0.1:0`. */
export class StatusPages {
  readonly origin: string;

  private constructor(origin: string) {
    this.origin = origin;
  }

  /** Waits until pcapts says where its pages are. */
  static async of(pcapts: RunningProcess): Promise<StatusPages> {
    const [, origin = ""] = await pcapts.says(/Metrics at (http:\/\/\S+)\/metrics/);
    return new StatusPages(origin);
  }

  async get(page: string, method = "GET"): Promise<StatusPage> {
    const response = await fetch(this.origin + page, { method });
    return {
      status: response.status,
      contentType: response.headers.get("content-type"),
      text: await response.text(),
    };
  }

  /** The samples of `/metrics` as they stand now. */
  async metrics(): Promise<Samples> {
    const { status, text } = await this.get("/metrics");
    assert.equal(status, 200, text);
    return readSamples(text);
  }

  /** Fails unless promtool takes `/metrics` and has nothing to say about it. */
  async check(): Promise<void> {
    await checkPage((await this.get("/metrics")).text);
  }
}

/** Values by series as the page has them: `pcapts_lost_frames_total{cause="kernel"}`. */
export type Samples = ReadonlyMap<string, number>;

async function checkPage(text: string): Promise<void> {
  // What prom-client has of its own is not for this project to name: it has gauges that end in _total.
  const own = text.split("\n").filter((line) => /^(# (HELP|TYPE) )?pcapts_/.test(line));
  const { stdout, stderr } = await runProgram(
    [PROMTOOL, "check", "metrics"],
    own.join("\n") + "\n",
  );
  assert.equal(stdout.toString() + stderr, "");
}

function readSamples(text: string): Samples {
  const samples = new Map<string, number>();
  for (const line of text.split("\n")) {
    const [, series, value] = /^([a-z0-9_]+(?:\{.*\})?) (\S+)$/.exec(line) ?? [];
    if (series !== undefined) samples.set(series, Number(value));
  }
  return samples;
}
