import { Readable, pipeline, type Transform } from "node:stream";
import * as zlib from "node:zlib";
import { streamBytes, type ByteSource } from "./byte-source.ts";

/** What may stand around a capture file. */
export type FileCompression = "gzip" | "zstd" | "lz4";

/** Compressed bytes that end too early or are none; the message says which, without the format. */
export class CompressedBytesError extends Error {
  override name = "CompressedBytesError";
  readonly compression: FileCompression;

  constructor(compression: FileCompression, message: string, options?: ErrorOptions) {
    super(message, options);
    this.compression = compression;
  }
}

/** Compressed bytes are read in pieces of this size. */
const PIECE_BYTES = 64 * 1024;

/** zlib's working memory for output: fewer, larger pieces than its 16 KiB. */
const OUTPUT_PIECE_BYTES = 256 * 1024;

/** What Node has from 22.15 on, which the types of Node 20 do not know. */
interface ZstdOfNode {
  readonly createZstdDecompress: (options: object) => Transform;
}

/**
 * Tells a compression by the first bytes of a file.
 *
 * @param start at least 4 bytes, unless the file is shorter
 */
export function detectCompression(start: Uint8Array): FileCompression | undefined {
  const [a = 0, b = 0, c = 0, d = 0] = start;
  if (a === 0x1f && b === 0x8b) return "gzip";
  const magic = ((d << 24) | (c << 16) | (b << 8) | a) >>> 0;
  if (magic === 0xfd2f_b528) return "zstd";
  if (magic === 0x184d_2204) return "lz4";
  return undefined;
}

/**
 * Decompresses a source as it is read; what it holds at a time does not grow with the file.
 *
 * @param compressed stands at its first byte; closed by `close()`
 * @returns a source whose `readInto` throws {@link CompressedBytesError} after the last good bytes
 */
export async function decompressedBytes(
  compression: FileCompression,
  compressed: ByteSource,
): Promise<ByteSource> {
  switch (compression) {
    case "gzip": {
      const gunzip = zlib.createGunzip({ chunkSize: OUTPUT_PIECE_BYTES });
      return throughTransform("gzip", compressed, gunzip);
    }
    case "zstd":
      if (hasZstd(zlib)) {
        const unzstd = zlib.createZstdDecompress({ chunkSize: OUTPUT_PIECE_BYTES });
        return throughTransform("zstd", compressed, unzstd);
      }
      return new (await import("./zstd-bytes.ts")).ZstdBytes(compressed);
    case "lz4":
      return new (await import("./lz4-bytes.ts")).Lz4Bytes(compressed);
  }
}

function hasZstd(module: object): module is ZstdOfNode {
  return "createZstdDecompress" in module;
}

function throughTransform(
  compression: FileCompression,
  compressed: ByteSource,
  transform: Transform,
): ByteSource {
  let readFailure: unknown;
  const pieces = Readable.from(
    piecesOf(compressed, (error) => {
      readFailure = error;
    }),
    { objectMode: false },
  );
  // Whoever reads the transform meets its errors, those of the source included.
  pipeline(pieces, transform, () => {});
  const bytes = streamBytes(transform);
  let isClosed = false;
  return {
    async readInto(target) {
      try {
        return await bytes.readInto(target);
      } catch (cause) {
        if (isClosed) return 0;
        if (readFailure !== undefined) throw readFailure;
        const message = cause instanceof Error ? cause.message : String(cause);
        throw new CompressedBytesError(compression, message, { cause });
      }
    },
    async close() {
      isClosed = true;
      transform.destroy();
      await compressed.close();
    },
  };
}

async function* piecesOf(
  source: ByteSource,
  onFailure: (error: unknown) => void,
): AsyncGenerator<Uint8Array, void, void> {
  for (;;) {
    const piece = Buffer.allocUnsafe(PIECE_BYTES);
    let length: number;
    try {
      length = await source.readInto(piece);
    } catch (error) {
      onFailure(error);
      throw error;
    }
    if (length === 0) return;
    yield piece.subarray(0, length);
  }
}
