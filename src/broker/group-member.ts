import { KAFKA_ERROR_CODE } from "../kafka-wire/error-codes.ts";

/** What a member joins with. */
export interface JoinRequest {
  readonly memberId: string;
  /** Of a static member. */
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly protocolType: string;
  /** Ways of assigning, the favourite first. */
  readonly protocols: readonly { readonly name: string; readonly metadata: Buffer }[];
  /** Calls back when the connection is lost. @returns how to end that */
  readonly onGone: (gone: () => void) => () => void;
}

/** What a member is answered when it joins. */
export interface JoinAnswer {
  readonly errorCode: number;
  readonly generationId: number;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly leaderId: string;
  readonly memberId: string;
  /** For the leader alone. */
  readonly members: readonly {
    readonly memberId: string;
    readonly groupInstanceId: string | null;
    readonly metadata: Buffer;
  }[];
}

/** What a member is answered when it asks for its assignment. */
export interface SyncAnswer {
  readonly errorCode: number;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly assignment: Buffer;
}

const NO_BYTES = Buffer.alloc(0);

/** One member of a group, with the answers it waits for and the timer that gives it up. */
export class GroupMember {
  readonly id: string;
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  sessionTimeoutMs: number;
  rebalanceTimeoutMs: number;
  protocols: readonly { readonly name: string; readonly metadata: Buffer }[];
  assignment: Buffer = NO_BYTES;
  #join: ((answer: JoinAnswer) => void) | undefined;
  #sync: ((answer: SyncAnswer) => void) | undefined;
  #forgetGone: () => void = () => {};
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;
  readonly #expire: () => void;

  /** @param expire called when nothing was heard for the session time-out */
  constructor(id: string, request: JoinRequest, expire: () => void) {
    this.id = id;
    this.instanceId = request.instanceId;
    this.clientId = request.clientId;
    this.clientHost = request.clientHost;
    this.sessionTimeoutMs = request.sessionTimeoutMs;
    this.rebalanceTimeoutMs = request.rebalanceTimeoutMs;
    this.protocols = copyOf(request.protocols);
    this.#expire = expire;
  }

  /** It waits for the others to join. */
  get isJoining(): boolean {
    return this.#join !== undefined;
  }

  /** It waits for its assignment. */
  get isSyncing(): boolean {
    return this.#sync !== undefined;
  }

  knows(protocol: string): boolean {
    return this.protocols.some(({ name }) => name === protocol);
  }

  /** What it said for a way of assigning. */
  metadataFor(protocol: string | null): Buffer {
    return this.protocols.find(({ name }) => name === protocol)?.metadata ?? NO_BYTES;
  }

  hasSameProtocols({ protocols }: JoinRequest): boolean {
    return (
      protocols.length === this.protocols.length &&
      protocols.every(({ name, metadata }, index) => {
        const mine = this.protocols[index]!;
        return mine.name === name && mine.metadata.equals(metadata);
      })
    );
  }

  /** Begins to wait for the others; who waits is not given up, unless its connection is lost. */
  awaitJoin(request: JoinRequest): Promise<JoinAnswer> {
    this.protocols = copyOf(request.protocols);
    this.sessionTimeoutMs = request.sessionTimeoutMs;
    this.rebalanceTimeoutMs = request.rebalanceTimeoutMs;
    // It asked again, so it no longer waits for the first answer.
    this.answerJoin(NOBODY);
    clearTimeout(this.#timer);
    return new Promise((resolve) => {
      this.#join = resolve;
      this.#forgetGone = request.onGone(() => {
        this.#join = undefined;
        this.keepAlive();
        // Nobody reads it; the request's memory is given back.
        resolve(NOBODY);
      });
    });
  }

  answerJoin(answer: JoinAnswer): void {
    const join = this.#join;
    if (join === undefined) return;
    this.#join = undefined;
    this.#forgetGone();
    this.keepAlive();
    join(answer);
  }

  awaitSync(): Promise<SyncAnswer> {
    this.answerSync(undefined, "REBALANCE_IN_PROGRESS");
    return new Promise((resolve) => {
      this.#sync = resolve;
    });
  }

  /** @param reason instead of an answer */
  answerSync(
    answer: SyncAnswer | undefined,
    reason:
      | "REBALANCE_IN_PROGRESS"
      | "UNKNOWN_MEMBER_ID"
      | "FENCED_INSTANCE_ID" = "REBALANCE_IN_PROGRESS",
  ): void {
    const sync = this.#sync;
    if (sync === undefined) return;
    this.#sync = undefined;
    this.keepAlive();
    sync(
      answer ?? {
        errorCode: KAFKA_ERROR_CODE[reason],
        protocolType: null,
        protocolName: null,
        assignment: NO_BYTES,
      },
    );
  }

  /** Something was heard of it. */
  keepAlive(): void {
    clearTimeout(this.#timer);
    if (!this.#isStopped) this.#timer = setTimeout(this.#expire, this.sessionTimeoutMs);
  }

  /** It is no member any more. */
  stop(): void {
    this.#forgetGone();
    clearTimeout(this.#timer);
    this.#isStopped = true;
  }
}

const NOBODY: JoinAnswer = {
  errorCode: KAFKA_ERROR_CODE.UNKNOWN_MEMBER_ID,
  generationId: -1,
  protocolType: null,
  protocolName: null,
  leaderId: "",
  memberId: "",
  members: [],
};

/** A copy: the request's memory is used again. */
function copyOf(
  protocols: JoinRequest["protocols"],
): readonly { readonly name: string; readonly metadata: Buffer }[] {
  return protocols.map(({ name, metadata }) => ({ name, metadata: Buffer.from(metadata) }));
}
