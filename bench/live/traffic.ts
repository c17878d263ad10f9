import { readFileSync } from "node:fs";
import path from "node:path";
import { type VethPair, createVethPair } from "../../test/system/veth-pair.ts";
import { generateCapture } from "../generate-capture.ts";
import { cPeer } from "../peers.ts";
import type { Rate } from "./options.ts";

/** What a sender says that it did. */
export interface Sent {
  readonly frames: number;
  /** By tcpreplay's own count. */
  readonly framesPerSecond: number;
}

/** Length of every frame. */
export const FRAME_BYTES = 200;

/** tcpreplay holds so many in memory and sends them again; enough for 2,000 conversations to go on. */
const CAPTURE_FRAMES = 100_000;
/** Frames go out in bursts this far apart, between which tcpreplay sleeps. */
const BURSTS_PER_SECOND = 1_000;

/** How tcpreplay is called, for the report. */
export const TCPREPLAY_SETTINGS =
  "preloaded (-K); top speed: --topspeed; else --timer=nano --pps=RATE --pps-multi=RATE/1000, " +
  "which sleeps between bursts a millisecond apart and so leaves the processors to the programs";

/** An interface of its own and what sends into it. */
export class Traffic {
  readonly #pair: VethPair;
  readonly #capture: string;

  private constructor(pair: VethPair, capture: string) {
    this.#pair = pair;
    this.#capture = capture;
  }

  /** @param scratch folder for the capture that is sent */
  static async create(scratch: string): Promise<Traffic> {
    const capture = path.join(scratch, "capture.pcap");
    generateCapture(capture, { frames: CAPTURE_FRAMES, frameBytes: FRAME_BYTES });
    return new Traffic(await createVethPair(), capture);
  }

  /** The interface to capture from. */
  get interfaceName(): string {
    return this.#pair.name;
  }

  /** Frames that the kernel has brought to the interface since it was made. */
  arrivedFrames(): number {
    return Number(readFileSync(`/sys/class/net/${this.#pair.name}/statistics/rx_packets`, "utf8"));
  }

  /** Resolves when tcpreplay has sent so many. */
  async replay(frames: number, rate: Rate): Promise<Sent> {
    const { stdout } = await this.#pair.exec(
      ["tcpreplay", "-K", ...speedOptions(rate)].concat([
        `--loop=${Math.ceil(frames / CAPTURE_FRAMES)}`,
        `--limit=${frames}`,
        `--intf1=${this.#pair.peer}`,
        this.#capture,
      ]),
    );
    return parseSent(stdout);
  }

  /** Sends frames that carry the time they were sent at; see bench/peers/timed-frames.c. */
  async sendTimed(
    framesPerSecond: number,
    seconds: number,
    flows: number,
  ): Promise<{ frames: number; latestMs: number }> {
    const shape = [framesPerSecond, seconds, FRAME_BYTES, flows].map(String);
    const { stdout } = await this.#pair.exec(
      [cPeer("timed-frames"), "send", this.#pair.peer].concat(shape),
    );
    return JSON.parse(stdout) as { frames: number; latestMs: number };
  }

  /** Deletes the interface; that also happens when this process dies. */
  remove(): Promise<void> {
    return this.#pair.remove();
  }
}

/**
 * What tcpreplay counted.
 * @param text its standard output
 * @throws Error with that text when it says nothing of the kind
 */
export function parseSent(text: string): Sent {
  const frames = /^\s*Successful packets:\s+(\d+)/m.exec(text)?.[1];
  const rate = /^Rated:.* ([\d.]+) pps/m.exec(text)?.[1];
  if (frames === undefined || rate === undefined) {
    throw new Error(`Cannot read what tcpreplay sent: ${text}`);
  }
  return { frames: Number(frames), framesPerSecond: Number(rate) };
}

function speedOptions(rate: Rate): string[] {
  if (rate === undefined) return ["--topspeed"];
  const burst = Math.max(1, Math.round(rate / BURSTS_PER_SECOND));
  return ["--timer=nano", `--pps=${rate}`, `--pps-multi=${burst}`];
}
