/*
 * The capture process of the `cap` engine, started by cap-engine.ts.
 *
 *   argument 1   CapRequest, JSON
 *   fd 0         CapCommands, a line of JSON each; the first one starts the capture. Its end means: stop.
 *                It ends when the parent asks, and when the parent dies
 *   fd 2         what libpcap and Node say; the parent logs it
 *   fd 3         messages to the parent, see cap-messages.ts
 *
 * `cap` calls back for every frame and empties the ring before it returns to the event loop, and it
 * aborts its process when the interface goes down. Both are harmless here: writes block, nothing
 * else runs, and the parent takes the end of this process for the end of the interface.
 */
import { readSync, writeSync } from "node:fs";
import { constants, setPriority } from "node:os";
import { FRAME_HEADER_BYTES } from "../packet/frame-chunk.ts";
import { writePcapRecordHeader } from "../capture-file/pcap-format.ts";
import { CaptureClock } from "./capture-clock.ts";
import {
  MESSAGE_ALIVE,
  MESSAGE_FAILED,
  MESSAGE_FRAMES,
  MESSAGE_HEADER_BYTES,
  MESSAGE_KEPT,
  MESSAGE_OPENED,
  MESSAGE_STARTED,
  writeMessageHeader,
  type CapCommand,
  type CapFailure,
  type CapKept,
  type CapOpened,
  type CapRequest,
} from "./cap-messages.ts";
import { loadCap, type CapModule, type CapSession } from "./cap-module.ts";
import { becomeUser } from "./process-user.ts";

const COMMAND_FD = 0;
const MESSAGE_FD = 3;

/** `cap` opens devices with a snaplen of 65,535. */
const LANDING_BYTES = 65_536;
const MESSAGE_BYTES = 512 * 1024;
/** How long a frame waits for company when the event loop runs. */
const FLUSH_AFTER_MS = 2;
/** … and when frames come so fast that it does not. */
const FLUSH_AFTER_US = 20_000;
/** How often the parent hears of a capture that has no frames. */
const ALIVE_EVERY_MS = 1000;

/**
 * `cap` puts each frame at the start; it is moved behind its record header in the message. One
 * buffer, because copyWithin() needs no view object for each frame.
 *
 *   landing (65,536) | message header (12) | record header (16), frame | record header, frame | …
 */
const slab = Buffer.allocUnsafeSlow(LANDING_BYTES + MESSAGE_BYTES);
const messageHeader = slab.subarray(LANDING_BYTES, LANDING_BYTES + MESSAGE_HEADER_BYTES);
const FIRST_RECORD = LANDING_BYTES + MESSAGE_HEADER_BYTES;

const clock = new CaptureClock({
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  originMs: performance.timeOrigin,
});

let end = FIRST_RECORD;
let frameCount = 0;
let firstFrameUs = 0;
let isStopping = false;
let session: CapSession | undefined;
/** `cap` leaves a closed session's handle in libuv's list: collected, the list would point nowhere. */
const sessions: CapSession[] = [];
let commands = "";
let hasWritten = false;

// A terminal's Ctrl-C and a service manager's stop go to every process; the parent decides here.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"] as const) {
  process.on(signal, () => {});
}

hurry();
const request = JSON.parse(process.argv[2]!) as CapRequest;
const cap = load();
if (cap !== undefined) {
  openForCheck(cap);
  // Later, so that frames of this turn of the event loop are taken along.
  const stopSoon = (): void => void setImmediate(stop);
  process.stdin.on("data", (piece: Buffer) => takeCommands(cap, piece));
  process.stdin.on("end", stopSoon).on("close", stopSoon).on("error", stopSoon);
}

/** A frame is stamped when it is read: on a busy machine that must not have to wait its turn. */
function hurry(): void {
  try {
    setPriority(constants.priority.PRIORITY_HIGH);
  } catch {
    // Only root may, or who has CAP_SYS_NICE.
  }
}

function load(): CapModule | undefined {
  try {
    return loadCap();
  } catch (error) {
    return fail({ reason: messageOf(error), isEngineMissing: true, interfaceNames: [] });
  }
}

function open(module: CapModule, filter: string): { session: CapSession; linkType: string } {
  const opened = new module.Cap();
  sessions.push(opened);
  const { interfaceName, bufferBytes } = request;
  const landing = slab.subarray(0, LANDING_BYTES);
  return { session: opened, linkType: opened.open(interfaceName, filter, bufferBytes, landing) };
}

/** Opens and closes, so that what is wrong is said before anything else is contacted. */
function openForCheck(module: CapModule): void {
  try {
    const opened = open(module, request.filter);
    opened.session.close();
    sendJson(MESSAGE_OPENED, { linkType: opened.linkType } satisfies CapOpened);
  } catch (error) {
    failToOpen(module, error);
  }
}

function failToOpen(module: CapModule, error: unknown): void {
  const interfaceNames = module.Cap.deviceList().map((device) => device.name);
  fail({ reason: messageOf(error), isEngineMissing: false, interfaceNames });
}

function takeCommands(module: CapModule, piece: Buffer): void {
  const lines = (commands + piece.toString()).split("\n");
  commands = lines.pop() ?? "";
  for (const line of lines) capture(module, JSON.parse(line) as CapCommand);
}

function capture(module: CapModule, { filter }: CapCommand): void {
  if (isStopping) return;
  const before = session;
  try {
    const opened = open(module, filter);
    const { snapLengthBytes } = request;
    opened.session.on("packet", (length) => takeFrame(length, Math.min(length, snapLengthBytes)));
    session = opened.session;
  } catch (error) {
    if (before === undefined) failToOpen(module, error);
    else sendJson(MESSAGE_KEPT, { reason: messageOf(error) } satisfies CapKept);
    return;
  }
  // The one before was open meanwhile: what came after the new one opened is in that one's ring.
  if (before === undefined) {
    changeUser();
    setInterval(sayAlive, ALIVE_EVERY_MS);
  } else before.close();
  sendMessage(MESSAGE_STARTED, Buffer.alloc(0));
}

function sayAlive(): void {
  if (!hasWritten) sendMessage(MESSAGE_ALIVE, Buffer.alloc(0));
  hasWritten = false;
}

function changeUser(): void {
  try {
    if (request.user !== undefined) becomeUser(process, request.user);
  } catch (error) {
    const reason = messageOf(error);
    fail({ reason, isEngineMissing: false, isUserRefused: true, interfaceNames: [] });
  }
}

function takeFrame(wireLength: number, capturedLength: number): void {
  if (end + FRAME_HEADER_BYTES + capturedLength > slab.length) flushInBurst();
  const nowUs = clock.nowUs();
  if (frameCount === 0) {
    firstFrameUs = nowUs;
    setTimeout(flush, FLUSH_AFTER_MS);
  }
  const seconds = Math.floor(nowUs / 1_000_000);
  const microseconds = nowUs - seconds * 1_000_000;
  writePcapRecordHeader(slab, end, seconds, microseconds, capturedLength, wireLength);
  slab.copyWithin(end + FRAME_HEADER_BYTES, 0, capturedLength);
  end += FRAME_HEADER_BYTES + capturedLength;
  frameCount++;
  if (nowUs - firstFrameUs >= FLUSH_AFTER_US) flushInBurst();
}

/** The event loop may not turn for long: look for the parent's word here. */
function flushInBurst(): void {
  flush();
  const piece = readCommand();
  if (piece?.length === 0) stop();
  else if (piece !== undefined && cap !== undefined) takeCommands(cap, piece);
}

function flush(): void {
  if (frameCount === 0) return;
  writeMessageHeader(messageHeader, MESSAGE_FRAMES, end - FIRST_RECORD, frameCount);
  writeAll(slab, LANDING_BYTES, end);
  end = FIRST_RECORD;
  frameCount = 0;
}

function stop(): void {
  if (isStopping) return;
  isStopping = true;
  session?.close();
  setImmediate(() => {
    flush();
    process.exit(0);
  });
}

function fail(failure: CapFailure): undefined {
  sendJson(MESSAGE_FAILED, failure);
  process.exit(1);
}

function sendJson(kind: number, value: CapOpened | CapKept | CapFailure): void {
  sendMessage(kind, Buffer.from(JSON.stringify(value)));
}

function sendMessage(kind: number, payload: Buffer): void {
  const message = Buffer.alloc(MESSAGE_HEADER_BYTES + payload.length);
  writeMessageHeader(message, kind, payload.length, 0);
  payload.copy(message, MESSAGE_HEADER_BYTES);
  writeAll(message, 0, message.length);
}

/** Blocks until the parent has room, which is how back-pressure reaches the kernel's ring. */
function writeAll(bytes: Buffer, from: number, to: number): void {
  let at = from;
  hasWritten = true;
  while (at < to) {
    try {
      at += writeSync(MESSAGE_FD, bytes, at, to - at);
    } catch (error) {
      if (codeOf(error) !== "EAGAIN") process.exit(0); // EPIPE: nobody is left to tell
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

/** What the parent said; empty when it has nothing more to say, undefined when it said nothing. */
function readCommand(): Buffer | undefined {
  const piece = Buffer.alloc(4096);
  try {
    return piece.subarray(0, readSync(COMMAND_FD, piece));
  } catch (error) {
    return codeOf(error) === "EAGAIN" ? undefined : Buffer.alloc(0);
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
