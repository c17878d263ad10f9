import type { ByteSource } from "../capture-file/byte-source.ts";
import { CaptureBytes } from "../capture-file/capture-bytes.ts";
import { decompress, openPlainReader, type CaptureReader } from "../capture-file/capture-reader.ts";
import { JoinedCaptures } from "../capture-file/joined-captures.ts";
import { PcaptsError } from "../errors.ts";
import type { CaptureInterface, FrameChunk } from "../packet/frame-chunk.ts";
import type { CaptureCounters } from "./frame-source.ts";

/** What a {@link CaptureStream} says of its frames. */
export interface CaptureStreamOptions {
  /** For messages, as in `Cannot read "name": …`. */
  readonly name: string;
  /** Host or probe that the frames are said to come from. */
  readonly sensor: string;
  /** Makes the name of an interface of what the capture calls it, "" where it does not. */
  readonly nameInterface?: (own: string) => string;
}

/** What one writer sends, from when it comes to when it goes: captures, one behind the other. */
export class CaptureStream {
  /** Frames that were handed over, of the capture in hand. */
  frames = 0;
  /** A frame was begun by the capture in hand and did not come whole. */
  isTorn = false;
  /** Bytes that came, as they were sent. */
  bytes = 0;
  readonly #options: CaptureStreamOptions;
  readonly #source: ByteSource;
  readonly #outer: JoinedCaptures;
  /** Captures within something that is compressed. */
  #within: { readonly bytes: ByteSource; readonly captures: JoinedCaptures } | undefined;
  #isOver = false;
  #reader: CaptureReader | undefined;
  #named: readonly CaptureInterface[] = [];
  #namedFrom: readonly CaptureInterface[] | undefined;

  /** @param source stands at the first byte that the writer sent; closed by `close()` */
  constructor(source: ByteSource, options: CaptureStreamOptions) {
    this.#options = options;
    this.#source = {
      readInto: async (target) => {
        const read = await source.readInto(target);
        this.bytes += read;
        return read;
      },
      close: () => source.close(),
    };
    this.#outer = new JoinedCaptures(this.#source);
  }

  /** Of the capture in hand, as far as they are known. */
  get interfaces(): readonly CaptureInterface[] {
    return this.#name(this.#reader?.interfaces ?? []);
  }

  /**
   * Waits for the header of the next capture.
   *
   * @returns false when the writer has gone
   * @throws PcaptsError FILE_NOT_A_CAPTURE, FILE_NOT_READABLE, FILE_CUT
   */
  async next(): Promise<boolean> {
    this.frames = 0;
    this.isTorn = false;
    this.#reader = undefined;
    const { name, sensor } = this.#options;
    for (;;) {
      const next = await this.#nextBytes();
      if (next === undefined && this.#within === undefined) return false;
      if (next === undefined) {
        await this.#leave();
        continue;
      }
      const { bytes, isCompressed } =
        this.#within === undefined
          ? await decompress(next, name)
          : { bytes: next, isCompressed: false };
      if (isCompressed) {
        this.#within = { bytes, captures: new JoinedCaptures(bytes) };
        continue;
      }
      this.#reader = await openPlainReader(bytes, name, sensor);
      return true;
    }
  }

  async #nextBytes(): Promise<ByteSource | undefined> {
    if (this.#isOver) return undefined;
    try {
      return await this.#captures.next();
    } catch (cause) {
      throw new CaptureBytes(this.#source, this.#options.name).notRead(cause, 0);
    }
  }

  get #captures(): JoinedCaptures {
    return this.#within?.captures ?? this.#outer;
  }

  /** What was compressed has ended, or cannot be read on. */
  async #leave(): Promise<void> {
    await this.#within?.bytes.close();
    this.#within = undefined;
  }

  /**
   * The frames of the capture in hand.
   *
   * @throws PcaptsError FILE_CUT, FILE_NOT_READABLE, after the last whole frame
   */
  async *chunks(): AsyncGenerator<FrameChunk, void, void> {
    const reader = this.#reader;
    if (reader === undefined) return;
    try {
      for await (const chunk of reader.chunks()) {
        this.frames += chunk.frameCount;
        yield { ...chunk, interfaces: this.#name(chunk.interfaces) };
      }
    } catch (error) {
      this.isTorn =
        (error instanceof PcaptsError && error.code === "FILE_CUT") || this.#captures.isWithinFrame;
      throw error;
    }
  }

  /** Passes over what is damaged, up to the next capture or the end; never rejects. */
  async skip(): Promise<void> {
    try {
      await this.#within?.captures.skip();
      if (this.#within !== undefined) return;
    } catch {
      // What is damaged within its compression has no next capture; one may come behind it.
      await this.#leave();
    }
    try {
      await this.#outer.skip();
    } catch {
      this.#isOver = true;
    }
  }

  /** Lets the writer go; what waits for it ends or rejects. */
  async close(): Promise<void> {
    await this.#source.close();
    await this.#within?.bytes.close();
  }

  /** The same table for the same interfaces: whoever gets it looks whether it has changed. */
  #name(interfaces: readonly CaptureInterface[]): readonly CaptureInterface[] {
    const { nameInterface } = this.#options;
    if (nameInterface === undefined) return interfaces;
    if (interfaces !== this.#namedFrom) {
      this.#namedFrom = interfaces;
      this.#named = interfaces.map((each) => ({ ...each, name: nameInterface(each.name) }));
    }
    return this.#named;
  }
}

/** Nothing is dropped on the way here; what was dropped where the frames were captured is not known. */
export function countStreamed(received: number, torn: number): CaptureCounters {
  return { received, droppedByKernel: 0, droppedByInterface: 0, filtered: 0, torn };
}
