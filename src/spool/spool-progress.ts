import * as fs from "node:fs";
import { crc32c } from "../bytes/crc32c.ts";
import {
  openFile,
  READ_WRITE,
  readAt,
  syncFile,
  truncateFile,
  writeAt,
} from "../storage/file-io.ts";

/** Under which an entry was sent: its broker recognises it by that. */
export interface SentIdentity {
  readonly serial: number;
  readonly producerId: bigint;
  readonly epoch: number;
  readonly baseSequence: number;
  /** The broker has it; an entry before it is not done. */
  readonly isAcknowledged: boolean;
}

/** How far a partition of a spool is. */
export interface PartitionProgress {
  /** The oldest entry that is not dealt with. */
  readonly next: number;
  /** Entries from `next` on that were sent, as they were sent last. */
  readonly sent: readonly SentIdentity[];
  /** Wall clock when one was last sent; 0: none was. */
  readonly lastSentMs: number;
}

/*
 * A place of 512 bytes for each partition, in it two halves that are written in turns:
 *
 *   0 crc         uint32   CRC-32C of what follows
 *   4 count       uint32   of identities
 *   8 generation  float64  the higher of two whole halves counts
 *  16 next        float64
 *  24 lastSentMs  float64
 *  32 identities: serial float64, producerId int64, epoch int16, baseSequence int32, acknowledged int8
 */
const HALF_BYTES = 256;
const IDENTITIES_AT = 32;
const IDENTITY_BYTES = 23;

/** Five are under way at most; a batch that comes back keeps its own. */
const MOST_SENT = Math.floor((HALF_BYTES - IDENTITIES_AT) / IDENTITY_BYTES);

/**
 * Which entries of a spool were sent under which identity, and which are done.
 * It is written before an entry is sent and when one is done, into the kernel's
 * memory: that is enough when the process is killed. It has its size from the
 * beginning, so that a full disk does not concern it.
 */
export class SpoolProgress {
  readonly #fd: number;
  readonly #generations: number[];
  #isDirty = false;

  private constructor(fd: number, partitionCount: number) {
    this.#fd = fd;
    this.#generations = Array<number>(partitionCount).fill(0);
  }

  /** Opens the file, making it when it is missing. @throws what the system says */
  static async open(
    path: string,
    partitionCount: number,
  ): Promise<{ progress: SpoolProgress; found: (PartitionProgress | undefined)[] }> {
    const fd = await openFile(path, READ_WRITE);
    const bytes = Buffer.alloc(partitionCount * 2 * HALF_BYTES);
    const read = await readAt(fd, bytes, 0);
    if (read < bytes.length) await writeAt(fd, bytes.subarray(read), read);
    await truncateFile(fd, bytes.length);
    const progress = new SpoolProgress(fd, partitionCount);
    const found = progress.#generations.map((_, partition) => {
      let best: PartitionProgress | undefined;
      for (const half of [0, 1]) {
        const at = (partition * 2 + half) * HALF_BYTES;
        const place = bytes.subarray(at, at + HALF_BYTES);
        if (place.readUInt32BE(0) !== crc32c(place.subarray(4))) continue;
        const generation = place.readDoubleBE(8);
        if (generation <= progress.#generations[partition]!) continue;
        progress.#generations[partition] = generation;
        best = decodeHalf(place);
      }
      return best;
    });
    return { progress, found };
  }

  /** Writes how far a partition is. @throws what the system says */
  save(partition: number, progress: PartitionProgress): void {
    const generation = ++this.#generations[partition]!;
    const place = encodeHalf(progress, generation);
    const at = (partition * 2 + (generation % 2)) * HALF_BYTES;
    fs.writeSync(this.#fd, place, 0, HALF_BYTES, at);
    this.#isDirty = true;
  }

  /** Brings it to the disk. */
  async sync(): Promise<void> {
    if (!this.#isDirty) return;
    this.#isDirty = false;
    await syncFile(this.#fd);
  }

  close(): void {
    fs.closeSync(this.#fd);
  }
}

function encodeHalf({ next, sent, lastSentMs }: PartitionProgress, generation: number): Buffer {
  const place = Buffer.alloc(HALF_BYTES);
  const kept = sent.slice(0, MOST_SENT);
  place.writeUInt32BE(kept.length, 4);
  place.writeDoubleBE(generation, 8);
  place.writeDoubleBE(next, 16);
  place.writeDoubleBE(lastSentMs, 24);
  for (const [index, identity] of kept.entries()) {
    const { serial, producerId, epoch, baseSequence, isAcknowledged } = identity;
    const at = IDENTITIES_AT + index * IDENTITY_BYTES;
    place.writeDoubleBE(serial, at);
    place.writeBigInt64BE(producerId, at + 8);
    place.writeInt16BE(epoch, at + 16);
    place.writeInt32BE(baseSequence, at + 18);
    place.writeInt8(isAcknowledged ? 1 : 0, at + 22);
  }
  place.writeUInt32BE(crc32c(place.subarray(4)), 0);
  return place;
}

function decodeHalf(place: Buffer): PartitionProgress {
  const sent: SentIdentity[] = [];
  const count = Math.min(place.readUInt32BE(4), MOST_SENT);
  for (let index = 0; index < count; index++) {
    const at = IDENTITIES_AT + index * IDENTITY_BYTES;
    sent.push({
      serial: place.readDoubleBE(at),
      producerId: place.readBigInt64BE(at + 8),
      epoch: place.readInt16BE(at + 16),
      baseSequence: place.readInt32BE(at + 18),
      isAcknowledged: place.readInt8(at + 22) === 1,
    });
  }
  return { next: place.readDoubleBE(16), lastSentMs: place.readDoubleBE(24), sent };
}
