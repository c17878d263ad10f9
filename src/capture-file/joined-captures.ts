import { FRAME_HEADER_BYTES, MAX_FRAME_BYTES, readHeaderWord } from "../packet/frame-chunk.ts";
import type { ByteSource } from "./byte-source.ts";
import { CAPTURE_MARK_BYTES, findCaptureMark, readCaptureMark } from "./capture-mark.ts";
import { PCAP_HEADER_BYTES } from "./pcap-format.ts";
import { MAX_PCAPNG_BLOCK_BYTES, PCAPNG_BLOCK, PCAPNG_BLOCK_OVERHEAD } from "./pcapng-format.ts";

const MEMORY_BYTES = 512 * 1024;

/** What stands in front of the data of a packet block. */
const PACKET_BLOCK_HEADER_BYTES = 28;

/** Frames of one capture are seldom further apart; where they are, it only costs a look. */
const PLAUSIBLE_GAP_SECONDS = 86_400;

interface PcapLayout {
  readonly format: "pcap";
  readonly bigEndian: boolean;
  readonly fractionsPerSecond: number;
}

interface PcapngLayout {
  readonly format: "pcapng";
  readonly bigEndian: boolean;
}

/**
 * Tells captures apart that stand one behind the other in a stream. The writers of a pipe come and go,
 * and nothing in it says where one has ended: the next capture begins behind the last frame of the one
 * before, or, when its writer was killed, in the middle of one.
 *
 * ```
 *   stream  ┌ header │ frame │ frame │ fra┌ header │ frame │ frame ┌ header │ frame …
 *   next()  └──────── first ──────────────┘└─────── second ───────┘└─────── third
 * ```
 *
 * Frames are handed on when they are whole and what follows could be a frame, or the mark of a capture.
 * Only where neither is so is the frame before searched for a mark: a frame may well carry a capture
 * file that somebody downloads.
 */
export class JoinedCaptures {
  readonly #source: ByteSource;
  #memory = Buffer.allocUnsafeSlow(MEMORY_BYTES);
  /** What is there and not handed on: from `start`, may be handed on up to `ready`. */
  #start = 0;
  #ready = 0;
  #end = 0;
  /** Where the next frame, or block, begins. */
  #at = 0;
  /** How the capture in hand is divided into frames; undefined is one that is handed on as it comes. */
  #layout: PcapLayout | PcapngLayout | undefined;
  /** The frame before `at`; -1 when there is none, or when it was handed on. */
  #before = -1;
  #secondsBefore: number | undefined;
  /** The capture in hand ends at `ready`. */
  #isOver = true;
  #isAtEnd = false;
  /** Tells the capture in hand from those before. */
  #number = 0;
  #filling: Promise<void> | undefined;

  /** @param source stands at the first byte of a capture, decompressed; closed by whoever has it */
  constructor(source: ByteSource) {
    this.#source = source;
  }

  /** A frame has begun that is not whole yet. */
  get isWithinFrame(): boolean {
    return this.#layout !== undefined && this.#end > this.#at;
  }

  /**
   * Goes on to the next capture; what was not read of the one before is passed over.
   *
   * @returns its bytes, good until the next call of this or of `skip()`; undefined at the end of the
   *   stream
   */
  async next(): Promise<ByteSource | undefined> {
    const number = ++this.#number;
    while (!this.#isOver) {
      this.#start = this.#ready;
      await this.#fill();
      this.#walk();
    }
    this.#start = this.#ready;
    if (!(await this.#has(1))) return undefined;
    this.#isOver = false;
    this.#layout = undefined;
    this.#before = this.#at = this.#start;
    this.#secondsBefore = undefined;
    if (await this.#has(PCAP_HEADER_BYTES)) this.#begin();
    else this.#endAt(this.#end);
    return { readInto: (target) => this.#handOn(target, number), close: async () => {} };
  }

  /**
   * Gives the capture in hand up, because it is damaged, and looks for the mark of the next.
   *
   * @returns how many bytes were passed over
   */
  async skip(): Promise<number> {
    this.#number++;
    let skipped = 0;
    for (;;) {
      const mark = findCaptureMark(this.#memory, this.#start, this.#end);
      if (mark >= 0) {
        skipped += mark - this.#start;
        this.#endAt(mark);
        return skipped;
      }
      const kept = this.#isAtEnd ? 0 : Math.min(CAPTURE_MARK_BYTES - 1, this.#end - this.#start);
      skipped += this.#end - kept - this.#start;
      this.#start = this.#ready = this.#end - kept;
      if (this.#isAtEnd) {
        this.#endAt(this.#end);
        return skipped;
      }
      await this.#fill();
    }
  }

  async #handOn(target: Uint8Array, number: number): Promise<number> {
    while (number === this.#number && this.#start === this.#ready && !this.#isOver) {
      await this.#fill();
      if (number === this.#number) this.#walk();
    }
    if (number !== this.#number) return 0;
    const length = Math.min(this.#ready - this.#start, target.length);
    target.set(this.#memory.subarray(this.#start, this.#start + length));
    this.#start += length;
    return length;
  }

  /** Tells the layout of the capture at `start`. */
  #begin(): void {
    this.#ready = this.#start;
    const mark = readCaptureMark(this.#memory, this.#start);
    const next = findCaptureMark(this.#memory, this.#start + 1, this.#headerEnd(this.#start));
    if (next >= 0) return this.#endAt(next);
    if (mark?.format === "pcap") {
      const { bigEndian, nanosecond } = mark;
      this.#layout = { format: "pcap", bigEndian, fractionsPerSecond: nanosecond ? 1e9 : 1e6 };
      this.#at = this.#start + PCAP_HEADER_BYTES;
    } else if (mark?.format === "pcapng") {
      this.#layout = mark;
    }
    this.#walk();
  }

  /** Moves `at` and `ready` behind all whole frames. */
  #walk(): void {
    if (this.#layout?.format === "pcap") this.#walkFrames(this.#layout);
    else if (this.#layout?.format === "pcapng") this.#walkBlocks();
    else this.#walkOpaque();
    if (this.#isAtEnd && !this.#isOver) this.#endStream();
  }

  #walkFrames({ bigEndian, fractionsPerSecond }: PcapLayout): void {
    const memory = this.#memory;
    while (this.#at + FRAME_HEADER_BYTES <= this.#end) {
      const at = this.#at;
      const seconds = readHeaderWord(memory, at, bigEndian);
      const capturedLength = readHeaderWord(memory, at + 8, bigEndian);
      const isPossible = capturedLength <= MAX_FRAME_BYTES;
      const isPlausible =
        isPossible &&
        capturedLength > 0 &&
        capturedLength <= readHeaderWord(memory, at + 12, bigEndian) &&
        readHeaderWord(memory, at + 4, bigEndian) < fractionsPerSecond &&
        Math.abs(seconds - (this.#secondsBefore ?? seconds)) <= PLAUSIBLE_GAP_SECONDS;
      if (!isPlausible) {
        if (readCaptureMark(memory, at) !== undefined) return this.#endAt(at);
        const from = this.#before < 0 ? at : this.#before + 1;
        // A frame's header may be torn as well; what is behind an impossible one is anybody's guess.
        const to = isPossible ? this.#headerEnd(at) : this.#end;
        const mark = findCaptureMark(memory, from, to);
        if (mark >= 0) return this.#endAt(mark);
        if (!isPossible) return this.#endAt(at + FRAME_HEADER_BYTES);
      }
      if (at + FRAME_HEADER_BYTES + capturedLength > this.#end) {
        const mark = this.#findWithinHeader(at, FRAME_HEADER_BYTES);
        if (mark >= 0) return this.#endAt(mark);
        break;
      }
      this.#before = at;
      this.#secondsBefore = seconds;
      this.#at = at + FRAME_HEADER_BYTES + capturedLength;
    }
    this.#ready = this.#at;
    if (this.#before < 0) return;
    const isLast = this.#at + FRAME_HEADER_BYTES > this.#end;
    if (isLast && findCaptureMark(memory, this.#before + 1, this.#end) >= 0) {
      this.#ready = this.#before;
    } else {
      this.#before = -1;
    }
  }

  /** A block repeats its length at its end, so one that is torn shows by itself. */
  #walkBlocks(): void {
    const memory = this.#memory;
    while (this.#at + Math.max(PCAPNG_BLOCK_OVERHEAD, CAPTURE_MARK_BYTES) <= this.#end) {
      const at = this.#at;
      const mark = readCaptureMark(memory, at);
      if (mark?.format === "pcapng") this.#layout = mark;
      else if (mark !== undefined) return this.#endAt(at);
      const bigEndian = this.#layout?.bigEndian === true;
      const length = readHeaderWord(memory, at + 4, bigEndian);
      const isSection = readHeaderWord(memory, at, bigEndian) === PCAPNG_BLOCK.SECTION;
      const isPossible =
        length >= PCAPNG_BLOCK_OVERHEAD &&
        length % 4 === 0 &&
        length <= MAX_PCAPNG_BLOCK_BYTES &&
        (!isSection || mark !== undefined);
      if (isPossible && at + length > this.#end) {
        const next = this.#findWithinHeader(at, PACKET_BLOCK_HEADER_BYTES);
        if (next >= 0) return this.#endAt(next);
        break;
      }
      if (!isPossible || readHeaderWord(memory, at + length - 4, bigEndian) !== length) {
        const next = findCaptureMark(memory, at + 1, this.#end);
        return this.#endAt(next >= 0 ? next : at + (isPossible ? length : CAPTURE_MARK_BYTES));
      }
      this.#at = at + length;
    }
    this.#ready = this.#at;
  }

  /** Where a capture begins within the header of a frame that is waited for: it was torn there. */
  #findWithinHeader(at: number, headerBytes: number): number {
    const end = at + headerBytes + CAPTURE_MARK_BYTES - 1;
    return findCaptureMark(this.#memory, at + 1, Math.min(this.#end, end));
  }

  /** How far a mark may reach that begins within the header of a frame, or of a capture, at `at`. */
  #headerEnd(at: number): number {
    return Math.min(this.#end, at + PCAP_HEADER_BYTES + CAPTURE_MARK_BYTES);
  }

  /** The stream ends, perhaps within a frame that another capture came behind, or in the middle of. */
  #endStream(): void {
    let from = this.#before < 0 ? this.#at : this.#before;
    for (let mark = 0; this.isWithinFrame && mark >= 0; from = mark) {
      mark = findCaptureMark(this.#memory, from + 1, this.#end);
      // A frame may hold the begin of a capture file, but hardly one that fits to the byte.
      if (mark >= 0 && this.#fitsToEnd(mark)) return this.#endAt(mark);
    }
    this.#endAt(this.#end);
  }

  #fitsToEnd(from: number): boolean {
    let mark = readCaptureMark(this.#memory, from)!;
    let at = from;
    while (at + PCAPNG_BLOCK_OVERHEAD <= this.#end) {
      const isMarkThere = at + CAPTURE_MARK_BYTES <= this.#end;
      const next = isMarkThere ? readCaptureMark(this.#memory, at) : undefined;
      if (next?.format === "compressed") return true;
      mark = next ?? mark;
      if (next?.format === "pcap") {
        at += PCAP_HEADER_BYTES;
      } else if (mark.format === "pcap") {
        if (!isMarkThere) return false;
        at += FRAME_HEADER_BYTES + readHeaderWord(this.#memory, at + 8, mark.bigEndian);
      } else {
        const length = readHeaderWord(this.#memory, at + 4, mark.bigEndian);
        at += Math.max(length, PCAPNG_BLOCK_OVERHEAD);
      }
    }
    return at === this.#end;
  }

  /** What is compressed, or nothing that is known, goes on as it is, up to a mark. */
  #walkOpaque(): void {
    const mark = findCaptureMark(this.#memory, this.#ready, this.#end);
    if (mark >= 0) this.#endAt(mark);
    else this.#ready = this.#end;
  }

  #endAt(at: number): void {
    this.#ready = at;
    this.#isOver = true;
  }

  /** @returns false when the stream ends before so many bytes are there */
  async #has(length: number): Promise<boolean> {
    while (this.#end - this.#start < length) {
      if (this.#isAtEnd) return false;
      await this.#fill();
    }
    return true;
  }

  /** One read at a time: who was given up may still wait for his. */
  #fill(): Promise<void> {
    this.#filling ??= this.#read().finally(() => {
      this.#filling = undefined;
    });
    return this.#filling;
  }

  async #read(): Promise<void> {
    this.#makeRoom();
    const read = await this.#source.readInto(this.#memory.subarray(this.#end));
    this.#end += read;
    if (read === 0) this.#isAtEnd = true;
  }

  #makeRoom(): void {
    const { length } = this.#memory;
    if (this.#end < length) return;
    const from = this.#start;
    const target =
      from > 0 ? this.#memory : Buffer.allocUnsafeSlow(length * (length < 4e6 ? 2 : 4));
    this.#memory.copy(target, 0, from, this.#end);
    this.#memory = target;
    this.#start = 0;
    this.#ready -= from;
    this.#at -= from;
    this.#end -= from;
    if (this.#before >= 0) this.#before -= from;
  }
}
