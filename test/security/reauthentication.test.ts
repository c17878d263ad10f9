import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { describe, test } from "node:test";
import { setInterval } from "node:timers/promises";
import { createTopic, randomTopicName } from "../brokers.ts";
import { readLedger, type RunningProcess, startPcapts } from "../integration/pcapts-process.ts";
import { grant, MECHANISMS, REAUTH_MS, sharedSecureCluster } from "../secure-cluster.ts";
import { type Properties, saslProperties } from "./properties.ts";
import { consumerLine, numberedCapture, producerLine, succeed } from "./secure-runs.ts";

/*
 * Sessions that end every few seconds (KIP-368) while frames flow: no other test uses this listener.
 * The broker closes a connection whose session has ended, so its log tells who logged in again.
 */

const RUN_MS = 3 * REAUTH_MS;
const FRAMES_PER_SECOND = 2000;
const PCAP_HEADER_BYTES = 24;
/** A dozen processes start at the same time. */
const START_LIMIT_MS = 45_000;
/** Shorter than a run, and no multiple of a session. */
const CREDENTIAL_SECONDS = 5;

const cluster = await sharedSecureCluster();
const env = cluster.realm.environment();
let runs = 0;
const loggedBefore = statSync(cluster.brokerLogFile).size;

/**
 * Publishes at a steady pace for several sessions while two consumers, one in a group, read: each
 * frame arrives at each of them once and in order.
 */
async function runThroughSessions(properties: Properties): Promise<void> {
  runs++;
  const topic = randomTopicName("pcap");
  await createTopic(cluster.bootstrap.PLAINTEXT, topic);
  const frames = (RUN_MS / 1000) * FRAMES_PER_SECOND;
  const capture = numberedCapture(frames);
  const live = (more: Properties): string[] => [
    ...consumerLine({ ...properties, ...more }, topic).filter((flag) => flag !== "-e"),
    "-m",
    String(frames),
  ];
  const alone = startPcapts(live({}), { env });
  const member = startPcapts(live({ "group.id": randomTopicName("pcap-group") }), { env });
  const producer = startPcapts(producerLine(properties, topic), { env });
  await writeSteadily(producer, capture);
  const produced = succeed(await producer.ended);
  const { acknowledged, captured } = readLedger(produced.stderr);
  assert.deepEqual({ acknowledged, captured }, { acknowledged: frames, captured: frames });
  for (const consumer of [alone, member]) {
    const { stdout } = succeed(await consumer.ended);
    assert.equal(stdout.length, capture.length);
    assert.ok(stdout.equals(capture), "byte for byte");
  }
}

/** Writes a capture to a producer's standard input: its header, then frames at a steady pace. */
async function writeSteadily(producer: RunningProcess, capture: Buffer): Promise<void> {
  const { stdin } = producer.child;
  const piecesPerSecond = 20;
  const pieceBytes = ((capture.length - PCAP_HEADER_BYTES) / RUN_MS) * (1000 / piecesPerSecond);
  stdin.write(capture.subarray(0, PCAP_HEADER_BYTES));
  await producer.says(/Starting packet capture/, START_LIMIT_MS);
  let written = PCAP_HEADER_BYTES;
  for await (const _ of setInterval(1000 / piecesPerSecond)) {
    stdin.write(capture.subarray(written, (written += pieceBytes)));
    if (written >= capture.length) break;
  }
  stdin.end();
}

describe("sessions that end every few seconds", { concurrency: 4 }, () => {
  for (const mechanism of MECHANISMS) {
    test(`no frame is lost or doubled, producer and consumers, with ${mechanism}`, async () => {
      await runThroughSessions(saslProperties(cluster, "REAUTH", mechanism));
    });
  }

  test("tickets that live for seconds are got anew from the keytab", async () => {
    const user = randomTopicName("brief");
    const principal = cluster.realm.addPrincipal(user, {
      ticketLifetimeSeconds: CREDENTIAL_SECONDS,
    });
    const everything = {
      principal: user,
      name: "pcap-",
      operation: "ALL",
      prefixed: true,
    } as const;
    await grant(
      cluster.bootstrap.PLAINTEXT,
      { ...everything, resource: "topic" },
      { ...everything, resource: "group" },
    );
    await runThroughSessions({
      ...saslProperties(cluster, "REAUTH", "GSSAPI"),
      "sasl.kerberos.keytab": cluster.realm.keytab(user),
      "sasl.kerberos.principal": principal,
    });
  });
});

test("connections log in again before the broker closes them", () => {
  const log = readFileSync(cluster.brokerLogFile)
    .subarray(loggedBefore)
    .toString()
    .split("\n")
    .filter((line) => line.includes("-REAUTH-"));
  const again = log.filter((line) => line.includes("Successfully re-authenticated"));
  const closed = log.filter((line) => line.includes("Disconnecting expired channel"));
  // Each run is of three processes, which see the end of a session at least twice.
  assert.ok(
    runs >= MECHANISMS.length && again.length >= runs * 3 * 2,
    `${again.length} further logins`,
  );
  // A machine that has no time to spare is late now and then, and loses no frame by it.
  assert.ok(closed.length * 10 < again.length, closed.join("\n"));
});
