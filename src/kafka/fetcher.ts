import { setTimeout as sleep } from "node:timers/promises";
import { PcaptsError } from "../errors.ts";
import { KAFKA_ERROR_CODE, kafkaErrorInfo } from "../kafka-wire/error-codes.ts";
import { encodeFetch } from "../kafka-wire/fetch.ts";
import type { FetchedPartition, FetchPosition, FetchResponse } from "../kafka-wire/fetch.ts";
import { readFetchedHeader } from "../kafka-wire/fetched-records.ts";
import { RecordBatchError } from "../kafka-wire/record-batch-reader.ts";
import type { Logger } from "../logger.ts";
import { authorizationError, isAuthorizationError } from "./authorization-error.ts";
import { BackOff } from "../back-off.ts";
import type { BrokerConnection } from "./broker-connection.ts";
import type { FetcherOptions, KafkaClientOptions } from "./client-options.ts";
import type { ClientObserver } from "./client-observer.ts";
import { ConnectionError } from "./connection-error.ts";
import { FrameDecoder } from "./frame-decoder.ts";
import type { CaptureRange, FetchedChunk } from "./frame-decoder.ts";
import { listOffsets } from "./offsets.ts";
import type { OffsetSpan } from "./offset-spans.ts";
import { Outage } from "./outage.ts";
import type { Transport } from "./transport.ts";

/** Responses of one broker that may wait to be dealt with while the next is asked for. */
const RESPONSES_AHEAD = 1;

/**
 * Largest answer to ask for, whatever `fetch.max.bytes` says: with one in use,
 * one waiting and one under way, a broker costs three of them.
 */
const LARGEST_ANSWER_BYTES = 16 * 1024 * 1024;

/** What a {@link Fetcher} reads. */
export interface FetcherSetup {
  readonly transport: Transport;
  readonly topic: string;
  readonly leaders: readonly number[];
  /** First offset to read, by partition; partitions without one are not read. */
  readonly start: ReadonlyMap<number, bigint>;
  /** Offset to stop at, by partition; undefined reads on for ever. */
  readonly until: ReadonlyMap<number, bigint> | undefined;
  readonly options: FetcherOptions;
  readonly client: Pick<KafkaClientOptions, "retryBackoffMs" | "retryBackoffMaxMs">;
  readonly nanosecond: boolean;
  readonly withOffsets: boolean;
  readonly logger: Logger;
  readonly onForeignRecord: (partition: number, offset: bigint, reason: string) => void;
  /** Records that were dealt with before, by partition: they are left out. */
  readonly done?: ReadonlyMap<number, readonly OffsetSpan[]> | undefined;
  /** Only frames captured in this range; a partition ends when it has nothing more of it. */
  readonly range?: CaptureRange | undefined;
  /** Called when records are met whose timestamps are not their capture times, and `range` ends. */
  readonly onPublishTimes?: (() => void) | undefined;
  readonly observer?: ClientObserver | undefined;
  /** Called each time the end of a partition is reached. */
  readonly onEndOfPartition?: (partition: number, offset: bigint) => void;
}

interface Response {
  readonly nodeId: number;
  readonly connection: BrokerConnection;
  readonly answer: FetchResponse;
  /** Offsets that were asked for. */
  readonly from: ReadonlyMap<number, bigint>;
}

/**
 * Reads partitions without a consumer group: one fetch at a time from each
 * broker that leads some, the next one under way while the frames of the last
 * are dealt with. Commits nothing.
 */
export class Fetcher {
  readonly #setup: FetcherSetup;
  readonly #decoder: FrameDecoder;
  #missed = 0;
  /** Next offset to ask for. */
  readonly #positions: Map<number, bigint>;
  #leaders: readonly number[];
  readonly #active = new Set<number>();
  readonly #ready: Response[] = [];
  readonly #waitingOf = new Map<number, number>();
  #stopped = false;
  #failure: unknown;
  #wakers: (() => void)[] = [];
  #refreshing: Promise<void> | undefined;
  readonly #backOff: BackOff;
  readonly #outage: Outage;
  readonly #atEnd = new Set<number>();
  readonly #paused = new Set<number>();
  /** Offset behind what was handed over, and the end as it was last seen, by partition. */
  readonly #progress = new Map<number, { position: bigint; end: bigint | undefined }>();
  /** Answers about a partition that are not dealt with. */
  readonly #undelivered = new Map<number, number>();
  #until: ReadonlyMap<number, bigint> | undefined;

  constructor(setup: FetcherSetup) {
    this.#setup = setup;
    this.#decoder = new FrameDecoder({
      nanosecond: setup.nanosecond,
      readCommitted: setup.options.isolation === "read_committed",
      withOffsets: setup.withOffsets,
      onForeignRecord: setup.onForeignRecord,
      range: setup.range,
      done: setup.done,
      onPublishTimes: setup.onPublishTimes,
    });
    this.#positions = new Map(setup.start);
    this.#until = setup.until;
    this.#leaders = setup.leaders;
    this.#outage = new Outage(`read topic "${setup.topic}"`, setup.logger);
    this.#backOff = new BackOff(setup.client.retryBackoffMs, setup.client.retryBackoffMaxMs);
    for (const [partition, position] of setup.start) {
      this.#progress.set(partition, { position, end: undefined });
      this.#finishIfAtEnd(partition);
    }
  }

  /**
   * Frames, partition by partition as they arrive; a chunk without frames only moves the
   * position. Each chunk's bytes are valid
   * until the next is asked for.
   *
   * @throws PcaptsError when reading cannot go on
   */
  async *chunks(): AsyncGenerator<FetchedChunk, void, void> {
    this.#startLoops();
    for (;;) {
      const response = await this.#nextResponse();
      if (response === undefined) return;
      for (const fetched of response.answer.partitions) {
        const from = response.from.get(fetched.partition)!;
        let nextOffset: bigint | undefined;
        for await (const chunk of this.#decode(response, fetched)) {
          ({ nextOffset } = chunk);
          this.#progressOf(fetched.partition).position = nextOffset;
          if (chunk.isPast === true) this.#positions.delete(fetched.partition);
          yield chunk;
          if (chunk.failure !== undefined)
            throw this.#unreadable(fetched.partition, nextOffset, chunk.failure);
          if (this.#stopped) break;
        }
        this.#undelivered.set(fetched.partition, this.#undelivered.get(fetched.partition)! - 1);
        if (nextOffset !== undefined) this.#noteEnd(fetched, from, nextOffset);
        if (this.#stopped) return;
      }
      response.connection.giveBack(response.answer.bytes);
      this.#waitingOf.set(response.nodeId, this.#waitingOf.get(response.nodeId)! - 1);
      this.#wake();
    }
  }

  /** True when there is nothing to stop at. */
  get readsForever(): boolean {
    return this.#until === undefined && this.#setup.range?.toMicros === undefined;
  }

  /** Frames left out because they were captured outside of `range`. */
  get outOfRange(): number {
    return this.#decoder.outOfRange;
  }

  /** Records that were deleted before they were read. */
  get missed(): number {
    return this.#missed;
  }

  /** How many records are behind what was handed over, by partition; undefined before the first answer. */
  lag(): ReadonlyMap<number, number | undefined> {
    return new Map(
      [...this.#progress].map(([partition, { position, end }]) => [
        partition,
        end === undefined ? undefined : Math.max(0, Number(end - position)),
      ]),
    );
  }

  /**
   * True when nothing more comes of a partition.
   *
   * @param position behind what came of it
   */
  isFinished(partition: number, position: bigint): boolean {
    const end = this.#until?.get(partition);
    if (end !== undefined && position >= end) return true;
    return !this.#positions.has(partition) && (this.#undelivered.get(partition) ?? 0) === 0;
  }

  /** The offset to stop at of a partition; undefined reads on for ever. */
  endOf(partition: number): bigint | undefined {
    return this.#until?.get(partition);
  }

  /** True when all that was there of a partition when it was last asked for was handed over. */
  isAtEnd(partition: number): boolean {
    return this.#atEnd.has(partition) && (this.#undelivered.get(partition) ?? 0) === 0;
  }

  /** Asks for no more of a partition until it is resumed; what is on its way still comes. */
  pause(partition: number): void {
    this.#paused.add(partition);
  }

  /** Asks for a partition again. */
  resume(partition: number): void {
    if (this.#paused.delete(partition)) this.#wake();
  }

  /** Stops at these offsets from now on. */
  endAt(until: ReadonlyMap<number, bigint>): void {
    this.#until = until;
    for (const partition of this.#positions.keys()) this.#finishIfAtEnd(partition);
    this.#wake();
  }

  /** Ends `chunks()`; safe repeatedly. */
  stop(): void {
    this.#stopped = true;
    this.#wake();
  }

  async *#decode(
    response: Response,
    fetched: FetchedPartition,
  ): AsyncGenerator<FetchedChunk, void, void> {
    const { partition, errorCode } = fetched;
    if (errorCode !== KAFKA_ERROR_CODE.NONE) return;
    const until = this.#until?.get(partition);
    let from = response.from.get(partition)!;
    try {
      for await (const chunk of this.#decoder.decode(response.answer.bytes, fetched, from, until)) {
        from = chunk.nextOffset;
        yield chunk;
      }
    } catch (error) {
      if (error instanceof RecordBatchError || error instanceof RangeError) {
        throw this.#unreadable(partition, from, error);
      }
      throw error;
    }
  }

  #unreadable(partition: number, offset: bigint, cause: Error): PcaptsError {
    return new PcaptsError(
      "RECORD_BATCH_INVALID",
      `Cannot read topic "${this.#setup.topic}", partition ${partition}, from offset ${offset}: ${cause.message}`,
      { cause },
    );
  }

  async #nextResponse(): Promise<Response | undefined> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#stopped) return undefined;
      const response = this.#ready.shift();
      if (response !== undefined) return response;
      if (this.#positions.size === 0 && this.#active.size === 0) return undefined;
      await this.#nextChange();
    }
  }

  #startLoops(): void {
    for (const partition of this.#positions.keys()) {
      const nodeId = this.#leaders[partition] ?? -1;
      if (nodeId < 0) {
        void this.#refreshLeaders();
        continue;
      }
      if (this.#active.has(nodeId)) continue;
      this.#active.add(nodeId);
      this.#waitingOf.set(nodeId, this.#waitingOf.get(nodeId) ?? 0);
      void this.#readFrom(nodeId)
        .catch((error: unknown) => {
          this.#failure ??= error;
        })
        .finally(() => {
          this.#active.delete(nodeId);
          this.#wake();
        });
    }
  }

  /** Fetches from one broker until it leads nothing more that is to be read. */
  async #readFrom(nodeId: number): Promise<void> {
    for (let turn = 0; !this.#stopped && this.#failure === undefined; turn++) {
      if (this.#waitingOf.get(nodeId)! > RESPONSES_AHEAD) {
        await this.#nextChange();
        continue;
      }
      const positions = this.#positionsOf(nodeId, turn);
      if (positions.length === 0) {
        if (![...this.#paused].some((partition) => this.#isReadFrom(nodeId, partition))) return;
        await this.#nextChange();
        continue;
      }
      let connection: BrokerConnection;
      let answer: FetchResponse;
      try {
        connection = await this.#setup.transport.connectionTo(nodeId, "fetch");
        answer = await this.#fetch(connection, positions);
      } catch (error) {
        if (!(error instanceof ConnectionError) || this.#stopped) throw error;
        this.#setup.logger.debug(`fetching: ${error.message}, trying again`);
        this.#outage.failed(error.message);
        await this.#refreshLeaders();
        continue;
      }
      const from = new Map(positions.map(({ partition, offset }) => [partition, offset]));
      const stale = await this.#advance(answer, from);
      if (answer.partitions.some((fetched) => this.#isOfInterest(fetched))) {
        this.#waitingOf.set(nodeId, this.#waitingOf.get(nodeId)! + 1);
        this.#ready.push({ nodeId, connection, answer, from });
        for (const { partition } of answer.partitions) {
          this.#undelivered.set(partition, (this.#undelivered.get(partition) ?? 0) + 1);
        }
      }
      this.#wake();
      if (stale) await this.#refreshLeaders();
      else {
        this.#backOff.reset();
        this.#outage.ended();
      }
    }
  }

  /** The broker gives the first partition at least one whole batch, so each must come first at times (KIP-74). */
  #positionsOf(nodeId: number, turn: number): FetchPosition[] {
    const positions: FetchPosition[] = [];
    for (const [partition, offset] of this.#positions) {
      if (this.#leaders[partition] !== nodeId || this.#paused.has(partition)) continue;
      positions.push({ partition, offset });
    }
    const first = positions.length === 0 ? 0 : turn % positions.length;
    return [...positions.slice(first), ...positions.slice(0, first)];
  }

  #isReadFrom(nodeId: number, partition: number): boolean {
    return this.#leaders[partition] === nodeId && this.#positions.has(partition);
  }

  async #fetch(
    connection: BrokerConnection,
    positions: readonly FetchPosition[],
  ): Promise<FetchResponse> {
    const { topic, options, observer } = this.#setup;
    const sentMs = performance.now();
    const answer = await connection.send(
      encodeFetch(connection.versionOf("Fetch"), topic, positions, {
        ...options,
        maxBytes: Math.min(options.maxBytes, LARGEST_ANSWER_BYTES),
        readCommitted: options.isolation === "read_committed",
      }),
    );
    observer?.fetchAnswered(performance.now() - sentMs, answer.bytes.length);
    return answer;
  }

  /**
   * Moves the positions behind what was fetched.
   *
   * @returns true when somebody else may lead a partition by now
   */
  async #advance(answer: FetchResponse, from: ReadonlyMap<number, bigint>): Promise<boolean> {
    let stale = answer.errorCode !== KAFKA_ERROR_CODE.NONE;
    for (const fetched of answer.partitions) {
      const { partition, errorCode, recordsStart, recordsEnd } = fetched;
      const offset = from.get(partition);
      if (offset === undefined || !this.#positions.has(partition)) continue;
      if (errorCode === KAFKA_ERROR_CODE.NONE) {
        this.#progressOf(partition).end =
          this.#setup.options.isolation === "read_committed"
            ? fetched.lastStableOffset
            : fetched.highWatermark;
        const next = nextOffsetOf(answer.bytes, recordsStart, recordsEnd) ?? offset;
        this.#positions.set(partition, next);
        this.#finishIfAtEnd(partition);
      } else if (errorCode === KAFKA_ERROR_CODE.OFFSET_OUT_OF_RANGE) {
        stale = (await this.#resetPosition(partition, offset)) || stale;
      } else {
        this.#throwIfFinal(partition, errorCode);
        stale = true;
      }
    }
    return stale;
  }

  #progressOf(partition: number): { position: bigint; end: bigint | undefined } {
    return this.#progress.get(partition)!;
  }

  #throwIfFinal(partition: number, errorCode: number): void {
    const { topic, transport } = this.#setup;
    const { name, retriable } = kafkaErrorInfo(errorCode);
    if (retriable) return;
    if (isAuthorizationError(errorCode)) {
      throw authorizationError(
        {
          action: `read topic "${topic}"`,
          operation: "Read",
          resource: "topic",
          resourceName: topic,
        },
        errorCode,
        transport.principal,
      );
    }
    throw new PcaptsError(
      "BROKER_PROTOCOL",
      `Cannot read topic "${topic}", partition ${partition}: ${name}`,
    );
  }

  /**
   * What was to be read is deleted already, or is not there (any more).
   *
   * @returns true when the leader could not say where to go on
   */
  async #resetPosition(partition: number, offset: bigint): Promise<boolean> {
    const { transport, topic, options, logger } = this.#setup;
    const request = {
      topic,
      leaders: this.#leaders,
      partitions: [partition],
      readCommitted: options.isolation === "read_committed",
    };
    let earliest: bigint;
    let latest: bigint;
    try {
      earliest = (await listOffsets(transport, { ...request, at: "begin" })).get(partition)!;
      latest = (await listOffsets(transport, { ...request, at: "end" })).get(partition)!;
    } catch (error) {
      if (error instanceof ConnectionError) return true;
      throw error;
    }
    const next = offset < earliest ? earliest : latest;
    if (next === offset) return false;
    logger.warn(
      offset < earliest
        ? `Topic "${topic}", partition ${partition}: records ${offset} to ${earliest - 1n} were deleted before they were read; going on at ${next}`
        : `Topic "${topic}", partition ${partition}: offset ${offset} is behind the end, was the topic made anew?; going on at ${next}`,
    );
    if (offset < earliest) this.#missed += Number(earliest - offset);
    this.#positions.set(partition, next);
    this.#finishIfAtEnd(partition);
    return false;
  }

  /** Holds records, or is the first to say that there are none. */
  #isOfInterest({ partition, recordsStart, recordsEnd }: FetchedPartition): boolean {
    return recordsEnd > recordsStart || !this.#atEnd.has(partition);
  }

  /** Called when the frames before `next` are dealt with. */
  #noteEnd(fetched: FetchedPartition, from: bigint, next: bigint): void {
    const { options, onEndOfPartition } = this.#setup;
    const { partition, lastStableOffset, highWatermark } = fetched;
    const end = options.isolation === "read_committed" ? lastStableOffset : highWatermark;
    if (next > from) this.#atEnd.delete(partition);
    if (next < end || this.#atEnd.has(partition)) return;
    this.#atEnd.add(partition);
    onEndOfPartition?.(partition, next);
  }

  #finishIfAtEnd(partition: number): void {
    const end = this.#until?.get(partition);
    if (end !== undefined && this.#positions.get(partition)! >= end) {
      this.#positions.delete(partition);
    }
  }

  async #refreshLeaders(): Promise<void> {
    this.#refreshing ??= this.#lookUpLeaders().finally(() => {
      this.#refreshing = undefined;
      // Not before: it asks again for a partition that still has no leader.
      if (!this.#stopped && this.#failure === undefined) this.#startLoops();
    });
    await this.#refreshing;
  }

  async #lookUpLeaders(): Promise<void> {
    await sleep(this.#backOff.nextDelayMs());
    if (this.#stopped) return;
    try {
      const found = await this.#setup.transport.lookUpTopic(this.#setup.topic);
      if ("leaders" in found) this.#leaders = found.leaders;
      else this.#throwIfFinal(-1, found.errorCode);
    } catch (error) {
      if (!(error instanceof ConnectionError)) {
        this.#failure ??= error;
        this.#wake();
      }
    }
  }

  #nextChange(): Promise<void> {
    return new Promise((resolve) => this.#wakers.push(resolve));
  }

  #wake(): void {
    const wakers = this.#wakers;
    this.#wakers = [];
    for (const wake of wakers) wake();
  }
}

/** Offset behind the last whole batch, undefined when there is none. */
function nextOffsetOf(bytes: Buffer, start: number, end: number): bigint | undefined {
  let next: bigint | undefined;
  for (let at = start; at < end;) {
    let header;
    try {
      header = readFetchedHeader(bytes, at, end, false);
    } catch {
      return next; // The decoder says what is wrong with it.
    }
    if (header === undefined) return next;
    next = header.baseOffset + BigInt(header.lastOffsetDelta) + 1n;
    at = header.recordsEnd;
  }
  return next;
}
