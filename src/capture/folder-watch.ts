import { watch, type FSWatcher } from "node:fs";
import type { Logger } from "../logger.ts";
import { describeReadError } from "./read-error.ts";

/** What the system tells of changes is gathered for so long. */
const GATHERING_MS = 100;

/** How often it is looked for new files without being told: not every file system tells. */
const LOOK_MS = 1000;

/** Every so many looks all files are looked at, for those that were written anew without a word. */
const LOOKS_BETWEEN_ALL = 10;

/** Told by a {@link FolderWatch}. */
export interface FolderWatcher {
  /** Something has happened to what has, or had, a name. */
  readonly onName: (name: string) => void;
  /** It is time to look what is there; `atAll`: at all that is known, too. */
  readonly onLook: (atAll: boolean) => void;
}

/** Says when to look into a folder: soon after what the system tells, and every second. */
export class FolderWatch {
  readonly #directory: string;
  readonly #logger: Logger;
  readonly #told: FolderWatcher;
  #watcher: FSWatcher | undefined;
  #ticking: NodeJS.Timeout | undefined;
  #gathering: NodeJS.Timeout | undefined;
  #looks = 0;
  #isClosed = false;

  constructor(directory: string, logger: Logger, told: FolderWatcher) {
    this.#directory = directory;
    this.#logger = logger;
    this.#told = told;
  }

  /** Hears what the system tells of the folder that has the name now; safe repeatedly. */
  listen(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
    try {
      const watcher = watch(this.#directory, (_, name) => {
        if (name !== null) this.#told.onName(name);
      });
      watcher.on("error", (error) => {
        this.#logger.debug(`watching "${this.#directory}": ${error.message}`);
        watcher.close();
      });
      this.#watcher = watcher;
    } catch (error) {
      // It is looked at every second all the same.
      this.#logger.debug(`watching "${this.#directory}": ${describeReadError(error)}`);
    }
  }

  /** Has it looked at every second. */
  tick(): void {
    this.#ticking = setInterval(() => {
      this.#looks++;
      this.#told.onLook(this.#looks % LOOKS_BETWEEN_ALL === 0);
    }, LOOK_MS);
  }

  /** Has it looked at soon. */
  gather(): void {
    if (this.#isClosed) return;
    this.#gathering ??= setTimeout(() => {
      this.#gathering = undefined;
      this.#told.onLook(false);
    }, GATHERING_MS);
  }

  close(): void {
    this.#isClosed = true;
    this.#watcher?.close();
    clearInterval(this.#ticking);
    clearTimeout(this.#gathering);
  }
}
