/** Disks that fail: a file system that is full, and one whose calls return errors. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { projectRoot } from "../brokers.ts";

/** A small file system of its own, in memory; it takes root to mount it. */
export class SmallDisk {
  readonly path: string;

  constructor(bytes: number) {
    this.path = mkdtempSync(path.join(tmpdir(), "pcapts-disk-"));
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", this.path]);
  }

  /** Makes room, or takes it. */
  resize(bytes: number): void {
    execFileSync("mount", ["-o", `remount,size=${bytes}`, this.path]);
  }

  remove(): void {
    // Lazily: files are closed a moment after whoever had them says so.
    execFileSync("umount", ["-l", this.path]);
    rmSync(this.path, { recursive: true });
  }
}

/** What fails on a {@link FaultyDisk}. */
export type DiskFault = "write EIO" | "write ENOSPC" | "sync EIO" | "read EIO";

/** A folder whose files fail when they are told to, for programs that are started with `env`. */
export class FaultyDisk {
  readonly path: string;
  /** Of the programs. */
  readonly env: NodeJS.ProcessEnv;
  readonly #root: string;
  readonly #switch: string;

  constructor() {
    this.#root = mkdtempSync(path.join(tmpdir(), "pcapts-faulty-"));
    this.path = path.join(this.#root, "files");
    this.#switch = path.join(this.#root, "fault");
    mkdirSync(this.path);
    const library = path.join(this.#root, "faulty-disk.so");
    const source = path.join(projectRoot, "test/disk/faulty-disk.c");
    execFileSync("gcc", ["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, source]);
    this.env = {
      LD_PRELOAD: library,
      DISK_FAULT_PATH: `${this.path}/`,
      DISK_FAULT_SWITCH: this.#switch,
      // Calls that never pass through the C library would not fail.
      UV_USE_IO_URING: "0",
    };
  }

  /** From now on. */
  fail(fault: DiskFault): void {
    writeFileSync(this.#switch, fault);
  }

  mend(): void {
    rmSync(this.#switch, { force: true });
  }

  remove(): void {
    rmSync(this.#root, { recursive: true, force: true });
  }
}
