/** Memory that is lent; who has it gives it back once. */
export interface Lease {
  /** At least as long as was asked for. */
  readonly buffer: Buffer;
  release(): void;
}

const SMALLEST_BYTES = 64 * 1024;

/**
 * Lends buffers and lends them again, so that memory stays flat whatever is
 * asked for. When what is lent comes to the limit, who asks waits in line; one
 * that is larger than the limit is lent alone.
 *
 * ```
 *   lent  ████████████░░░░ limit      idle  64K · 64K · 1M · 1M · 4M
 *   waiting  first → second → …
 * ```
 */
export class BufferPool {
  readonly #limitBytes: number;
  #lentBytes = 0;
  #idleBytes = 0;
  readonly #idle = new Map<number, Buffer[]>();
  readonly #waiting: { bytes: number; lend: (lease: Lease) => void }[] = [];

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Bytes that are lent at the moment. */
  get lentBytes(): number {
    return this.#lentBytes;
  }

  /** @returns undefined when it has to be waited for */
  tryLease(bytes: number): Lease | undefined {
    const size = sizeClassOf(bytes);
    if (this.#waiting.length > 0 || !this.#fits(size)) return undefined;
    return this.#lend(size);
  }

  /** Waits until there is memory, in the order of asking. */
  lease(bytes: number): Promise<Lease> {
    const now = this.tryLease(bytes);
    if (now !== undefined) return Promise.resolve(now);
    return new Promise((lend) => this.#waiting.push({ bytes: sizeClassOf(bytes), lend }));
  }

  #fits(size: number): boolean {
    return this.#lentBytes === 0 || this.#lentBytes + size <= this.#limitBytes;
  }

  #lend(size: number): Lease {
    this.#lentBytes += size;
    let buffer = this.#idle.get(size)?.pop();
    if (buffer === undefined) {
      this.#makeRoom(size);
      // Not from Node's own pool, and not zeroed: pages cost memory only once they are written to.
      buffer = Buffer.allocUnsafeSlow(size);
    } else {
      this.#idleBytes -= size;
    }
    let lent: Buffer | undefined = buffer;
    const release = (): void => {
      if (lent === undefined) return;
      this.#takeBack(lent);
      lent = undefined;
    };
    return { buffer, release };
  }

  #takeBack(buffer: Buffer): void {
    const size = buffer.length;
    this.#lentBytes -= size;
    if (this.#lentBytes + this.#idleBytes + size <= this.#limitBytes) {
      const idle = this.#idle.get(size);
      if (idle === undefined) this.#idle.set(size, [buffer]);
      else idle.push(buffer);
      this.#idleBytes += size;
    }
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (!this.#fits(next.bytes)) return;
      this.#waiting.shift();
      next.lend(this.#lend(next.bytes));
    }
  }

  /** Idle buffers of other sizes go, so that what is lent and idle stays within the limit. */
  #makeRoom(size: number): void {
    for (const buffers of this.#idle.values()) {
      while (buffers.length > 0 && this.#lentBytes + this.#idleBytes + size > this.#limitBytes) {
        this.#idleBytes -= buffers.pop()!.length;
      }
    }
  }
}

/** Powers of two up to 1 MiB, whole MiB above: few sizes, so that most fit again, and little waste. */
function sizeClassOf(bytes: number): number {
  const mebibyte = 1024 * 1024;
  if (bytes > mebibyte) return Math.ceil(bytes / mebibyte) * mebibyte;
  let size = SMALLEST_BYTES;
  while (size < bytes) size *= 2;
  return size;
}
