/** How fast frames are replayed, in tcpreplay's words. */
export interface ReplayPace {
  /**
   * `pps` is frames a second; `mbps` is millions of bits a second, counting the captured bytes of frames
   * and nothing around them, as tcpreplay does; `multiplier` is times the recorded speed.
   */
  readonly unit: "pps" | "mbps" | "multiplier";
  /** Above 0. */
  readonly value: number;
}

/** Capture times that lie further back than this are of another capture, or behind a clock set back. */
const SET_BACK_MS = 1000;

/**
 * Says when each frame of a replay is due. The time of a frame comes from all that is before it, not
 * from the frame before it, so that nothing adds up over millions of frames.
 */
export class ReplayTimeline {
  readonly pace: ReplayPace;
  #frames = 0;
  #bits = 0;
  #lastMs = 0;
  /** The capture time that is replayed at `#originMs`; undefined until a file's first frame. */
  #origin: { readonly seconds: number; readonly nanoseconds: number } | undefined;
  #originMs = 0;

  /** @param pace `pps` and `mbps` take no notice of capture times */
  constructor(pace: ReplayPace) {
    this.pace = pace;
  }

  /**
   * Another file begins, or the same one again: its first frame follows at once, whatever its capture
   * time, as in tcpreplay.
   */
  beginFile(): void {
    this.#origin = undefined;
  }

  /**
   * Takes the next frame.
   *
   * @param seconds of its capture time
   * @param nanoseconds below one second
   * @param capturedLength bytes
   * @returns ms after the first frame; never less than for the frame before
   */
  place(seconds: number, nanoseconds: number, capturedLength: number): number {
    const { unit, value } = this.pace;
    if (unit === "pps") this.#lastMs = (this.#frames * 1000) / value;
    else if (unit === "mbps") this.#lastMs = this.#bits / (value * 1000);
    else this.#placeByTime(seconds, nanoseconds);
    this.#frames++;
    this.#bits += capturedLength * 8;
    return this.#lastMs;
  }

  #placeByTime(seconds: number, nanoseconds: number): void {
    const { value } = this.pace;
    const origin = this.#origin;
    if (origin !== undefined) {
      const recordedMs =
        (seconds - origin.seconds) * 1000 + (nanoseconds - origin.nanoseconds) / 1e6;
      const atMs = this.#originMs + recordedMs / value;
      if (atMs > this.#lastMs) this.#lastMs = atMs;
      if (atMs > this.#lastMs - SET_BACK_MS / value) return;
    }
    this.#origin = { seconds, nanoseconds };
    this.#originMs = this.#lastMs;
  }
}
