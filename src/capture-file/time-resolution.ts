const TWO_POW_21 = 2_097_152;
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
  /** Powers of 10 up to a million: until the year 2255 the whole number fits a double. */
  readonly #isCoarse: boolean;
  /** Whole for powers of 10; for powers of 2 exact because only the exponent differs from 1e9's. */
  readonly #nanosecondsPerUnit: number;

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
    this.#isCoarse = !isBinary && exponent <= 6;
    this.#nanosecondsPerUnit = NANOSECONDS / this.#unitsPerSecond;
  }

  /**
   * Converts one time; what is below a nanosecond is dropped.
   *
   * @param high upper 32 bits
   * @param low lower 32 bits
   */
  convert(high: number, low: number): void {
    const units = this.#unitsPerSecond;
    let seconds: number;
    if (this.#isCoarse && high < TWO_POW_21) {
      const count = high * TWO_POW_32 + low;
      seconds = Math.floor(count / units);
      this.nanoseconds = (count - seconds * units) * this.#nanosecondsPerUnit;
    } else if (this.#isFast) {
      // Long division in base 65,536: the whole number does not fit a double.
      const first = Math.floor(high / units);
      let rest = (high - first * units) * 65_536 + (low >>> 16);
      const second = Math.floor(rest / units);
      rest = (rest - second * units) * 65_536 + (low & 0xffff);
      const third = Math.floor(rest / units);
      rest -= third * units;
      seconds = first * TWO_POW_32 + second * 65_536 + third;
      this.nanoseconds = Math.floor(rest * this.#nanosecondsPerUnit);
    } else {
      const count = (BigInt(high) << 32n) | BigInt(low);
      seconds = Number(count / this.#exactUnits);
      this.nanoseconds = Number(((count % this.#exactUnits) * 1_000_000_000n) / this.#exactUnits);
    }
    seconds += this.#offsetSeconds;
    if (seconds >= 0 && seconds <= LATEST_SECOND) {
      this.seconds = seconds;
      return;
    }
    this.seconds = seconds < 0 ? 0 : LATEST_SECOND;
    this.nanoseconds = seconds < 0 ? 0 : NANOSECONDS - 1;
  }
}
