import { ByteReader } from "../bytes/byte-reader.ts";
import { writeVarint } from "../bytes/varint.ts";
import type { CaptureInterface } from "../packet/frame-chunk.ts";

/** LINKTYPE_ETHERNET, which a record does not have to state. */
const ETHERNET = 1;

const LINKTYPE = Buffer.from("linktype");
const ORIGLEN = Buffer.from("origlen");
const NS = Buffer.from("ns");
const IFACE = Buffer.from("iface");
const SENSOR = Buffer.from("sensor");

/** Longest encoding of `linktype`, `origlen` and `ns` with a count in front. */
const MAX_NUMERIC_HEADERS_BYTES = 64;

/** Which headers a record gets. */
export interface FrameHeaderOptions {
  /** Every header always, not only where key and value leave something unsaid. */
  readonly all: boolean;
  /** Several interfaces feed this process: say which. */
  readonly nameInterface: boolean;
}

/**
 * Writes a frame's record headers: what eight bytes of key and the frame
 * itself cannot say. The static part (link type, interface, sensor) is encoded
 * once for each interface; a whole Ethernet frame costs one byte, the count 0.
 *
 * ```
 *   headerCount varint, then for each:  keyLength varint, key, valueLength varint, value
 *   linktype  LINKTYPE_ number    origlen  length on the wire
 *   ns        0-999               iface, sensor  names
 * ```
 */
export class FrameHeaderEncoder {
  /** The encoded headers, valid until the next `encode`. */
  bytes: Uint8Array = new Uint8Array(MAX_NUMERIC_HEADERS_BYTES);
  readonly #options: FrameHeaderOptions;
  #interfaces: readonly CaptureInterface[] = [];
  #statics: { count: number; bytes: Buffer }[] = [];

  constructor(options: FrameHeaderOptions) {
    this.#options = options;
  }

  /** Takes the interface table of the chunk that comes next. */
  useInterfaces(interfaces: readonly CaptureInterface[]): void {
    if (interfaces === this.#interfaces) return;
    this.#interfaces = interfaces;
    const { all, nameInterface } = this.#options;
    this.#statics = interfaces.map(({ linkType, name, sensor }) => {
      const headers: [string, string][] = [];
      if (all || linkType !== ETHERNET) headers.push(["linktype", String(linkType)]);
      if (all || nameInterface) headers.push(["iface", name]);
      if (all) headers.push(["sensor", sensor]);
      return {
        count: headers.length,
        bytes: Buffer.concat(headers.map(([key, value]) => encodeHeader(key, value))),
      };
    });
    const longest = Math.max(0, ...this.#statics.map(({ bytes }) => bytes.length));
    this.bytes = new Uint8Array(longest + MAX_NUMERIC_HEADERS_BYTES);
  }

  /**
   * @param interfaceIndex entry of the interface table
   * @param capturedLength bytes in the record's value
   * @param wireLength bytes on the wire
   * @param nanoseconds 0-999, the part of the capture time below a microsecond
   * @returns how much of `bytes` is in use
   */
  encode(
    interfaceIndex: number,
    capturedLength: number,
    wireLength: number,
    nanoseconds: number,
  ): number {
    const { all } = this.#options;
    const fixed = this.#statics[interfaceIndex]!;
    const withWireLength = all || wireLength !== capturedLength;
    const withNanoseconds = all || nanoseconds > 0;
    if (fixed.count === 0 && !withWireLength && !withNanoseconds) {
      this.bytes[0] = 0;
      return 1;
    }
    const { bytes } = this;
    const count = fixed.count + (withWireLength ? 1 : 0) + (withNanoseconds ? 1 : 0);
    let at = writeVarint(bytes, 0, count);
    bytes.set(fixed.bytes, at);
    at += fixed.bytes.length;
    if (withWireLength) at = writeNumericHeader(bytes, at, ORIGLEN, wireLength);
    if (withNanoseconds) at = writeNumericHeader(bytes, at, NS, nanoseconds);
    return at;
  }
}

function encodeHeader(key: string, value: string): Buffer {
  const keyBytes = Buffer.from(key);
  const valueBytes = Buffer.from(value);
  const encoded = Buffer.alloc(10 + keyBytes.length + valueBytes.length);
  let at = writeVarint(encoded, 0, keyBytes.length);
  at += keyBytes.copy(encoded, at);
  at = writeVarint(encoded, at, valueBytes.length);
  at += valueBytes.copy(encoded, at);
  return encoded.subarray(0, at);
}

function writeNumericHeader(target: Uint8Array, at: number, key: Buffer, value: number): number {
  at = writeVarint(target, at, key.length);
  target.set(key, at);
  at += key.length;
  let digits = 1;
  for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) digits++;
  at = writeVarint(target, at, digits);
  for (let i = at + digits - 1, rest = value; i >= at; i--, rest = Math.floor(rest / 10)) {
    target[i] = 0x30 + (rest % 10);
  }
  return at + digits;
}

/**
 * What a record's headers say of its frame. One decoder serves many records
 * and allocates only when a name differs from the last record's.
 */
export class FrameHeaderDecoder {
  /** -1 when not stated. */
  linkType = -1;
  /** -1 when not stated. */
  wireLength = -1;
  nanoseconds = 0;
  interfaceName = "";
  sensor = "";
  readonly #reader = new ByteReader(Buffer.alloc(0));
  readonly #lastInterface = new RememberedName();
  readonly #lastSensor = new RememberedName();

  /**
   * Reads the headers of one record into the fields. Unknown headers, and
   * values that are not what they should be, are passed over.
   *
   * @throws ByteRangeError when the headers do not fit the record
   */
  decode(bytes: Buffer, start: number, end: number, headerCount: number): void {
    this.linkType = -1;
    this.wireLength = -1;
    this.nanoseconds = 0;
    this.interfaceName = "";
    this.sensor = "";
    const reader = this.#reader;
    reader.reset(bytes, start, end);
    for (let left = headerCount; left > 0; left--) {
      const keyLength = reader.readVarint();
      const key = reader.skip(keyLength);
      const valueLength = reader.readVarint();
      if (valueLength < 0) continue;
      const value = reader.skip(valueLength);
      if (isName(bytes, key, keyLength, LINKTYPE)) {
        const linkType = readDecimal(bytes, value, valueLength);
        if (linkType <= 0xffff) this.linkType = linkType;
      } else if (isName(bytes, key, keyLength, ORIGLEN)) {
        const wireLength = readDecimal(bytes, value, valueLength);
        if (wireLength <= 0xffff_ffff) this.wireLength = wireLength;
      } else if (isName(bytes, key, keyLength, NS)) {
        const nanoseconds = readDecimal(bytes, value, valueLength);
        if (nanoseconds >= 0 && nanoseconds <= 999) this.nanoseconds = nanoseconds;
      } else if (isName(bytes, key, keyLength, IFACE)) {
        this.interfaceName = this.#lastInterface.read(bytes, value, valueLength);
      } else if (isName(bytes, key, keyLength, SENSOR)) {
        this.sensor = this.#lastSensor.read(bytes, value, valueLength);
      }
    }
  }
}

/** A name that most likely is the same in the next record. */
class RememberedName {
  #bytes: Buffer = Buffer.alloc(0);
  #text = "";

  read(bytes: Buffer, start: number, length: number): string {
    if (!isName(bytes, start, length, this.#bytes)) {
      this.#bytes = Buffer.from(bytes.subarray(start, start + length));
      this.#text = this.#bytes.toString("utf8");
    }
    return this.#text;
  }
}

/** True when the `length` bytes at `start` are `expected`. */
function isName(bytes: Buffer, start: number, length: number, expected: Buffer): boolean {
  if (length !== expected.length) return false;
  for (let i = 0; i < length; i++) if (bytes[start + i] !== expected[i]) return false;
  return true;
}

/** @returns -1 when it is not a decimal number of at most 10 digits */
function readDecimal(bytes: Buffer, start: number, length: number): number {
  if (length < 1 || length > 10) return -1;
  let value = 0;
  for (let i = start; i < start + length; i++) {
    const digit = bytes[i]! - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}
