import type { AcknowledgedBatch, ClientObserver } from "../kafka/client-observer.ts";
import type { KafkaClientOptions } from "../kafka/client-options.ts";
import { RecordSender } from "../kafka/record-sender.ts";
import { prepareTopic } from "../kafka/topic.ts";
import type { Transport } from "../kafka/transport.ts";
import type { Logger } from "../logger.ts";
import { CaptureLedger } from "./capture-ledger.ts";
import type { ProduceSummary } from "./pipeline-options.ts";

/** What a {@link LedgerTopic} is opened with. */
export interface LedgerTopicSetup {
  readonly transport: Transport;
  readonly client: KafkaClientOptions;
  /** The ledger's topic, which is created with one partition if it is missing. */
  readonly ledgerTopic: string;
  readonly intervalMs: number;
  readonly sensor: string;
  readonly source: string;
  /** Where the frames go. */
  readonly topic: string;
  readonly summary: () => ProduceSummary;
  readonly logger: Logger;
}

/** The books of a run in a topic of their own. */
export class LedgerTopic {
  readonly #name: string;
  readonly #logger: Logger;
  readonly #sender: RecordSender;
  readonly #books: CaptureLedger;

  private constructor(setup: LedgerTopicSetup, leaders: readonly number[]) {
    const { transport, client, ledgerTopic, logger } = setup;
    this.#name = ledgerTopic;
    this.#logger = logger;
    this.#sender = new RecordSender({ transport, topic: ledgerTopic, leaders, client, logger });
    this.#books = new CaptureLedger({
      ...setup,
      send: (record) => this.#sender.send(record),
      wallClock: Date.now,
    });
  }

  /**
   * Makes the topic ready and writes the first record.
   *
   * @throws as `prepareTopic`
   */
  static async open(setup: LedgerTopicSetup, signal: AbortSignal): Promise<LedgerTopic> {
    const { transport, ledgerTopic, client, logger } = setup;
    const { leaders } = await prepareTopic(transport, ledgerTopic, 1, client, logger, signal);
    return new LedgerTopic(setup, leaders);
  }

  /** Notes where the frames of a batch are. */
  acknowledged({ partition, baseOffset, recordCount }: AcknowledgedBatch): void {
    this.#books.acknowledged(partition, baseOffset, recordCount);
  }

  /** Tells another observer all, and keeps what the books need. */
  beside(other: ClientObserver | undefined): ClientObserver {
    return {
      produceAnswered: (tookMs) => other?.produceAnswered(tookMs),
      batchAcknowledged: (batch) => {
        this.acknowledged(batch);
        other?.batchAcknowledged(batch);
      },
      batchesReturned: (count) => other?.batchesReturned(count),
      fetchAnswered: (tookMs, bytes) => other?.fetchAnswered(tookMs, bytes),
    };
  }

  /**
   * Writes the last record and waits until all are in the topic.
   *
   * @param failure why the run ended, if it was not asked to
   */
  async end(failure: string | undefined, timeoutMs: number): Promise<void> {
    this.#books.end(failure);
    const left = await this.#sender.drain(timeoutMs);
    if (left === 0) return;
    this.#logger.warn(
      `'${left}' record(s) of the ledger did not reach topic "${this.#name}": an audit will miss them`,
    );
  }
}
