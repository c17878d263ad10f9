/**
 * What goes wrong on purpose, for tests of clients: each hook may say nothing,
 * and then nothing happens. There is no way to these from the command line.
 */
export interface BrokerFaults {
  /** Sees each request before it is dealt with. */
  onRequest?(request: FaultyRequest): RequestFault | undefined;
  /** Sees each batch that is produced, before the log does. */
  onBatch?(batch: FaultyBatch): BatchFault | undefined;
  /** True: clients are told that nobody leads this partition. */
  isLeaderless?(topic: string, partition: number): boolean;
  /** True: connections are closed as soon as they are made. */
  refuseConnections?(): boolean;
}

/** A request as {@link BrokerFaults.onRequest} sees it. */
export interface FaultyRequest {
  /** "Produce" */
  readonly api: string;
  readonly version: number;
  /** From 1, counted for each API. */
  readonly number: number;
  readonly clientId: string;
}

/** What to do to a request. */
export interface RequestFault {
  /** Wait before it is dealt with. */
  readonly delayMs?: number;
  /** It is dealt with when this resolves. */
  readonly until?: Promise<unknown>;
  /** Answer with this error, for everything that was asked, and do nothing. */
  readonly errorCode?: number;
  /** Close the connection: before the request is dealt with, after that, or in the middle of the answer. */
  readonly drop?: "before" | "after" | "half-answered";
  /** Tell the client that it is throttled, where answers can. */
  readonly throttleMs?: number;
}

/** A batch as {@link BrokerFaults.onBatch} sees it. */
export interface FaultyBatch {
  readonly topic: string;
  readonly partition: number;
  /** Good until the call returns. */
  readonly bytes: Buffer;
}

/** What to do to a batch. */
export interface BatchFault {
  readonly errorCode: number;
  /** It is in the log all the same, as when only the answer is wrong. */
  readonly isAppended: boolean;
  /** Records that are refused, by their place in the batch. */
  readonly records?: readonly number[];
}

/** Nothing goes wrong. */
export const NO_FAULTS: BrokerFaults = {};
