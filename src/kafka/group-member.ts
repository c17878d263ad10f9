import { setTimeout as sleep } from "node:timers/promises";
import { PcaptsError } from "../errors.ts";
import type { EncodedRequest } from "../kafka-wire/api.ts";
import {
  encodeOffsetCommit,
  encodeOffsetFetch,
  type OffsetAndMetadata,
} from "../kafka-wire/committed-offsets.ts";
import {
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from "../kafka-wire/consumer-protocol.ts";
import { KAFKA_ERROR_CODE } from "../kafka-wire/error-codes.ts";
import { encodeFindCoordinator } from "../kafka-wire/find-coordinator.ts";
import { encodeHeartbeat, encodeLeaveGroup } from "../kafka-wire/heartbeat.ts";
import type { GroupMembership } from "../kafka-wire/heartbeat.ts";
import { encodeJoinGroup } from "../kafka-wire/join-group.ts";
import type { JoinGroupResponse } from "../kafka-wire/join-group.ts";
import { encodeSyncGroup } from "../kafka-wire/sync-group.ts";
import type { Logger } from "../logger.ts";
import { abortable } from "./abortable.ts";
import { assignPartitions } from "./assignors.ts";
import { BackOff } from "../back-off.ts";
import type { BrokerConnection } from "./broker-connection.ts";
import type { GroupOptions } from "./client-options.ts";
import { ConnectionError } from "./connection-error.ts";
import { Outage } from "./outage.ts";
import { persistently } from "./persistently.ts";
import type { Persistence } from "./persistently.ts";
import { isCoordinatorError, MembershipError, throwGroupError } from "./group-errors.ts";
import type { Transport } from "./transport.ts";

export type { OffsetAndMetadata } from "../kafka-wire/committed-offsets.ts";

/** What a group has committed of a topic, by partition. */
export type CommittedOffsets = ReadonlyMap<number, OffsetAndMetadata>;

/** What a {@link GroupMember} works with. */
export interface GroupMemberSetup {
  readonly transport: Transport;
  readonly topic: string;
  readonly group: GroupOptions;
  readonly client: Persistence;
  readonly logger: Logger;
}

/**
 * One member of a consumer group: joins, tells the coordinator that it is
 * there, learns when the group changes, commits.
 *
 * ```
 *   join ──► assigned ── heartbeat says that the group changes ──► isRevoked
 *    ▲                                                                │
 *    └──── the caller stops reading, commits what was written, joins ─┘
 * ```
 *
 * The caller decides when to join again, so everything that was written is
 * committed under the old generation first. A commit never goes out under a
 * generation whose partitions it does not belong to: it would take another
 * member's position back.
 */
export class GroupMember {
  readonly #setup: GroupMemberSetup;
  #membership: GroupMembership;
  #coordinatorId = -1;
  #isRevoked = false;
  #isLost = false;
  #wasMember = false;
  #hasSteppedDown = false;
  #heartbeats: AbortController | undefined;
  #onRevoked: () => void = () => {};
  readonly #backOff: BackOff;

  constructor(setup: GroupMemberSetup) {
    this.#setup = setup;
    this.#membership = { groupId: setup.group.groupId, generationId: -1, memberId: "" };
    this.#backOff = new BackOff(setup.client.retryBackoffMs, setup.client.retryBackoffMaxMs);
  }

  /** True when the partitions have to be given up: stop reading, commit, join again. */
  get isRevoked(): boolean {
    return this.#isRevoked;
  }

  /** True when this member has left by {@link stepDown} and not joined again. */
  get hasSteppedDown(): boolean {
    return this.#hasSteppedDown;
  }

  /** True when they are another member's already, or soon will be: what is written now comes twice. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /**
   * Joins the group, or joins again; resolves when every member has.
   *
   * @param onRevoked called once, when the partitions have to be given up
   * @returns the partitions of the topic that this member reads
   * @throws BROKER_UNREACHABLE when it never was a member and `connectTimeoutMs` is over;
   *   AUTHORIZATION_FAILED, BROKER_PROTOCOL; the signal's reason when it is aborted
   */
  async join(signal: AbortSignal, onRevoked: () => void): Promise<readonly number[]> {
    const { group, client, logger } = this.#setup;
    this.#heartbeats?.abort();
    const deadline = this.#wasMember ? Infinity : performance.now() + client.connectTimeoutMs;
    const outage = new Outage(`join group "${group.groupId}"`, logger);
    for (;;) {
      try {
        const partitions = await abortable(this.#joinAndSync(), signal);
        this.#wasMember = true;
        this.#isRevoked = false;
        this.#isLost = false;
        this.#hasSteppedDown = false;
        this.#onRevoked = onRevoked;
        this.#backOff.reset();
        outage.ended();
        this.#heartbeats = new AbortController();
        void this.#keepAlive(this.#heartbeats.signal);
        return partitions;
      } catch (error) {
        if (!(error instanceof MembershipError || error instanceof ConnectionError)) throw error;
        logger.debug(`group: ${error.message}, joining again`);
        this.#forget(error);
        if (error instanceof ConnectionError) {
          outage.failed(error.message);
          if (performance.now() > deadline) {
            throw new PcaptsError(
              "BROKER_UNREACHABLE",
              `Cannot join group "${group.groupId}": ${error.message}; gave up after ${client.connectTimeoutMs / 1000} s (--connect-timeout)`,
              { cause: error },
            );
          }
        }
        await sleep(this.#backOff.nextDelayMs(), undefined, { signal });
      }
    }
  }

  async #joinAndSync(): Promise<readonly number[]> {
    const { topic, group, logger } = this.#setup;
    const joined = await this.#joinGroup();
    this.#membership = {
      groupId: group.groupId,
      generationId: joined.generationId,
      memberId: joined.memberId,
    };
    const assignments =
      joined.leaderId === joined.memberId ? await this.#assign(joined) : new Map<string, Buffer>();
    const { errorCode, assignment } = await this.#ask(
      (version) => encodeSyncGroup(version, this.#membership, assignments),
      "SyncGroup",
    );
    this.#check(errorCode);
    const partitions = decodeAssignment(assignment).get(topic) ?? [];
    logger.info(
      `Group "${group.groupId}", generation ${joined.generationId}: this member reads ` +
        (partitions.length === 0 ? "no partition" : `partition(s) ${partitions.join(", ")}`),
    );
    return partitions;
  }

  async #joinGroup(): Promise<JoinGroupResponse> {
    const { topic, group } = this.#setup;
    const metadata = encodeSubscription([topic]);
    const request = {
      ...group,
      protocols: group.assignors.map((name) => ({ name, metadata })),
    };
    for (;;) {
      const { memberId } = this.#membership;
      const joined = await this.#ask(
        (version) => encodeJoinGroup(version, { ...request, memberId }),
        "JoinGroup",
      );
      // KIP-394: the first answer only gives an id.
      if (joined.errorCode !== KAFKA_ERROR_CODE.MEMBER_ID_REQUIRED) {
        this.#check(joined.errorCode);
        return joined;
      }
      // Kept at once: a stop leaves the group under it.
      this.#membership = { ...this.#membership, memberId: joined.memberId };
    }
  }

  /** As the group's leader: what every member gets. */
  async #assign({ members, protocolName }: JoinGroupResponse): Promise<Map<string, Buffer>> {
    const { transport, group } = this.#setup;
    const subscribers = members.map(({ memberId, metadata }) => ({
      memberId,
      topics: decodeSubscription(metadata),
    }));
    const counts = new Map<string, number>();
    for (const topic of new Set(subscribers.flatMap(({ topics }) => topics))) {
      const found = await transport.lookUpTopic(topic);
      if ("leaders" in found) counts.set(topic, found.leaders.length);
    }
    const assignor = group.assignors.find((name) => name === protocolName) ?? "range";
    const assignment = assignPartitions(assignor, subscribers, counts);
    return new Map(
      [...assignment].map(([memberId, topics]) => [memberId, encodeAssignment(topics)]),
    );
  }

  /**
   * Heartbeats until the membership ends: also while the group changes, because what is written until this
   * member joins again can only be committed while it is one.
   */
  async #keepAlive(signal: AbortSignal): Promise<void> {
    const { group, logger } = this.#setup;
    let lastAnswerMs = performance.now();
    while (!signal.aborted) {
      try {
        await sleep(group.heartbeatIntervalMs, undefined, { signal, ref: false });
        const errorCode = await this.#ask(
          (version) => encodeHeartbeat(version, this.#membership),
          "Heartbeat",
        );
        if (signal.aborted) return;
        this.#check(errorCode);
        lastAnswerMs = performance.now();
      } catch (error) {
        if (signal.aborted) return;
        if (isRebalance(error)) {
          lastAnswerMs = performance.now();
          this.#revoke(error);
          continue;
        }
        // What is refused for good, such as a right that was taken away, joining again tells.
        const isOut =
          error instanceof MembershipError ||
          error instanceof PcaptsError ||
          performance.now() - lastAnswerMs > group.sessionTimeoutMs;
        if (!isOut) {
          logger.debug(`group: heartbeat: ${(error as Error).message}`);
          this.#coordinatorId = -1;
          continue;
        }
        this.#forget(error);
        this.#isLost = true;
        this.#revoke(error);
        return;
      }
    }
  }

  #revoke(reason: unknown): void {
    if (this.#isRevoked) return;
    this.#setup.logger.debug(`group: partitions are given up: ${(reason as Error).message}`);
    this.#isRevoked = true;
    this.#onRevoked();
  }

  /**
   * Offsets that the group has committed.
   *
   * @returns partitions without one are left out
   * @throws BROKER_UNREACHABLE after `connectTimeoutMs`; the signal's reason when it is aborted
   */
  async committed(partitions: readonly number[], signal: AbortSignal): Promise<CommittedOffsets> {
    const { topic, group, client } = this.#setup;
    const committed = new Map<number, OffsetAndMetadata>();
    if (partitions.length === 0) return committed;
    const offsets = await persistently(
      `read the offsets of group "${group.groupId}"`,
      client,
      signal,
      async () => {
        const answer = await this.#ask(
          (version) => encodeOffsetFetch(version, group.groupId, topic, partitions),
          "OffsetFetch",
        );
        this.#check(answer.errorCode);
        return answer.offsets;
      },
    );
    for (const { partition, offset, metadata, errorCode: partitionError } of offsets) {
      this.#check(partitionError);
      if (offset >= 0n) committed.set(partition, { offset, metadata });
    }
    return committed;
  }

  /**
   * Commits under the generation that the offsets were read in.
   *
   * @param offsets next offset to read of partitions of the present assignment, all or none of which
   *   are committed, each with its metadata
   * @returns false when the generation is over, or the coordinator did not answer
   */
  async commit(offsets: CommittedOffsets): Promise<boolean> {
    if (offsets.size === 0) return true;
    const { topic } = this.#setup;
    const membership = this.#membership;
    // Without a name it would be a commit of a group that has no members.
    if (membership.memberId === "") return false;
    try {
      const answers = await this.#askPatiently(
        (version) => encodeOffsetCommit(version, membership, topic, offsets),
        "OffsetCommit",
        (partitions) => partitions.find(({ errorCode }) => errorCode !== 0)?.errorCode ?? 0,
      );
      for (const { errorCode } of answers) this.#check(errorCode);
      return true;
    } catch (error) {
      if (!(error instanceof MembershipError || error instanceof ConnectionError)) throw error;
      this.#setup.logger.debug(`group: commit: ${error.message}`);
      return false;
    }
  }

  /** Leaves the group, so that its partitions go to the others at once. */
  async leave(): Promise<void> {
    this.#heartbeats?.abort();
    const membership = this.#membership;
    if (membership.memberId === "" || this.#coordinatorId < 0) return;
    try {
      // A join that is under way holds the connection for requests.
      const connection = await this.#setup.transport.connectionTo(this.#coordinatorId, "fetch");
      await connection.send(encodeLeaveGroup(connection.versionOf("LeaveGroup"), membership));
    } catch (error) {
      this.#setup.logger.debug(`group: leave: ${(error as Error).message}`);
    }
  }

  /**
   * Leaves the group until it is joined again. What was not committed before cannot be any more.
   *
   * @param reason for those who look at the log
   */
  async stepDown(reason: string): Promise<void> {
    this.#hasSteppedDown = true;
    const leaving = this.leave();
    this.#membership = { ...this.#membership, generationId: -1, memberId: "" };
    this.#revoke(new Error(reason));
    await leaving;
  }

  /** Asks the coordinator again while it is loading, moving or out of reach. */
  async #askPatiently<Response>(
    encode: (version: number) => EncodedRequest<Response>,
    api: EncodedRequest<Response>["api"],
    errorCodeOf: (response: Response) => number,
  ): Promise<Response> {
    for (let attempt = 1; ; attempt++) {
      try {
        const response = await this.#ask(encode, api);
        if (!isCoordinatorError(errorCodeOf(response)) || attempt === 10) return response;
        this.#coordinatorId = -1;
      } catch (error) {
        if (!(error instanceof ConnectionError) || attempt === 10) throw error;
        this.#coordinatorId = -1;
      }
      await sleep(this.#backOff.nextDelayMs());
    }
  }

  async #ask<Response>(
    encode: (version: number) => EncodedRequest<Response>,
    api: EncodedRequest<Response>["api"],
  ): Promise<Response> {
    const connection = await this.#coordinator();
    return connection.send(encode(connection.versionOf(api)));
  }

  async #coordinator(): Promise<BrokerConnection> {
    const { transport, group } = this.#setup;
    if (this.#coordinatorId < 0) {
      const any = await transport.connectionToController();
      const { errorCode, nodeId } = await any.send(
        encodeFindCoordinator(any.versionOf("FindCoordinator"), group.groupId),
      );
      this.#check(errorCode);
      this.#coordinatorId = nodeId;
    }
    try {
      return await transport.connectionTo(this.#coordinatorId, "requests");
    } catch (error) {
      this.#coordinatorId = -1;
      throw error;
    }
  }

  /** @throws MembershipError, ConnectionError (ask again), PcaptsError (final) */
  #check(errorCode: number): void {
    if (isCoordinatorError(errorCode)) this.#coordinatorId = -1;
    const { group, topic, transport } = this.#setup;
    throwGroupError(errorCode, group.groupId, topic, transport.principal);
  }

  #forget(error: unknown): void {
    if (!(error instanceof MembershipError)) {
      this.#coordinatorId = -1;
      return;
    }
    if (error.errorCode === KAFKA_ERROR_CODE.UNKNOWN_MEMBER_ID) {
      this.#membership = { ...this.#membership, memberId: "" };
    }
  }
}

/** The group changes, and whoever is a member may commit until it joins again. */
function isRebalance(error: unknown): boolean {
  return (
    error instanceof MembershipError && error.errorCode === KAFKA_ERROR_CODE.REBALANCE_IN_PROGRESS
  );
}
