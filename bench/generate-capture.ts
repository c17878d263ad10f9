import { closeSync, openSync, writeSync } from "node:fs";

/** What {@link generateCapture} shall write. */
export interface CaptureShape {
  readonly frames: number;
  /** Conversations the frames belong to, in both directions; default 2,000. */
  readonly flows?: number;
  /** The same seed gives the same file; default 1. */
  readonly seed?: number;
  /** Length of every frame, even, 54 to 1514; default a mixture of about 200 bytes. */
  readonly frameBytes?: number | undefined;
  /** Capture time of the first frame, seconds since the epoch; default 1,700,000,000. */
  readonly firstSecond?: number;
}

/** What {@link generateCapture} wrote. */
export interface GeneratedCapture {
  readonly frames: number;
  /** Bytes of all frames, without pcap headers. */
  readonly frameBytes: number;
}

/** Lengths of whole frames and how often each is met in 100; 202 bytes on average. */
const LENGTHS: readonly (readonly [bytes: number, percent: number])[] = [
  [66, 45],
  [90, 15],
  [150, 15],
  [340, 13],
  [590, 10],
  [1514, 2],
];

const LINKTYPE_ETHERNET = 1;
const HEADERS_BYTES = 14 + 20 + 20;
const FLUSH_BYTES = 4 << 20;

/**
 * Writes a pcap file (microseconds, little-endian, Ethernet) of TCP
 * conversations: addresses and ports of many flows, both directions, sequence
 * numbers that go on, right lengths and checksums, text-like payload.
 * @param file path that is created or overwritten
 */
export function generateCapture(file: string, shape: CaptureShape): GeneratedCapture {
  const flowCount = shape.flows ?? 2_000;
  const random = randomNumbers(shape.seed ?? 1);
  const payload = textOf(random, 1 << 16);
  const mixture = shape.frameBytes === undefined ? LENGTHS : [[shape.frameBytes, 100] as const];
  const lengths = mixture.flatMap(([bytes, percent]) => Array<number>(percent).fill(bytes));
  const flows = Array.from({ length: flowCount }, () => ({
    client: 0x0a00_0000 | (random() & 0xff_ffff),
    server: 0xc0a8_0000 | (random() & 0xffff),
    clientPort: 32_768 + (random() % 28_000),
    serverPort: [443, 80, 22, 5432, 9092][random() % 5] ?? 443,
    sent: [random(), random()] as [number, number],
  }));

  const output = openSync(file, "w");
  const buffer = Buffer.alloc(FLUSH_BYTES + 2_048);
  let end = 24;
  buffer.writeUInt32LE(0xa1b2c3d4, 0);
  buffer.writeUInt16LE(2, 4);
  buffer.writeUInt16LE(4, 6);
  buffer.writeUInt32LE(262_144, 16);
  buffer.writeUInt32LE(LINKTYPE_ETHERNET, 20);

  let seconds = shape.firstSecond ?? 1_700_000_000;
  let micros = 0;
  let frameBytes = 0;
  for (let frame = 0; frame < shape.frames; frame++) {
    micros += 1 + (random() % 19);
    if (micros >= 1_000_000) {
      micros -= 1_000_000;
      seconds++;
    }
    const flow = flows[random() % flowCount];
    const length = lengths[random() % 100];
    if (flow === undefined || length === undefined) throw new RangeError("unreachable");
    const fromClient = random() % 2;

    buffer.writeUInt32LE(seconds, end);
    buffer.writeUInt32LE(micros, end + 4);
    buffer.writeUInt32LE(length, end + 8);
    buffer.writeUInt32LE(length, end + 12);
    const ethernet = end + 16;
    buffer.writeUIntBE(fromClient ? 0x02_00_00_00_00_01 : 0x02_00_00_00_00_02, ethernet, 6);
    buffer.writeUIntBE(fromClient ? 0x02_00_00_00_00_02 : 0x02_00_00_00_00_01, ethernet + 6, 6);
    buffer.writeUInt16BE(0x0800, ethernet + 12);

    const ip = ethernet + 14;
    buffer.writeUInt16BE(0x4500, ip);
    buffer.writeUInt16BE(length - 14, ip + 2);
    buffer.writeUInt16BE(frame & 0xffff, ip + 4);
    buffer.writeUInt16BE(0x4000, ip + 6);
    buffer.writeUInt16BE(0x4006, ip + 8);
    buffer.writeUInt16BE(0, ip + 10);
    buffer.writeUInt32BE((fromClient ? flow.client : flow.server) >>> 0, ip + 12);
    buffer.writeUInt32BE((fromClient ? flow.server : flow.client) >>> 0, ip + 16);
    buffer.writeUInt16BE(~foldedSum(buffer, ip, 20, 0) & 0xffff, ip + 10);

    const tcp = ip + 20;
    const payloadBytes = length - HEADERS_BYTES;
    const [ours, theirs] = fromClient ? flow.sent : [flow.sent[1], flow.sent[0]];
    buffer.writeUInt16BE(fromClient ? flow.clientPort : flow.serverPort, tcp);
    buffer.writeUInt16BE(fromClient ? flow.serverPort : flow.clientPort, tcp + 2);
    buffer.writeUInt32BE(ours, tcp + 4);
    buffer.writeUInt32BE(theirs, tcp + 8);
    buffer.writeUInt16BE(0x5018, tcp + 12);
    buffer.writeUInt16BE(0xffff, tcp + 14);
    buffer.writeUInt32BE(0, tcp + 16);
    const text = random() & 0xf000;
    payload.copy(buffer, tcp + 20, text, text + payloadBytes);
    // Addresses, protocol and length stand in TCP's pseudo header.
    const pseudo = foldedSum(buffer, ip + 12, 8, 6 + 20 + payloadBytes);
    const sum = foldedSum(buffer, tcp, 20 + payloadBytes, pseudo);
    buffer.writeUInt16BE(~sum & 0xffff, tcp + 16);
    flow.sent[fromClient ? 0 : 1] = (ours + payloadBytes) >>> 0;

    end = ethernet + length;
    frameBytes += length;
    if (end >= FLUSH_BYTES) {
      writeSync(output, buffer, 0, end);
      end = 0;
    }
  }
  writeSync(output, buffer, 0, end);
  closeSync(output);
  return { frames: shape.frames, frameBytes };
}

/** Ones' complement sum of an even number of bytes, as IP and TCP take it. */
function foldedSum(bytes: Buffer, start: number, length: number, initial: number): number {
  let sum = initial;
  for (let at = start; at < start + length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

/** Unsigned 32-bit numbers (xorshift32). */
function randomNumbers(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** Words and some noise, so that it compresses about as well as traffic does. */
function textOf(random: () => number, bytes: number): Buffer {
  const words = ["GET ", "/index.html ", "HTTP/1.1\r\n", "Host: ", "example.org\r\n", "200 OK "];
  const text = Buffer.alloc(bytes + 2_048);
  for (let at = 0; at < text.length;) {
    const word = words[random() % 12];
    if (word === undefined) at = text.writeUInt8(random() & 0xff, at);
    else at += text.write(word, at, "latin1");
  }
  return text;
}
