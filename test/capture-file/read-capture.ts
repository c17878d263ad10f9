import { Readable } from "node:stream";
import { streamBytes } from "../../src/capture-file/byte-source.ts";
import { openCaptureReader } from "../../src/capture-file/capture-reader.ts";
import type { CaptureInterface } from "../../src/packet/frame-chunk.ts";
import { framesOf, type ReadFrame } from "../fixtures/generate.ts";

/** A frame with where it was captured. */
export interface PlacedFrame extends ReadFrame {
  readonly from: CaptureInterface;
}

/** What reading a file came to. */
export interface ReadOutcome {
  readonly frames: PlacedFrame[];
  readonly chunks: number;
  readonly error: unknown;
}

/** Reads a capture of any format that arrives in pieces of the given length. */
export async function readWholeCapture(
  file: Buffer,
  pieceBytes = Math.max(1, file.length),
): Promise<ReadOutcome> {
  const frames: PlacedFrame[] = [];
  let chunks = 0;
  try {
    const source = streamBytes(Readable.from(piecesOf(file, pieceBytes)));
    const { reader } = await openCaptureReader(source, "x");
    for await (const chunk of reader.chunks()) {
      chunks++;
      for (const [index, frame] of framesOf(chunk).entries()) {
        frames.push({ ...frame, from: chunk.interfaces[chunk.interfaceOf?.[index] ?? 0]! });
      }
    }
  } catch (error) {
    return { frames, chunks, error };
  }
  return { frames, chunks, error: undefined };
}

function* piecesOf(file: Buffer, pieceBytes: number): Generator<Buffer> {
  for (let at = 0; at < file.length; at += pieceBytes) yield file.subarray(at, at + pieceBytes);
}
