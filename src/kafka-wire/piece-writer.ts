import { ByteWriter } from "../bytes/byte-writer.ts";

/** Bytes up to this many are copied; more are sent from where they lie. */
const COPY_UP_TO_BYTES = 2048;

/**
 * Collects a message in pieces, so that record batches are not copied into it.
 *
 * ```
 *   [fields … | records (a view) | fields … | records (a view) | fields]
 * ```
 */
export class PieceWriter {
  /** Takes what is written next. */
  fields = new ByteWriter();
  readonly #pieces: Buffer[] = [];
  #pieceBytes = 0;

  /** Bytes written so far. */
  get length(): number {
    return this.#pieceBytes + this.fields.length;
  }

  /** Adds bytes that must not change until the message is sent. */
  writeView(bytes: Buffer): void {
    if (bytes.length <= COPY_UP_TO_BYTES) {
      this.fields.writeRaw(bytes);
      return;
    }
    this.#take(this.fields.bytes);
    this.#take(bytes);
    this.fields = new ByteWriter();
  }

  /** All pieces in order; nothing may be written afterwards. */
  finish(): readonly Buffer[] {
    this.#take(this.fields.bytes);
    this.fields = new ByteWriter(0);
    return this.#pieces;
  }

  #take(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#pieces.push(piece);
    this.#pieceBytes += piece.length;
  }
}
