const TWO_POW_32 = 4_294_967_296;
const NANOSECONDS = 1_000_000_000;
const LATEST_SECOND = 0xffff_ffff;

/**
 * Turns the times of one pcapng interface, 64-bit counts of a unit that the interface chooses, into
 * seconds and nanoseconds. Times before 1970 or after 2106 become the nearest that a chunk can hold.
 */
export class TimeResolution {
  /** The unit does not divide a microsecond. */
  readonly isFine: boolean;
  /** Result of {@link convert}. */
  seconds = 0;
  /** Result of {@link convert}. */
  nanoseconds = 0;
  readonly #unitsPerSecond: number;
  readonly #exactUnits: bigint;
  readonly #offsetSeconds: number;
  /** Doubles are enough, both for the division and for what remains in nanoseconds. */
  readonly #isFast: boolean;
  /** Whole for powers of 10; for powers of 2 exact because only the exponent differs from 1e9's. */
  readonly #nanosecondsPerUnit: number;
  /** Where the second of the last time begins, in units; the lower part may be negative. */
  #secondHigh = Infinity;
  #secondLow = 0;

  /**
   * @param code if_tsresol: a power of 10 in its low seven bits, of 2 when the top one is set
   * @param offsetSeconds if_tsoffset: added to every time
   */
  constructor(code: number, offsetSeconds: number) {
    const exponent = code & 0x7f;
    const isBinary = (code & 0x80) !== 0;
    this.#exactUnits = isBinary ? 1n << BigInt(exponent) : 10n ** BigInt(exponent);
    this.#unitsPerSecond = Number(this.#exactUnits);
    this.#offsetSeconds = offsetSeconds;
    // 1,000,000 is 2^6 times 5^6.
    this.isFine = exponent > 6;
    this.#isFast = isBinary ? exponent <= 23 : exponent <= 9;
    this.#nanosecondsPerUnit = NANOSECONDS / this.#unitsPerSecond;
  }

  /**
   * Converts one time; what is below a nanosecond is dropped.
   *
   * @param high upper 32 bits
   * @param low lower 32 bits
   */
  convert(high: number, low: number): void {
    // Most frames are of the second of the one before, which saves the divisions.
    const sinceSecond = (high - this.#secondHigh) * TWO_POW_32 + (low - this.#secondLow);
    if (sinceSecond >= 0 && sinceSecond < this.#unitsPerSecond) {
      this.nanoseconds = Math.floor(sinceSecond * this.#nanosecondsPerUnit);
      return;
    }
    this.#convertAnew(high, low);
  }

  /** Makes the result that of a frame without a time: 1970. */
  setUnknown(): void {
    this.seconds = 0;
    this.nanoseconds = 0;
    this.#secondHigh = Infinity;
  }

  #convertAnew(high: number, low: number): void {
    let seconds: number;
    this.#secondHigh = Infinity;
    if (this.#isFast) {
      // Long division in base 65,536: the whole number does not fit a double.
      const units = this.#unitsPerSecond;
      const first = Math.floor(high / units);
      let rest = (high - first * units) * 65_536 + (low >>> 16);
      const second = Math.floor(rest / units);
      rest = (rest - second * units) * 65_536 + (low & 0xffff);
      const third = Math.floor(rest / units);
      rest -= third * units;
      seconds = first * TWO_POW_32 + second * 65_536 + third + this.#offsetSeconds;
      this.nanoseconds = Math.floor(rest * this.#nanosecondsPerUnit);
      if (seconds >= 0 && seconds <= LATEST_SECOND) {
        this.#secondHigh = high;
        this.#secondLow = low - rest;
      }
    } else {
      const count = (BigInt(high) << 32n) | BigInt(low);
      seconds = Number(count / this.#exactUnits) + this.#offsetSeconds;
      this.nanoseconds = Number(((count % this.#exactUnits) * 1_000_000_000n) / this.#exactUnits);
    }
    if (seconds >= 0 && seconds <= LATEST_SECOND) {
      this.seconds = seconds;
      return;
    }
    this.seconds = seconds < 0 ? 0 : LATEST_SECOND;
    this.nanoseconds = seconds < 0 ? 0 : NANOSECONDS - 1;
  }
}
