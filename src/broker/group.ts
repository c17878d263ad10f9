import { randomUUID } from "node:crypto";
import { KAFKA_ERROR_CODE } from "../kafka-wire/error-codes.ts";
import { BrokerError } from "./broker-error.ts";
import { GroupMember, type JoinAnswer, type JoinRequest, type SyncAnswer } from "./group-member.ts";

/** Where a group is; Kafka's names. */
export type GroupState = "Empty" | "PreparingRebalance" | "CompletingRebalance" | "Stable";

/** What a member proves itself with. */
export interface MemberClaim {
  readonly generationId: number;
  readonly memberId: string;
  readonly instanceId: string | null;
}

/** Members of one group, and those that were given an id and have not come back. */
const MOST_MEMBERS = 1000;

/**
 * One group, by the rules of Kafka's classic protocol (GroupCoordinator):
 *
 * ```
 *           a member joins            all have joined, or time is up
 *   Empty ───────────────► Preparing ───────────────────────────────► Completing
 *     ▲                    Rebalance ◄──────────┐                     Rebalance
 *     │ the last has gone      │                │ someone joins,         │ the leader
 *     └────────────────────────┘                │ leaves or is lost      ▼ has assigned
 *                                               └───────────────────── Stable
 * ```
 */
export class Group {
  readonly id: string;
  state: GroupState = "Empty";
  generationId = 0;
  protocolType = "";
  protocolName: string | null = null;
  leaderId = "";
  readonly members = new Map<string, GroupMember>();
  /** Ids that were given out, with the timers that take them back. */
  readonly #pending = new Map<string, NodeJS.Timeout>();
  #rebalanceTimer: NodeJS.Timeout | undefined;

  constructor(id: string) {
    this.id = id;
  }

  get isEmpty(): boolean {
    return this.members.size === 0 && this.#pending.size === 0;
  }

  /**
   * Joins; resolves when the others have, too.
   *
   * @param request of a member, new or known
   * @param idRequired a new member first gets an id, with which it comes back (KIP-394)
   * @throws BrokerError
   */
  join(request: JoinRequest, idRequired: boolean): JoinAnswer | Promise<JoinAnswer> {
    this.#checkProtocols(request);
    const { memberId, instanceId } = request;
    const known =
      instanceId === null
        ? undefined
        : [...this.members.values()].find((member) => member.instanceId === instanceId);
    if (memberId === "") {
      if (known !== undefined) return this.#replace(known, request);
      if (this.members.size + this.#pending.size >= MOST_MEMBERS) {
        throw new BrokerError("GROUP_MAX_SIZE_REACHED", `The group has ${MOST_MEMBERS} members`);
      }
      const newId = `${instanceId ?? request.clientId}-${randomUUID()}`;
      if (!idRequired || instanceId !== null) return this.#add(newId, request);
      const timer = setTimeout(() => {
        this.#pending.delete(newId);
        this.#completeIfAllJoined();
      }, request.sessionTimeoutMs);
      this.#pending.set(newId, timer);
      return refusal("MEMBER_ID_REQUIRED", newId);
    }
    if (known !== undefined && known.id !== memberId) {
      return refusal("FENCED_INSTANCE_ID", memberId);
    }
    if (this.#pending.has(memberId)) {
      clearTimeout(this.#pending.get(memberId));
      this.#pending.delete(memberId);
      return this.#add(memberId, request);
    }
    const member = this.members.get(memberId);
    if (member === undefined) return refusal("UNKNOWN_MEMBER_ID", memberId);
    return this.#rejoin(member, request);
  }

  /** One kind of group, and a way of assigning that all know. */
  #checkProtocols({ protocolType, protocols, memberId }: JoinRequest): void {
    const others = [...this.members.values()].filter((member) => member.id !== memberId);
    const common = protocols.some(({ name }) => others.every((member) => member.knows(name)));
    if (protocolType !== "" && common) {
      if (others.length === 0 || this.protocolType === protocolType) return;
    }
    throw new BrokerError(
      "INCONSISTENT_GROUP_PROTOCOL",
      "The group's members assign in other ways than this one",
    );
  }

  #add(id: string, request: JoinRequest): Promise<JoinAnswer> {
    const member = new GroupMember(id, request, () => this.#expire(id));
    this.members.set(id, member);
    this.protocolType = request.protocolType;
    if (this.leaderId === "") this.leaderId = id;
    const answer = member.awaitJoin(request);
    this.#prepareRebalance();
    return answer;
  }

  /** A static member that was started again takes its old place (KIP-345). */
  #replace(old: GroupMember, request: JoinRequest): JoinAnswer | Promise<JoinAnswer> {
    const id = `${old.instanceId}-${randomUUID()}`;
    const member = new GroupMember(id, request, () => this.#expire(id));
    member.assignment = old.assignment;
    const unchanged = old.hasSameProtocols(request);
    old.answerJoin(refusal("FENCED_INSTANCE_ID", old.id));
    old.answerSync(undefined, "FENCED_INSTANCE_ID");
    old.stop();
    this.members.delete(old.id);
    this.members.set(id, member);
    const wasLeader = this.leaderId === old.id;
    if (wasLeader) this.leaderId = id;
    if (this.state !== "Stable" || !unchanged) {
      const answer = member.awaitJoin(request);
      this.#prepareRebalance();
      return answer;
    }
    member.keepAlive();
    const answer = this.#currentAnswer(member);
    // Told that another leads, it asks for its assignment instead of making a new one.
    return wasLeader ? { ...answer, leaderId: old.id, members: [] } : answer;
  }

  #rejoin(member: GroupMember, request: JoinRequest): JoinAnswer | Promise<JoinAnswer> {
    const unchanged = member.hasSameProtocols(request);
    const mayStay =
      (this.state === "CompletingRebalance" && unchanged) ||
      (this.state === "Stable" && unchanged && member.id !== this.leaderId);
    if (mayStay) {
      member.keepAlive();
      return this.#currentAnswer(member);
    }
    const answer = member.awaitJoin(request);
    if (this.state === "PreparingRebalance") this.#completeIfAllJoined();
    else this.#prepareRebalance();
    return answer;
  }

  #currentAnswer(member: GroupMember): JoinAnswer {
    const isLeader = member.id === this.leaderId;
    return {
      errorCode: 0,
      generationId: this.generationId,
      protocolType: this.protocolType,
      protocolName: this.protocolName,
      leaderId: this.leaderId,
      memberId: member.id,
      members: isLeader
        ? [...this.members.values()].map((each) => ({
            memberId: each.id,
            groupInstanceId: each.instanceId,
            metadata: each.metadataFor(this.protocolName),
          }))
        : [],
    };
  }

  #prepareRebalance(): void {
    if (this.state !== "PreparingRebalance") {
      this.state = "PreparingRebalance";
      for (const member of this.members.values()) {
        member.answerSync(undefined, "REBALANCE_IN_PROGRESS");
      }
      clearTimeout(this.#rebalanceTimer);
      this.#rebalanceTimer = setTimeout(() => this.#completeJoin(), this.#rebalanceTimeoutMs());
    }
    this.#completeIfAllJoined();
  }

  #rebalanceTimeoutMs(): number {
    return Math.max(0, ...[...this.members.values()].map((member) => member.rebalanceTimeoutMs));
  }

  #completeIfAllJoined(): void {
    if (this.state !== "PreparingRebalance" || this.#pending.size > 0) return;
    if ([...this.members.values()].every((member) => member.isJoining)) this.#completeJoin();
  }

  #completeJoin(): void {
    clearTimeout(this.#rebalanceTimer);
    for (const member of this.members.values()) {
      if (member.isJoining || member.instanceId !== null) continue;
      member.stop();
      this.members.delete(member.id);
    }
    this.generationId++;
    const joining = [...this.members.values()].filter((member) => member.isJoining);
    if (joining.length === 0) {
      this.#becomeEmpty();
      return;
    }
    if (!joining.some(({ id }) => id === this.leaderId)) this.leaderId = joining[0]!.id;
    this.protocolName = chooseProtocol([...this.members.values()]);
    this.state = "CompletingRebalance";
    for (const member of joining) {
      member.assignment = Buffer.alloc(0);
      member.answerJoin(this.#currentAnswer(member));
    }
    this.#rebalanceTimer = setTimeout(() => this.#dropUnsynced(), this.#rebalanceTimeoutMs());
  }

  #becomeEmpty(): void {
    for (const member of this.members.values()) member.stop();
    this.members.clear();
    this.state = "Empty";
    this.protocolName = null;
    this.leaderId = "";
  }

  /** Who joined and never asked for its assignment would hold up the others for ever. */
  #dropUnsynced(): void {
    if (this.state !== "CompletingRebalance") return;
    for (const member of this.members.values()) {
      if (!member.isSyncing) this.#drop(member);
    }
    this.#prepareRebalance();
  }

  /**
   * Asks for the assignment; the leader brings everybody's.
   *
   * @throws BrokerError
   */
  sync(
    claim: MemberClaim,
    assignments: readonly { readonly memberId: string; readonly assignment: Buffer }[],
  ): SyncAnswer | Promise<SyncAnswer> {
    const member = this.#check(claim);
    if (this.state === "PreparingRebalance") throw rebalancing();
    member.keepAlive();
    if (this.state === "Stable") return this.#syncAnswer(member);
    const answer = member.awaitSync();
    if (member.id !== this.leaderId) return answer;
    const byMember = new Map(assignments.map((each) => [each.memberId, each.assignment]));
    clearTimeout(this.#rebalanceTimer);
    this.state = "Stable";
    for (const each of this.members.values()) {
      // A copy: the request's memory is used again.
      each.assignment = Buffer.from(byMember.get(each.id) ?? Buffer.alloc(0));
      each.answerSync(this.#syncAnswer(each));
    }
    return answer;
  }

  #syncAnswer(member: GroupMember): SyncAnswer {
    return {
      errorCode: 0,
      protocolType: this.protocolType,
      protocolName: this.protocolName,
      assignment: member.assignment,
    };
  }

  /** @throws BrokerError REBALANCE_IN_PROGRESS: the member is to join again */
  heartbeat(claim: MemberClaim): void {
    this.#check(claim).keepAlive();
    if (this.state === "PreparingRebalance") throw rebalancing();
  }

  /** Whether a commit is the member's to make. @throws BrokerError */
  checkCommit(claim: MemberClaim): void {
    if (claim.generationId < 0 && claim.memberId === "" && this.members.size === 0) return;
    const member = this.#check(claim);
    if (this.state === "CompletingRebalance") throw rebalancing();
    member.keepAlive();
  }

  /** @throws BrokerError UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID */
  leave(memberId: string, instanceId: string | null): void {
    if (this.#pending.has(memberId)) {
      clearTimeout(this.#pending.get(memberId));
      this.#pending.delete(memberId);
      this.#completeIfAllJoined();
      return;
    }
    const member =
      instanceId === null
        ? this.members.get(memberId)
        : [...this.members.values()].find((each) => each.instanceId === instanceId);
    if (member === undefined) throw unknownMember(memberId);
    if (instanceId !== null && memberId !== "" && member.id !== memberId) {
      throw new BrokerError("FENCED_INSTANCE_ID", `"${instanceId}" is another member now`);
    }
    this.#drop(member);
    this.#prepareRebalance();
  }

  #check({ generationId, memberId, instanceId }: MemberClaim): GroupMember {
    const member = this.members.get(memberId);
    if (instanceId !== null && member?.instanceId !== instanceId) {
      const isKnown = [...this.members.values()].some((each) => each.instanceId === instanceId);
      if (isKnown) throw new BrokerError("FENCED_INSTANCE_ID", `"${instanceId}" was replaced`);
    }
    if (member === undefined) throw unknownMember(memberId);
    if (generationId !== this.generationId) {
      throw new BrokerError(
        "ILLEGAL_GENERATION",
        `The group is at generation ${this.generationId}, not ${generationId}`,
      );
    }
    return member;
  }

  #expire(id: string): void {
    const member = this.members.get(id);
    // Who waits for the others is there; its time-out is that of the rebalance.
    if (member === undefined || member.isJoining || member.isSyncing) return;
    this.#drop(member);
    this.#prepareRebalance();
  }

  #drop(member: GroupMember): void {
    member.stop();
    this.members.delete(member.id);
    member.answerJoin(refusal("UNKNOWN_MEMBER_ID", member.id));
    member.answerSync(undefined, "UNKNOWN_MEMBER_ID");
  }

  /** Ends all waiting and all timers. */
  close(): void {
    clearTimeout(this.#rebalanceTimer);
    for (const timer of this.#pending.values()) clearTimeout(timer);
    this.#pending.clear();
    for (const member of this.members.values()) this.#drop(member);
  }
}

/** The way of assigning that most members like best, of those that all know. */
function chooseProtocol(members: readonly GroupMember[]): string {
  const votes = new Map<string, number>();
  for (const member of members) {
    const favourite = member.protocols.find(({ name }) =>
      members.every((each) => each.knows(name)),
    );
    const name = favourite?.name ?? "";
    votes.set(name, (votes.get(name) ?? 0) + 1);
  }
  return [...votes].toSorted(([, a], [, b]) => b - a)[0]![0];
}

function refusal(
  reason: "MEMBER_ID_REQUIRED" | "UNKNOWN_MEMBER_ID" | "FENCED_INSTANCE_ID",
  memberId: string,
): JoinAnswer {
  return {
    errorCode: KAFKA_ERROR_CODE[reason],
    generationId: -1,
    protocolType: null,
    protocolName: null,
    leaderId: "",
    memberId,
    members: [],
  };
}

function unknownMember(memberId: string): BrokerError {
  return new BrokerError("UNKNOWN_MEMBER_ID", `"${memberId}" is no member of the group`);
}

function rebalancing(): BrokerError {
  return new BrokerError("REBALANCE_IN_PROGRESS", "The group is rebalancing");
}
