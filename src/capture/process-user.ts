/** A user of the system. */
export interface ProcessUser {
  readonly name: string;
  readonly uid: number;
  /** Of its first group; the others are looked up by name. */
  readonly gid: number;
}

/** The part of `process` that says and changes whose it is; on Windows it has nothing of it. */
export interface OwnedProcess {
  geteuid?(): number;
  initgroups?(user: string, gid: number): void;
  setgid?(gid: number): void;
  setuid?(uid: number): void;
}

/**
 * Changes a process of root's to another user, for good: all groups, the group, the user, in this
 * order, because only root may do the first two. All capabilities go with root.
 *
 * @param owned this process
 * @returns false when there is nothing to give up: it is not root's, or the user is root
 * @throws Error what the operating system says
 */
export function becomeUser(owned: OwnedProcess, { name, uid, gid }: ProcessUser): boolean {
  if (owned.geteuid?.() !== 0 || uid === 0) return false;
  owned.initgroups?.(name, gid);
  owned.setgid?.(gid);
  owned.setuid?.(uid);
  return true;
}
