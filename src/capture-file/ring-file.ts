import { open, stat } from "node:fs/promises";
import { finished } from "node:stream/promises";
import type { FrameChunk } from "../packet/frame-chunk.ts";
import {
  createCaptureWriter,
  keepWholeFrames,
  type CaptureFormat,
  type CaptureWriter,
} from "./capture-writer.ts";
import { CompressedOutput, type OutputCompression } from "./compressed-output.ts";
import { FileOutput, type FileOutputOptions } from "./file-output.ts";
import { FrameTally } from "./frame-tally.ts";

const PCAP_HEADER_BYTES = 24;

/** What the files of a ring are. */
export interface RingFileFormat extends CaptureFormat {
  /** Around each file. */
  readonly compression: OutputCompression | undefined;
  /** A file is on the disk before it is closed. */
  readonly isDurable: boolean;
}

/** How full a file is. */
export interface RingFileFill {
  /** Before compression. */
  readonly bytes: number;
  readonly packets: number;
  /** Capture time of the first frame, and its fraction of a second. */
  readonly firstSecond: number;
  readonly firstFraction: number;
}

/** A place in a file, between two frames, where it can be gone on with. */
export interface RingFilePlace extends RingFileFill {
  readonly path: string;
  /** Bytes in front of the place, as they are in the file. */
  readonly length: number;
  /** The last of these, in hexadecimal: by them the file is known again. */
  readonly tail: string;
}

/** One file of a ring, being written. */
export class RingFile {
  readonly firstSecond: number;
  readonly firstFraction: number;
  bytes: number;
  packets: number;
  readonly #file: FileOutput;
  readonly #compressed: CompressedOutput | undefined;
  readonly #writer: CaptureWriter;
  readonly #tally: FrameTally;

  private constructor(
    file: FileOutput,
    format: RingFileFormat,
    fill: RingFileFill,
    continues: CaptureFormat["continues"],
  ) {
    const { compression } = format;
    this.#file = file;
    this.#compressed =
      compression === undefined ? undefined : new CompressedOutput(file, compression);
    this.#writer = createCaptureWriter(this.#compressed ?? file, { ...format, continues });
    this.#tally = new FrameTally(format.fileType, file, this.#compressed);
    this.bytes = fill.bytes;
    this.packets = fill.packets;
    this.firstSecond = fill.firstSecond;
    this.firstFraction = fill.firstFraction;
  }

  /** Begins a file. @throws the operating system's error */
  static async begin(
    path: string,
    format: RingFileFormat,
    first: Pick<RingFileFill, "firstSecond" | "firstFraction">,
  ): Promise<RingFile> {
    const file = await FileOutput.create(path, fileOptions(format));
    return new RingFile(
      file,
      format,
      { ...first, bytes: PCAP_HEADER_BYTES, packets: 0 },
      undefined,
    );
  }

  /** Goes on with a file at a place; what is behind it is cut off. @throws the operating system's error */
  static async goOn(place: RingFilePlace, format: RingFileFormat): Promise<RingFile> {
    const { path, length, tail } = place;
    const file = await FileOutput.goOn(path, length, tail, fileOptions(format));
    return new RingFile(file, format, place, place.packets === 0 ? "header" : "frames");
  }

  /** Writes all frames of a chunk. @throws the stream's error */
  async writeChunk(chunk: FrameChunk): Promise<void> {
    await this.#writer.writeChunk(chunk);
    this.#tally.took(chunk.frameCount);
  }

  /** After a failure: how many more frames are in the file than it took, or fewer. See {@link FrameTally}. */
  settle(): number {
    return this.#tally.settle();
  }

  /**
   * Hands everything over to the file, compressed if it is to be.
   *
   * @returns the place behind it
   * @throws the stream's error
   */
  async flush(): Promise<RingFilePlace> {
    await this.#compressed?.flush();
    // An empty write is answered after all that came before it, such as the file's header.
    await new Promise<void>((resolve, reject) => {
      this.#file.write("", (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
    const { bytes, packets, firstSecond, firstFraction } = this;
    const { path, length, tail } = this.#file;
    return { path, length, tail, bytes, packets, firstSecond, firstFraction };
  }

  /** Brings what was handed over to the disk. @throws the operating system's error */
  async sync(): Promise<void> {
    await this.#file.sync();
  }

  /** Completes the file. @throws the stream's error */
  async end(): Promise<void> {
    await this.#writer.end();
  }

  /** Closes the file as it is. */
  async abandon(): Promise<void> {
    // A write that is under way would land behind a cut.
    await this.#compressed?.flush().catch(() => {});
    const closed = finished(this.#file).catch(() => {});
    this.#compressed?.destroy();
    this.#file.destroy();
    await closed;
  }
}

function fileOptions({ fileType, compression, isDurable }: RingFileFormat): FileOutputOptions {
  return {
    syncsAtEnd: isDurable,
    keepOfTorn: keepWholeFrames(fileType, compression !== undefined),
  };
}

/** What became of a file in which a place was noted. */
export interface RingFileFinding {
  /** The same as far as the place, something else, or not there. */
  readonly state: "same" | "other" | "missing";
  /** Bytes behind the place. */
  readonly bytesBehind: number;
}

/** Looks whether a file is what it was when a place in it was noted. @throws the operating system's error */
export async function lookAtPlace({ path, length, tail }: RingFilePlace): Promise<RingFileFinding> {
  const other = { state: "other", bytesBehind: 0 } as const;
  const expected = Buffer.from(tail, "hex");
  try {
    const found = await stat(path);
    if (!found.isFile()) return other;
    const file = await open(path, "r");
    try {
      const tailNow = Buffer.alloc(expected.length);
      await file.read(tailNow, 0, tailNow.length, length - tailNow.length);
      const isSame = found.size >= length && tailNow.equals(expected);
      return isSame ? { state: "same", bytesBehind: found.size - length } : other;
    } finally {
      await file.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") {
      return { state: "missing", bytesBehind: 0 };
    }
    throw error;
  }
}
