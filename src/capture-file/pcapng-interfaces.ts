import { MAX_FRAME_BYTES, type CaptureInterface } from "../packet/frame-chunk.ts";
import { paddedLength, PCAPNG_OPTION } from "./pcapng-format.ts";
import { TimeResolution } from "./time-resolution.ts";

/** Interfaces of one section, and different ones of a whole file: as many as a chunk can number. */
export const MAX_INTERFACES = 65_536;

/** A longer name is cut: each record in Kafka carries it. */
const MAX_NAME_BYTES = 255;

/** Microseconds, where an interface does not say. */
const DEFAULT_RESOLUTION = 6;

/** What an interface block says. */
export interface InterfaceBlock {
  readonly linkType: number;
  /** As it stands there; 0 is no limit. */
  readonly snapLengthBytes: number;
  readonly name: string;
  readonly resolution: TimeResolution;
}

/** An interface as the frames of its section refer to it. */
export interface SectionInterface {
  /** Entry of the file's table. */
  readonly index: number;
  readonly snapLengthBytes: number;
  readonly resolution: TimeResolution;
}

/** The interfaces of a pcapng file: those of the section in hand, and the file's, each once. */
export class PcapngInterfaces {
  /** By the number that frames give. */
  section: SectionInterface[] = [];
  readonly #sensor: string;
  readonly #indexOf = new Map<string, number>();
  readonly #all: CaptureInterface[] = [];
  #table: readonly CaptureInterface[] | undefined;

  constructor(sensor: string) {
    this.#sensor = sensor;
  }

  /** Different ones of the whole file so far; another array when there are more. */
  get table(): readonly CaptureInterface[] {
    return (this.#table ??= [...this.#all]);
  }

  /** A section numbers its interfaces anew. */
  beginSection(): void {
    this.section = [];
  }

  /**
   * Reads the body of an interface block.
   *
   * @param body at least 8 bytes
   */
  read(body: Buffer, bigEndian: boolean): InterfaceBlock {
    const half = (at: number): number =>
      bigEndian ? body.readUInt16BE(at) : body.readUInt16LE(at);
    let name = "";
    let resolution = DEFAULT_RESOLUTION;
    let offsetSeconds = 0;
    for (let at = 8; at + 4 <= body.length;) {
      const code = half(at);
      const length = half(at + 2);
      const value = body.subarray(at + 4, at + 4 + length);
      at += 4 + paddedLength(length);
      if (code === PCAPNG_OPTION.END || value.length < length) break;
      if (code === PCAPNG_OPTION.INTERFACE_NAME) name = readName(value);
      if (code === PCAPNG_OPTION.INTERFACE_RESOLUTION && length === 1) resolution = value[0]!;
      if (code === PCAPNG_OPTION.INTERFACE_TIME_OFFSET && length === 8) {
        offsetSeconds = Number(bigEndian ? value.readBigInt64BE(0) : value.readBigInt64LE(0));
      }
    }
    return {
      linkType: half(0),
      snapLengthBytes: bigEndian ? body.readUInt32BE(4) : body.readUInt32LE(4),
      name,
      resolution: new TimeResolution(resolution, offsetSeconds),
    };
  }

  /** @returns false when there are too many */
  add({ linkType, snapLengthBytes, name, resolution }: InterfaceBlock): boolean {
    if (this.section.length >= MAX_INTERFACES) return false;
    const isUsable = snapLengthBytes > 0 && snapLengthBytes <= MAX_FRAME_BYTES;
    const snapLength = isUsable ? snapLengthBytes : MAX_FRAME_BYTES;
    const key = `${linkType} ${snapLength} ${name}`;
    let index = this.#indexOf.get(key);
    if (index === undefined) {
      index = this.#all.length;
      if (index >= MAX_INTERFACES) return false;
      this.#indexOf.set(key, index);
      this.#all.push({ sensor: this.#sensor, name, linkType, snapLengthBytes: snapLength });
      this.#table = undefined;
    }
    this.section.push({ index, snapLengthBytes, resolution });
    return true;
  }
}

/** Some writers count the zero behind a name as part of it. */
function readName(value: Buffer): string {
  const zero = value.indexOf(0);
  const end = Math.min(zero < 0 ? value.length : zero, MAX_NAME_BYTES);
  return value.toString("utf8", 0, end);
}
