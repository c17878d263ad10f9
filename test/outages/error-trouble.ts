import assert from "node:assert/strict";
import type { BrokerFaults, RequestFault } from "../../src/broker/faults.ts";
import { KAFKA_ERROR_CODE, KAFKA_ERRORS } from "../../src/kafka-wire/error-codes.ts";
import { readRecordBatchHeader } from "../../src/kafka-wire/record-batch-reader.ts";
import type { Transport } from "../../src/kafka/transport.ts";
import { eventually } from "../integration/pcapts-process.ts";
import { type FaultyBroker, readTopic } from "../kafka/faulty-broker.ts";
import { randomFrom } from "../kafka/numbered-frames.ts";
import { publisherSetup, SMALL_BATCHES } from "../kafka/publisher-setup.ts";
import type { RoundResult } from "./round-result.ts";
import { SteadyPublish } from "./steady-publish.ts";

/** Errors that may pass. Their batch may be in the log all the same. */
export const PASSING_ERRORS: readonly { readonly code: number; readonly name: string }[] =
  Object.entries(KAFKA_ERRORS)
    .filter(([code, { retriable }]) => retriable || Number(code) === -1)
    .map(([code, { name }]) => ({ code: Number(code), name }));

const TOO_LARGE = KAFKA_ERROR_CODE.MESSAGE_TOO_LARGE;

/** The broker has forgotten the producer, or the batch is divided; nothing is appended. */
const REFUSALS = [
  KAFKA_ERROR_CODE.OUT_OF_ORDER_SEQUENCE_NUMBER,
  KAFKA_ERROR_CODE.UNKNOWN_PRODUCER_ID,
  KAFKA_ERROR_CODE.INVALID_PRODUCER_EPOCH,
  TOO_LARGE,
  KAFKA_ERROR_CODE.INVALID_RECORD,
  KAFKA_ERROR_CODE.INVALID_TIMESTAMP,
];

/** Refused with the record that is to blame, which is lost. */
const OF_A_RECORD: ReadonlySet<number> = new Set([
  KAFKA_ERROR_CODE.INVALID_RECORD,
  KAFKA_ERROR_CODE.INVALID_TIMESTAMP,
]);

const REQUEST_FAULTS: readonly RequestFault[] = [
  { drop: "before" },
  { drop: "after" },
  { drop: "half-answered" },
  { throttleMs: 20 },
  { delayMs: 30 },
];

/** What goes wrong at present, and how often it is still to happen. */
interface Fault {
  left: number;
  /** Records that it has cost. */
  lost: number;
  readonly hooks: BrokerFaults;
}

/**
 * One round of all that the embedded broker can have go wrong, each error code
 * included, in an order and so often as `seed` has it.
 */
export async function publishThroughErrors(
  broker: FaultyBroker,
  transport: Transport,
  seed: number,
): Promise<RoundResult> {
  const random = randomFrom(seed);
  broker.faults = {};
  const topic = await broker.newTopic(transport, 1 + Math.floor(random() * 4));
  const steady = await SteadyPublish.begin(
    publisherSetup(transport, topic, { options: { ...SMALL_BATCHES, messageTimeoutMs: 0 } }),
    1 + Math.floor(random() * 60),
    1,
  );
  let faults = 0;
  let lost = 0;
  const troubles = shuffled([...PASSING_ERRORS, ...REFUSALS, ...REQUEST_FAULTS], random);
  for (const trouble of troubles) {
    const fault = faultOf(trouble, 1 + Math.floor(random() * 3), random() < 0.5);
    faults += fault.left;
    broker.faults = fault.hooks;
    await eventually(JSON.stringify(trouble), () => fault.left <= 0, 60_000);
    broker.faults = {};
    lost += fault.lost;
    // A batch that is in the log is never refused by a broker.
    await steady.settles();
  }
  const what = `seed ${seed}`;
  const read = () => readTopic(transport, topic);
  const result = await steady.end(read, { what, faults, mayLose: true });
  assert.equal(result.lost, lost, what);
  return result;
}

function faultOf(
  trouble: { code: number } | number | RequestFault,
  times: number,
  isAppended: boolean,
): Fault {
  const fault: { left: number; lost: number; hooks: BrokerFaults } = {
    left: times,
    lost: 0,
    hooks: {},
  };
  if (typeof trouble === "number") {
    fault.hooks = {
      onBatch: ({ bytes }) => {
        if (fault.left-- <= 0) return undefined;
        const isOfRecord = OF_A_RECORD.has(trouble);
        const { recordCount } = readRecordBatchHeader(bytes, 0, bytes.length, false)!;
        // Halves of a batch go on, one record alone does not.
        if (isOfRecord || (trouble === TOO_LARGE && recordCount === 1)) fault.lost++;
        return { errorCode: trouble, isAppended: false, ...(isOfRecord && { records: [0] }) };
      },
    };
  } else if ("code" in trouble) {
    const { code: errorCode } = trouble;
    fault.hooks = { onBatch: () => (fault.left-- > 0 ? { errorCode, isAppended } : undefined) };
  } else {
    fault.hooks = {
      onRequest: ({ api }) => (api === "Produce" && fault.left-- > 0 ? trouble : undefined),
    };
  }
  return fault;
}

function shuffled<T>(list: T[], random: () => number): T[] {
  for (let last = list.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [list[last], list[other]] = [list[other]!, list[last]!];
  }
  return list;
}
