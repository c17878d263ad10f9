import type { Logger } from "../logger.ts";
import { BrokerError } from "./broker-error.ts";
import { Group, type MemberClaim } from "./group.ts";
import type { GroupOffsets, OffsetEntry } from "./group-offsets.ts";

/** Groups that have members, or whose ids were given out; offsets alone need none. */
const MOST_GROUPS = 10_000;

/** What is told of a group without its members. */
export interface GroupListing {
  readonly groupId: string;
  readonly protocolType: string;
  readonly state: string;
}

/** All groups of a broker, which is the coordinator of each. */
export class GroupCoordinator {
  readonly offsets: GroupOffsets;
  readonly #groups = new Map<string, Group>();
  readonly #logger: Logger;
  #isClosed = false;

  constructor(offsets: GroupOffsets, logger: Logger) {
    this.offsets = offsets;
    this.#logger = logger;
  }

  /**
   * The group with an id, made when there is none.
   *
   * @throws BrokerError INVALID_GROUP_ID, COORDINATOR_NOT_AVAILABLE
   */
  open(id: string): Group {
    // The timers of a member that joins now would keep the process from ending.
    if (this.#isClosed) {
      throw new BrokerError("COORDINATOR_NOT_AVAILABLE", "The broker is closing");
    }
    if (id === "") throw new BrokerError("INVALID_GROUP_ID", "A group has a name");
    let group = this.#groups.get(id);
    if (group === undefined) {
      this.#dropEmpty();
      if (this.#groups.size >= MOST_GROUPS) {
        throw new BrokerError("COORDINATOR_NOT_AVAILABLE", `There are ${MOST_GROUPS} groups`);
      }
      group = new Group(id);
      this.#groups.set(id, group);
    }
    return group;
  }

  /**
   * The group that somebody says to be a member of.
   *
   * @throws BrokerError UNKNOWN_MEMBER_ID
   */
  known(id: string, memberId: string): Group {
    const group = this.#groups.get(id);
    if (group !== undefined) return group;
    throw new BrokerError("UNKNOWN_MEMBER_ID", `"${memberId}" is no member of group "${id}"`);
  }

  #dropEmpty(): void {
    if (this.#groups.size < MOST_GROUPS) return;
    for (const [id, group] of this.#groups) if (group.isEmpty) this.#groups.delete(id);
  }

  /** @returns undefined when nobody joined it since the broker was started */
  find(id: string): Group | undefined {
    return this.#groups.get(id);
  }

  /** Whether the group has members or offsets. */
  exists(id: string): boolean {
    return this.#groups.has(id) || this.offsets.list(id).length > 0;
  }

  /** All groups that have members or offsets. */
  list(): GroupListing[] {
    const ids = new Set([...this.#groups.keys(), ...this.offsets.groups()]);
    return [...ids].map((groupId) => {
      const group = this.#groups.get(groupId);
      return {
        groupId,
        protocolType: group?.protocolType ?? "",
        state: group?.state ?? "Empty",
      };
    });
  }

  /**
   * Writes what a member committed, or anybody for a group without members.
   *
   * @throws BrokerError
   */
  async commit(id: string, claim: MemberClaim, entries: readonly OffsetEntry[]): Promise<void> {
    const group = this.#groups.get(id);
    if (group !== undefined) group.checkCommit(claim);
    else if (claim.memberId !== "" || claim.generationId >= 0) {
      throw new BrokerError("UNKNOWN_MEMBER_ID", `"${claim.memberId}" is no member of the group`);
    }
    try {
      await this.offsets.commit(id, entries);
    } catch (error) {
      this.#logger.warn(`Cannot write offsets of group "${id}": ${String(error)}`);
      throw new BrokerError("COORDINATOR_NOT_AVAILABLE", String(error), { cause: error });
    }
  }

  /**
   * Forgets a group.
   *
   * @throws BrokerError NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND
   */
  async delete(id: string): Promise<void> {
    if (!this.exists(id)) throw new BrokerError("GROUP_ID_NOT_FOUND", `There is no group "${id}"`);
    if (this.#groups.get(id)?.isEmpty === false) {
      throw new BrokerError("NON_EMPTY_GROUP", `Group "${id}" has members`);
    }
    this.#groups.delete(id);
    await this.offsets.deleteGroup(id);
  }

  /** Answers everybody who waits; nobody joins any more. */
  close(): void {
    this.#isClosed = true;
    for (const group of this.#groups.values()) group.close();
  }
}
