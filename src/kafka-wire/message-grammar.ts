import { ByteRangeError, type ByteReader } from "../bytes/byte-reader.ts";
import type { PieceWriter } from "./piece-writer.ts";

/**
 * Grammars of messages that are spoken in many versions: what a file says of a
 * message reads like Kafka's own description of it, and both reads and writes
 * it. From its first flexible version on (KIP-482) strings, bytes and arrays
 * have compact lengths, and every struct ends with tagged fields; those that
 * come are skipped, none is sent.
 *
 * @example
 * const HEARTBEAT = struct({
 *   groupId: STRING,
 *   generationId: INT32,
 *   memberId: STRING,
 *   groupInstanceId: NULLABLE_STRING.since(3),
 * });
 * type Heartbeat = ValueOf<typeof HEARTBEAT>;
 */

/** How one kind of value is read and written. */
interface Form<T> {
  /** The value of a field in versions that do not have it. */
  readonly absent: T;
  read(reader: ByteReader, version: number, flexible: boolean): T;
  write(writer: PieceWriter, value: T, version: number, flexible: boolean): void;
}

/** A kind of value, and the versions that have it. */
export class Kind<T> {
  readonly form: Form<T>;
  readonly firstVersion: number;
  readonly lastVersion: number;

  constructor(form: Form<T>, firstVersion = 0, lastVersion = Infinity) {
    this.form = form;
    this.firstVersion = firstVersion;
    this.lastVersion = lastVersion;
  }

  /**
   * @param version the first that has the field
   * @param absent what older ones mean
   */
  since(version: number, absent: T = this.form.absent): Kind<T> {
    const { form } = this;
    return new Kind(
      { absent, read: form.read.bind(form), write: form.write.bind(form) },
      version,
      this.lastVersion,
    );
  }

  /** @param version the last that has the field */
  until(version: number): Kind<T> {
    return new Kind(this.form, this.firstVersion, version);
  }
}

/** The TypeScript type of a kind's values. */
export type ValueOf<K> = K extends Kind<infer T> ? T : never;

/** BOOLEAN */
export const BOOLEAN = new Kind<boolean>({
  absent: false,
  read: (reader) => reader.readInt8() !== 0,
  write: (writer, value) => writer.fields.writeInt8(value ? 1 : 0),
});

/** INT8 */
export const INT8 = new Kind<number>({
  absent: 0,
  read: (reader) => reader.readInt8(),
  write: (writer, value) => writer.fields.writeInt8(value),
});

/** INT16 */
export const INT16 = new Kind<number>({
  absent: 0,
  read: (reader) => reader.readInt16(),
  write: (writer, value) => writer.fields.writeInt16(value),
});

/** INT32 */
export const INT32 = new Kind<number>({
  absent: 0,
  read: (reader) => reader.readInt32(),
  write: (writer, value) => writer.fields.writeInt32(value),
});

const LARGEST_INT64 = 2n ** 63n - 1n;

/**
 * INT64 as a number: offsets, times and producer ids given out here are far below 2^53. What
 * clients bring may be the largest there is, which a number rounds up to one that is too large.
 */
export const INT64 = new Kind<number>({
  absent: 0,
  read: (reader) => Number(reader.readInt64()),
  write: (writer, value) =>
    writer.fields.writeInt64(value >= 2 ** 63 ? LARGEST_INT64 : BigInt(value)),
});

/** UUID as 32 hexadecimal digits. */
export const UUID = new Kind<string>({
  absent: "0".repeat(32),
  read: (reader) => {
    const start = reader.skip(16);
    return reader.bytes.toString("hex", start, start + 16);
  },
  write: (writer, value) => writer.fields.writeRaw(Buffer.from(value, "hex")),
});

/** NULLABLE_STRING */
export const NULLABLE_STRING = new Kind<string | null>({
  absent: null,
  read: (reader, _version, flexible) => {
    if (!flexible) return reader.readNullableString();
    const length = reader.readUnsignedVarint() - 1;
    if (length < 0) return null;
    const start = reader.skip(length);
    return reader.bytes.toString("utf8", start, start + length);
  },
  write: (writer, value, _version, flexible) => {
    if (!flexible) writer.fields.writeNullableString(value);
    else if (value === null) writer.fields.writeUnsignedVarint(0);
    else {
      const bytes = Buffer.from(value);
      writer.fields.writeUnsignedVarint(bytes.length + 1);
      writer.fields.writeRaw(bytes);
    }
  },
});

/** STRING; null, where one comes, counts as empty. */
export const STRING = new Kind<string>({
  absent: "",
  read: (reader, version, flexible) => NULLABLE_STRING.form.read(reader, version, flexible) ?? "",
  write: (writer, value, version, flexible) =>
    NULLABLE_STRING.form.write(writer, value, version, flexible),
});

/** NULLABLE_BYTES, and records: views of the message when read, not copied when written. */
export const NULLABLE_BYTES = new Kind<Buffer | null>({
  absent: null,
  read: (reader, _version, flexible) => {
    const length = flexible ? reader.readUnsignedVarint() - 1 : reader.readInt32();
    if (length < 0) return null;
    const start = reader.skip(length);
    return reader.bytes.subarray(start, start + length);
  },
  write: (writer, value, _version, flexible) => {
    const length = value === null ? -1 : value.length;
    if (flexible) writer.fields.writeUnsignedVarint(length + 1);
    else writer.fields.writeInt32(length);
    if (value !== null) writer.writeView(value);
  },
});

const NO_BYTES = Buffer.alloc(0);

/** BYTES */
export const BYTES = new Kind<Buffer>({
  absent: NO_BYTES,
  read: (reader, version, flexible) =>
    NULLABLE_BYTES.form.read(reader, version, flexible) ?? NO_BYTES,
  write: (writer, value, version, flexible) =>
    NULLABLE_BYTES.form.write(writer, value, version, flexible),
});

/** ARRAY that may be null. */
export function nullableArrayOf<T>({ form }: Kind<T>): Kind<readonly T[] | null> {
  return new Kind<readonly T[] | null>({
    absent: null,
    read: (reader, version, flexible) => {
      const count = flexible ? reader.readUnsignedVarint() - 1 : reader.readInt32();
      if (count < 0) return null;
      // No element is smaller than a byte; memory is taken only for what can be there.
      if (count > reader.remaining) {
        throw new ByteRangeError(`${count} elements wanted, ${reader.remaining} bytes are left`);
      }
      const elements: T[] = [];
      for (let left = count; left > 0; left--) elements.push(form.read(reader, version, flexible));
      return elements;
    },
    write: (writer, value, version, flexible) => {
      const count = value === null ? -1 : value.length;
      if (flexible) writer.fields.writeUnsignedVarint(count + 1);
      else writer.fields.writeInt32(count);
      for (const element of value ?? []) form.write(writer, element, version, flexible);
    },
  });
}

/** ARRAY; null, where one comes, counts as empty. */
export function arrayOf<T>(element: Kind<T>): Kind<readonly T[]> {
  const nullable = nullableArrayOf(element).form;
  return new Kind<readonly T[]>({
    absent: [],
    read: (reader, version, flexible) => nullable.read(reader, version, flexible) ?? [],
    write: (writer, value, version, flexible) => nullable.write(writer, value, version, flexible),
  });
}

type StructOf<Fields> = { readonly [Name in keyof Fields]: ValueOf<Fields[Name]> };

/** Fields one after another, in the order in which they are written down. */
export function struct<Fields extends Record<string, Kind<unknown>>>(
  fields: Fields,
): Kind<StructOf<Fields>> {
  const rows = Object.entries(fields);
  const absent = Object.fromEntries(rows.map(([name, kind]) => [name, kind.form.absent]));
  return new Kind<StructOf<Fields>>({
    absent: absent as StructOf<Fields>,
    read: (reader, version, flexible) => {
      const value: Record<string, unknown> = {};
      for (const [name, kind] of rows) {
        value[name] = hasVersion(kind, version)
          ? kind.form.read(reader, version, flexible)
          : kind.form.absent;
      }
      if (flexible) skipTaggedFields(reader);
      return value as StructOf<Fields>;
    },
    write: (writer, value, version, flexible) => {
      for (const [name, kind] of rows) {
        if (hasVersion(kind, version)) {
          kind.form.write(writer, value[name], version, flexible);
        }
      }
      if (flexible) writer.fields.writeUnsignedVarint(0);
    },
  });
}

function hasVersion(kind: Kind<unknown>, version: number): boolean {
  return version >= kind.firstVersion && version <= kind.lastVersion;
}

/**
 * Skips tagged fields: their count, then tag, size and value of each.
 *
 * @throws ByteRangeError when they do not end
 */
export function skipTaggedFields(reader: ByteReader): void {
  for (let left = reader.readUnsignedVarint(); left > 0; left--) {
    reader.readUnsignedVarint();
    reader.skip(reader.readUnsignedVarint());
  }
}
