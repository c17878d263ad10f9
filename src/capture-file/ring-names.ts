import path from "node:path";
import { formatTimeName } from "./strftime.ts";
import type { OutputCompression } from "./compressed-output.ts";

const ENDINGS: Readonly<Record<OutputCompression, string>> = { gzip: ".gz", zstd: ".zst" };

/** What the next name depends on. */
export interface RingNamesState {
  /** Files that have names. */
  readonly count: number;
  readonly lastName: string;
  /** Names in a row that were that one. */
  readonly sameNames: number;
}

/** Names the files of a ring: as tcpdump where parts of the time are in the name, else as dumpcap. */
export class RingNames {
  readonly #path: string;
  readonly #ending: string;
  readonly #isOneFile: boolean;
  #state: RingNamesState = { count: 0, lastName: "", sameNames: 0 };

  /**
   * @param given as it was on the command line
   * @param isOneFile there is one file, of this very name
   */
  constructor(given: string, compression: OutputCompression | undefined, isOneFile: boolean) {
    const name = path.normalize(given);
    this.#ending = compression === undefined ? "" : ENDINGS[compression];
    this.#isOneFile = isOneFile;
    this.#path =
      this.#ending !== "" && !isOneFile && name.endsWith(this.#ending)
        ? name.slice(0, -this.#ending.length)
        : name;
  }

  /** What to go on from. */
  get state(): RingNamesState {
    return this.#state;
  }

  set state(state: RingNamesState) {
    this.#state = state;
  }

  /** @param date of the file's first frame */
  next(date: Date): string {
    const { count, lastName, sameNames } = this.#state;
    if (this.#isOneFile) {
      this.#state = { count: count + 1, lastName: this.#path, sameNames: 0 };
      return this.#path;
    }
    if (!this.#path.includes("%")) {
      const { dir, name, ext } = path.parse(this.#path);
      const number = String(count + 1).padStart(5, "0");
      const time = formatTimeName("%Y%m%d%H%M%S", date);
      this.#state = { count: count + 1, lastName: "", sameNames: 0 };
      return path.join(dir, `${name}_${number}_${time}${ext}${this.#ending}`);
    }
    const name = formatTimeName(this.#path, date);
    const again = name === lastName ? sameNames + 1 : 0;
    this.#state = { count: count + 1, lastName: name, sameNames: again };
    return `${name}${again === 0 ? "" : again}${this.#ending}`;
  }
}
