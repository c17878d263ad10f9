import assert from "node:assert/strict";
import { randomTopicName } from "../brokers.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import {
  assertNoStackTrace,
  type Ended,
  runPcapts,
  type StartOptions,
  startPcapts,
} from "../integration/pcapts-process.ts";
import { flags, type Properties } from "./properties.ts";

/*
 * pcapts with a set of properties, as users type it.
 */

/** A refusal comes before the first time limit after which pcapts gives up trying, which is 30 s. */
const REFUSAL_LIMIT_MS = 29_000;

/** A capture whose frame N is of second N past 1700000000. */
export function numberedCapture(frameCount: number, frameBytes = 90): Buffer {
  return buildCapture({
    frames: Array.from({ length: frameCount }, (_, n) => ({
      bytes: buildUdpFrame(n, frameBytes),
      seconds: 1_700_000_000 + n,
      nanoseconds: (n % 1000) * 1_000_000,
    })),
  });
}

/** The line of a producer of standard input. */
export function producerLine(properties: Properties, topic: string): string[] {
  return ["-p", "-r", "-", "-t", topic, ...flags(properties)];
}

/** The line of a consumer of all that a topic holds. */
export function consumerLine(properties: Properties, topic: string): string[] {
  return ["-c", "-o", "begin", "-e", "-t", topic, ...flags(properties)];
}

/** Publishes a capture; fails unless that succeeds without a warning. */
export async function publishWith(
  properties: Properties,
  topic: string,
  capture: Buffer,
  env: NodeJS.ProcessEnv = {},
): Promise<Ended> {
  return succeed(await runPcapts(producerLine(properties, topic), { input: capture, env }));
}

/** Reads a topic to its end: the bytes of the file that a user would have. */
export async function readWith(
  properties: Properties,
  topic: string,
  env: NodeJS.ProcessEnv = {},
): Promise<Buffer> {
  const line = [...consumerLine(properties, topic), "--unordered"];
  return succeed(await runPcapts(line, { env })).stdout;
}

/** Fails unless a run ended with 0, and without a warning but those of a busy broker that is asked again. */
export function succeed(ended: Ended): Ended {
  assert.equal(ended.status, 0, ended.stderr);
  assertNoStackTrace(ended.stderr);
  const bad = / (WARN|ERROR): (?!.*; trying again)/;
  assert.deepEqual(
    ended.stderr.split("\n").filter((line) => bad.test(line)),
    [],
  );
  return ended;
}

/** Runs pcapts that is to be refused; returns its one sentence, from an exit 1 that came soon. */
export async function refusalOf(
  line: readonly string[],
  options: StartOptions = {},
): Promise<string> {
  const running = startPcapts(line, { input: numberedCapture(3), ...options });
  const ended = await running.ended;
  const tookMs = running.ageMs;
  assert.equal(ended.status, 1, `pcapts ${line.join(" ")} said:\n${ended.stderr}`);
  assertNoStackTrace(ended.stderr);
  const errors = ended.stderr.split("\n").filter((text) => /\bERROR\b/.test(text));
  assert.equal(errors.length, 1, `one sentence, not:\n${ended.stderr}`);
  // At once means: not tried again; seconds say more of the machine.
  assert.doesNotMatch(ended.stderr, /^(?!.*(no answer yet|LOAD_IN_PROGRESS)).*trying again/m);
  assert.ok(tookMs < REFUSAL_LIMIT_MS, `refused after ${tookMs} ms:\n${ended.stderr}`);
  return errors[0] ?? "";
}

/** Runs pcapts whose properties cannot be used; returns its sentence, from an exit 2. */
export async function usageErrorOf(
  line: readonly string[],
  options: StartOptions = {},
): Promise<string> {
  const { status, stderr } = await runPcapts(line, options);
  assert.equal(status, 2, stderr);
  assertNoStackTrace(stderr);
  return /^pcapts: error: (.*)$/m.exec(stderr)?.[1] ?? assert.fail(stderr);
}

/** What both modes say when they are refused; the topic exists or not, as `topic` says. */
export async function bothRefusals(
  properties: Properties,
  options: StartOptions = {},
  topic = randomTopicName("pcap"),
): Promise<readonly [producer: string, consumer: string]> {
  return Promise.all([
    refusalOf(producerLine(properties, topic), options),
    refusalOf(consumerLine(properties, topic), options),
  ]);
}
