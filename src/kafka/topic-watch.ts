import { PcaptsError } from "../errors.ts";
import { KAFKA_ERROR_CODE, kafkaErrorInfo } from "../kafka-wire/error-codes.ts";
import type { Logger } from "../logger.ts";
import { isAuthorizationError } from "./authorization-error.ts";
import { topicRefused } from "./topic.ts";
import type { TopicLookup, Transport } from "./transport.ts";

/** A broker may not have heard of all partitions of a new topic yet; what lasts this long is meant. */
const BELIEVED_AFTER_MS = 5000;

/** What was found: who leads, or why nobody can be asked to write at the moment. */
export type TopicFinding =
  | { readonly leaders: readonly number[] }
  | {
      readonly reason: string;
      /** The topic is gone: should it come back, it is another one. */
      readonly isMissing: boolean;
    };

/**
 * Asks who leads the partitions of a topic while frames are published to it,
 * and notices that it is not what it was when the run began: deleted, created
 * anew with fewer partitions, or with more.
 */
export class TopicWatch {
  readonly #name: string;
  readonly #partitionCount: number;
  readonly #transport: Pick<Transport, "lookUpTopic" | "principal">;
  readonly #logger: Logger;
  #fewerSinceMs: number | undefined;
  #isGrowthTold = false;

  /** @param partitionCount of the topic when the run began; it is fixed then */
  constructor(
    name: string,
    partitionCount: number,
    transport: Pick<Transport, "lookUpTopic" | "principal">,
    logger: Logger,
  ) {
    this.#name = name;
    this.#partitionCount = partitionCount;
    this.#transport = transport;
    this.#logger = logger;
  }

  /**
   * Asks once.
   *
   * @param exceptNode a broker that does not answer is not the one to ask
   * @throws ConnectionError; AUTHORIZATION_FAILED; TOPIC_UNSUITABLE when it has fewer partitions for good
   */
  async look(exceptNode?: number): Promise<TopicFinding> {
    return this.#judge(await this.#transport.lookUpTopic(this.#name, exceptNode));
  }

  #judge(found: TopicLookup): TopicFinding {
    if (!("leaders" in found)) {
      const { errorCode } = found;
      if (isAuthorizationError(errorCode)) {
        throw topicRefused(this.#name, errorCode, this.#transport.principal);
      }
      const isMissing = errorCode === KAFKA_ERROR_CODE.UNKNOWN_TOPIC_OR_PARTITION;
      const reason = isMissing
        ? "the topic does not exist any more; it is waited for until somebody creates it"
        : kafkaErrorInfo(errorCode).name;
      return { reason, isMissing };
    }
    const count = found.leaders.length;
    if (count < this.#partitionCount) return this.#judgeFewer(count);
    this.#fewerSinceMs = undefined;
    if (count > this.#partitionCount && !this.#isGrowthTold) {
      this.#isGrowthTold = true;
      this.#logger.info(
        `Topic "${this.#name}" has ${count} partitions now: this run began with ${this.#partitionCount} and stays ` +
          "with them, the next one uses all",
      );
    }
    return found;
  }

  #judgeFewer(count: number): TopicFinding {
    const nowMs = performance.now();
    this.#fewerSinceMs ??= nowMs;
    const reason = `it has ${count} partition(s), this run began with ${this.#partitionCount}`;
    if (nowMs - this.#fewerSinceMs < BELIEVED_AFTER_MS) return { reason, isMissing: false };
    throw new PcaptsError(
      "TOPIC_UNSUITABLE",
      `Cannot go on with topic "${this.#name}": ${reason}, so it was created anew; ` +
        "start again to publish to what it is now",
    );
  }
}
