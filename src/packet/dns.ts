/*
 * DNS (RFC 1035):  id u16 | flags u16 | questions u16 | answers u16 | authorities u16 | additionals u16
 *   question:  name | type u16 | class u16
 *   answer:    name | type u16 | class u16 | ttl u32 | length u16 | data
 *   name:      length u8, label, … 0; or a pointer: two top bits set, offset 14 bits
 */
import { formatIpv4Address } from "./ipv4.ts";
import { formatIpv6Address } from "./ipv6.ts";

const HEADER_BYTES = 12;

/** A name has at most 255 bytes; a row of pointers that is longer goes in circles. */
const MAX_JUMPS = 32;
const MAX_NAME_LENGTH = 255;

/** Answers that are shown. */
const MAX_ANSWERS = 8;

const TYPES: Readonly<Record<number, string>> = {
  1: "A",
  2: "NS",
  5: "CNAME",
  6: "SOA",
  12: "PTR",
  15: "MX",
  16: "TXT",
  28: "AAAA",
  33: "SRV",
  35: "NAPTR",
  41: "OPT",
  43: "DS",
  46: "RRSIG",
  48: "DNSKEY",
  64: "SVCB",
  65: "HTTPS",
  252: "AXFR",
  255: "ANY",
};

const RESULTS: Readonly<Record<number, string>> = {
  1: " FormErr",
  2: " ServFail",
  3: " NXDomain",
  4: " NotImp",
  5: " Refused",
};

interface Name {
  readonly text: string;
  /** Behind the name where it stands. */
  readonly end: number;
}

/**
 * The part of a summary line behind the addresses: `21+ A? example.org. (29)`.
 *
 * @param end end of what was captured
 * @param length bytes of the message, as UDP states
 * @returns undefined when it is none, or what was captured is short of it
 */
export function formatDns(
  bytes: Buffer,
  start: number,
  end: number,
  length: number,
): string | undefined {
  if (end - start < HEADER_BYTES) return undefined;
  const id = bytes.readUInt16BE(start);
  const flags = bytes.readUInt16BE(start + 2);
  const [questions, answers, authorities, additionals] = [4, 6, 8, 10].map((at) =>
    bytes.readUInt16BE(start + at),
  ) as [number, number, number, number];
  const isAnswer = (flags & 0x8000) !== 0;
  if ((flags & 0x7800) !== 0 || questions > 1) return undefined;
  const shown: string[] = [];
  let at = start + HEADER_BYTES;
  let question = "";
  if (questions === 1) {
    const name = readName(bytes, start, at, end);
    if (name === undefined || end - name.end < 4) return undefined;
    const type = bytes.readUInt16BE(name.end);
    question = ` ${TYPES[type] ?? `Type${type}`}? ${name.text}`;
    at = name.end + 4;
  }
  if (!isAnswer) {
    const recursion = (flags & 0x0100) === 0 ? "" : "+";
    const counts = additionals === 0 ? "" : ` [${additionals}au]`;
    return `${id}${recursion}${counts}${question} (${length})`;
  }
  for (let n = 0; n < Math.min(answers, MAX_ANSWERS); n++) {
    const answer = readAnswer(bytes, start, at, end);
    if (answer === undefined) break;
    shown.push(answer.text);
    at = answer.end;
  }
  const authoritative = (flags & 0x0400) === 0 ? "" : "*";
  const noRecursion = (flags & 0x0080) === 0 ? "-" : "";
  const list = shown.length === 0 ? "" : ` ${shown.join(", ")}`;
  return (
    `${id}${RESULTS[flags & 0x0f] ?? ""}${authoritative}${noRecursion} ` +
    `${answers}/${authorities}/${additionals}${list} (${length})`
  );
}

function readAnswer(bytes: Buffer, message: number, at: number, end: number): Name | undefined {
  const name = readName(bytes, message, at, end);
  if (name === undefined || end - name.end < 10) return undefined;
  const type = bytes.readUInt16BE(name.end);
  const length = bytes.readUInt16BE(name.end + 8);
  const data = name.end + 10;
  if (end - data < length) return undefined;
  return { text: formatAnswer(bytes, message, data, data + length, type), end: data + length };
}

function formatAnswer(
  bytes: Buffer,
  message: number,
  start: number,
  end: number,
  type: number,
): string {
  const label = TYPES[type] ?? `Type${type}`;
  if (type === 1 && end - start === 4) return `${label} ${formatIpv4Address(bytes, start)}`;
  if (type === 28 && end - start === 16) return `${label} ${formatIpv6Address(bytes, start)}`;
  if (type === 2 || type === 5 || type === 12) {
    const name = readName(bytes, message, start, end);
    if (name !== undefined) return `${label} ${name.text}`;
  }
  return label;
}

function readName(bytes: Buffer, message: number, start: number, end: number): Name | undefined {
  let text = "";
  let at = start;
  let behind = -1;
  for (let jumps = 0; jumps < MAX_JUMPS && text.length <= MAX_NAME_LENGTH;) {
    if (at >= end) return undefined;
    const length = bytes[at]!;
    if (length === 0) return { text: text === "" ? "." : text, end: behind < 0 ? at + 1 : behind };
    if (length >= 0xc0) {
      if (at + 2 > end) return undefined;
      if (behind < 0) behind = at + 2;
      at = message + (((length & 0x3f) << 8) | bytes[at + 1]!);
      jumps++;
      continue;
    }
    if (length > 63 || at + 1 + length > end) return undefined;
    // What is no plain letter would do things to a terminal.
    text += `${bytes.toString("latin1", at + 1, at + 1 + length).replace(/[^\x21-\x7e]/g, "?")}.`;
    at += 1 + length;
  }
  return undefined;
}
