import { readdir } from "node:fs/promises";
import path from "node:path";
import { PcaptsError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { readFirstTime } from "./first-time.ts";
import { compareOrder, compressedNames, type FolderFile, uncompressedName } from "./folder-file.ts";
import { FolderWatch } from "./folder-watch.ts";
import { beginsWith } from "./growing-file.ts";
import { describeReadError } from "./read-error.ts";
import { compareSeen, identifyFile, isGone, seeFile, type SeenFile } from "./seen-file.ts";

/** So many names of files that are gone are remembered, should they come back compressed. */
const REMEMBERED = 1000;

/** Told by a {@link CaptureFolder}. */
export interface FolderListener {
  /** A file waits that was not there before. */
  readonly onFile: () => void;
  /** A file that is open was written to; without one, any of them may have been. */
  readonly onGrowth: (file?: FolderFile) => void;
}

/**
 * What is in a folder into which files are rotated: knows each by its inode, so that it is read once,
 * whatever it is called meanwhile; and who is next.
 */
export class CaptureFolder {
  readonly directory: string;
  readonly #logger: Logger;
  readonly #listener: FolderListener;
  readonly #byName = new Map<string, FolderFile>();
  readonly #byId = new Map<string, FolderFile>();
  /** In the order in which they are to be read. */
  readonly #waiting: FolderFile[] = [];
  /** Names of what is no file, or the same file compressed. */
  readonly #ignored = new Set<string>();
  readonly #gone = new Set<string>();
  readonly #changed = new Set<string>();
  /** Were not there when it was last looked. */
  #missing = new Set<FolderFile>();
  readonly #watch: FolderWatch;
  #scanning: Promise<void> = Promise.resolve();
  #isMissing = false;
  #isClosed = false;

  constructor(directory: string, logger: Logger, listener: FolderListener) {
    this.directory = directory;
    this.#logger = logger;
    this.#listener = listener;
    this.#watch = new FolderWatch(directory, logger, {
      onName: (name) => this.#note(name),
      onLook: (atAll) => {
        listener.onGrowth();
        void this.#look(atAll);
      },
    });
  }

  /**
   * Looks what is there, and from then on what comes.
   *
   * @throws PcaptsError FILE_NOT_READABLE; USAGE when it is no folder
   */
  async begin(): Promise<void> {
    // Before it is looked: what comes meanwhile is seen twice rather than not at all.
    this.#watch.listen();
    try {
      await this.#scan(true);
    } catch (cause) {
      await this.close();
      throw this.#refusal(cause);
    }
    this.#watch.tick();
  }

  /** How many files wait to be read. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** The path of a file, by its present name. */
  pathOf(file: FolderFile): string {
    return path.join(this.directory, file.name);
  }

  /** Takes the file whose turn it is. */
  next(): FolderFile | undefined {
    const file = this.#waiting.shift();
    if (file !== undefined) file.state = "open";
    return file;
  }

  /**
   * A file was read as far as it goes.
   *
   * @param sizeBytes so far
   */
  finish(file: FolderFile, sizeBytes: number): void {
    Object.assign(file, { sizeBytes, state: "read" });
    // What was written since, or anew.
    this.#changed.add(file.name);
    this.#watch.gather();
  }

  /** A file whose turn it was is not there any more by its name, or cannot be opened. */
  miss(file: FolderFile): Promise<void> {
    return this.#inTurn(async () => {
      const before = file.name;
      await this.#scan(false).catch(() => {});
      if (file.name !== before) return this.#enqueue(file);
      this.#forget(file);
      await this.#lose(file);
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#watch.close();
    await this.#scanning.catch(() => {});
  }

  #refusal(cause: unknown): PcaptsError {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOTDIR") {
      const message = `--monitor follows a folder: "${this.directory}" is none (-r, --read)`;
      return new PcaptsError("USAGE", message, { cause });
    }
    const reason = describeReadError(cause);
    return new PcaptsError("FILE_NOT_READABLE", `Cannot follow "${this.directory}": ${reason}`, {
      cause,
    });
  }

  #note(name: string): void {
    const file = this.#byName.get(name);
    this.#changed.add(name);
    if (file?.state === "open") this.#listener.onGrowth(file);
    else this.#watch.gather();
  }

  /** Never rejects. */
  #look(atAll: boolean): Promise<void> {
    return this.#inTurn(async () => {
      try {
        await this.#scan(atAll);
        if (this.#isMissing) {
          this.#isMissing = false;
          this.#logger.info(`"${this.directory}" is there again`);
          this.#watch.listen();
        }
      } catch (error) {
        if (!this.#isMissing) {
          const reason = describeReadError(error);
          this.#logger.warn(`Cannot look into "${this.directory}": ${reason}; trying again`);
        }
        this.#isMissing = true;
      }
    });
  }

  /** One after the other: what is looked at does not change under anybody's hands. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    this.#scanning = this.#scanning.then(async () => {
      if (!this.#isClosed) await work();
    });
    return this.#scanning;
  }

  async #scan(atAll: boolean): Promise<void> {
    const names = (await readdir(this.directory)).toSorted();
    const changed = new Set(this.#changed);
    this.#changed.clear();
    for (const name of changed) this.#ignored.delete(name);
    const isNew = (name: string): boolean => !this.#byName.has(name) && !this.#ignored.has(name);
    // New names first: a file that was renamed is known by its new name before another takes the old one.
    for (const name of names) if (!this.#isClosed && isNew(name)) await this.#lookAt(name);
    for (const name of names) {
      if (this.#isClosed) return;
      if ((atAll || changed.has(name)) && this.#byName.has(name)) await this.#lookAt(name);
    }
    const there = new Set(names);
    for (const name of this.#ignored) if (!there.has(name)) this.#ignored.delete(name);
    await this.#dropMissing([...this.#byId.values()].filter(({ name }) => !there.has(name)));
  }

  /** What was not there twice, by any name: it may have got another while it was looked. */
  async #dropMissing(missing: readonly FolderFile[]): Promise<void> {
    const before = this.#missing;
    this.#missing = new Set(missing);
    for (const file of missing) {
      const hasGone = before.has(file) && (await this.#identify(file.name)) !== file.id;
      if (hasGone && !this.#isClosed) await this.#drop(file);
    }
    if (missing.some((file) => !before.has(file))) this.#watch.gather();
  }

  async #lookAt(name: string): Promise<void> {
    const id = await this.#identify(name);
    if (id === undefined) return;
    const before = this.#byName.get(name);
    if (before?.id === id) return this.#compare(before);
    const known = this.#byId.get(id);
    if (known !== undefined && (await this.#identify(known.name)) === id) {
      // The same file by two names.
      this.#ignored.add(name);
      return;
    }
    if (before !== undefined) await this.#drop(before);
    if (known !== undefined && (await this.#isRenamed(known, name))) return this.#compare(known);
    await this.#add(id, name);
  }

  async #isRenamed(file: FolderFile, name: string): Promise<boolean> {
    if (file.state !== "open" && !(await this.#isStill(file, name))) {
      await this.#drop(file);
      return false;
    }
    this.#byName.delete(file.name);
    this.#logger.debug(`"${this.pathOf(file)}" is called "${name}" now`);
    file.name = name;
    this.#byName.set(name, file);
    return true;
  }

  /** An inode is soon used again, unless it is open: what the file begins with tells whether it is the same. */
  async #isStill(file: FolderFile, name: string): Promise<boolean> {
    const seen = await this.#see(name);
    return seen !== undefined && file.head.length > 0 && beginsWith(seen.head, file.head);
  }

  async #add(id: string, name: string): Promise<void> {
    const original = uncompressedName(name);
    if (original !== undefined && (this.#byName.has(original) || this.#gone.has(original))) {
      this.#ignored.add(name);
      return;
    }
    const seen = await this.#see(name);
    if (seen === undefined) return;
    const firstTime = await this.#readFirstTime(name);
    const progress = { frames: 0, isTorn: false, isGivenUp: false };
    const file: FolderFile = { id, name, state: "waiting", firstTime, ...seen, ...progress };
    this.#byId.set(id, file);
    this.#byName.set(name, file);
    this.#enqueue(file);
  }

  /** What has become of a file that is not open? */
  async #compare(file: FolderFile): Promise<void> {
    const { state } = file;
    const seen = state === "open" ? undefined : await this.#see(file.name);
    // Its turn may have come meanwhile; whoever reads it looks himself.
    if (seen === undefined || file.state !== state) return;
    const change = compareSeen(file, seen);
    if (change === "rewritten" && file.state === "waiting" && file.sizeBytes > 0) {
      this.#logger.warn(`"${this.pathOf(file)}" was overwritten before it was read: ${MISSING}`);
    }
    Object.assign(file, seen);
    if (change === "rewritten") {
      Object.assign(file, { frames: 0, isTorn: false, isGivenUp: false });
      file.firstTime = await this.#readFirstTime(file.name);
    }
    const isToBeRead = change === "rewritten" || (change === "grown" && !file.isGivenUp);
    if (isToBeRead && state === "read") this.#enqueue(file);
  }

  #enqueue(file: FolderFile): void {
    file.state = "waiting";
    const place = this.#waiting.findIndex((each) => compareOrder(file, each) < 0);
    this.#waiting.splice(place < 0 ? this.#waiting.length : place, 0, file);
    this.#listener.onFile();
  }

  /** A file has gone; one that is open is read on. */
  async #drop(file: FolderFile): Promise<void> {
    this.#forget(file);
    if (file.state === "waiting") await this.#lose(file);
  }

  #forget(file: FolderFile): void {
    if (this.#byName.get(file.name) === file) this.#byName.delete(file.name);
    if (this.#byId.get(file.id) === file) this.#byId.delete(file.id);
    const place = this.#waiting.indexOf(file);
    if (place >= 0) this.#waiting.splice(place, 1);
    this.#gone.add(file.name);
    for (const name of this.#gone) {
      if (this.#gone.size <= REMEMBERED) break;
      this.#gone.delete(name);
    }
  }

  /** It went before it was read; but perhaps it was compressed only. */
  async #lose(file: FolderFile): Promise<void> {
    this.#gone.delete(file.name);
    for (const name of compressedNames(file.name)) {
      const id = await this.#identify(name);
      if (id === undefined) continue;
      this.#ignored.delete(name);
      if (!this.#byId.has(id)) await this.#add(id, name);
      // What was read of it before is not read again.
      const { frames, isTorn } = file;
      Object.assign(this.#byId.get(id) ?? {}, { frames, isTorn });
      return;
    }
    if (file.sizeBytes === 0 || file.isGivenUp) return;
    const what = file.frames > 0 ? "read to its end" : "read";
    this.#logger.warn(`"${this.pathOf(file)}" was deleted before it was ${what}: ${MISSING}`);
  }

  /** @returns undefined for what is no file, or not there */
  async #identify(name: string): Promise<string | undefined> {
    const id = await identifyFile(path.join(this.directory, name));
    if (id !== "other") return id;
    this.#ignored.add(name);
    return undefined;
  }

  async #see(name: string): Promise<SeenFile | undefined> {
    const file = path.join(this.directory, name);
    try {
      return await seeFile(file);
    } catch (error) {
      if (isGone(error)) return undefined;
      this.#ignored.add(name);
      this.#logger.warn(`Cannot read "${file}": ${describeReadError(error)}`);
      return undefined;
    }
  }

  async #readFirstTime(name: string): Promise<FolderFile["firstTime"]> {
    try {
      return await readFirstTime(path.join(this.directory, name));
    } catch {
      // It says so when its turn comes.
      return undefined;
    }
  }
}

const MISSING = "its frames are missing";
