import type { FrameChunk } from "../packet/frame-chunk.ts";

/** A source's chunks, as they are asked for one by one. */
type Chunks = AsyncIterator<FrameChunk, void>;

/** What a source has answered. */
export interface Answer<Owner> {
  /** Whose it is. */
  readonly owner: Owner;
  /** Undefined when the source has ended. */
  readonly chunk: FrameChunk | undefined;
  /** Why it has ended, where that is an error. */
  readonly failure?: unknown;
  readonly chunks: Chunks;
}

/**
 * Takes chunks of several sources in the order in which they are ready. A source has one of them ready
 * at a time, and is asked for the next when that one is done with.
 */
export class ReadyChunks<Owner> {
  /** Sources that have not ended, as far as was taken. */
  running = 0;
  readonly #ready: Answer<Owner>[] = [];
  #wake = (): void => {};

  /** Something can be taken. */
  get isReady(): boolean {
    return this.#ready.length > 0;
  }

  /** Asks one more source for its first chunk. */
  add(owner: Owner, chunks: AsyncIterable<FrameChunk>): void {
    this.running++;
    void this.#ask(owner, chunks[Symbol.asyncIterator]() as Chunks);
  }

  /** @returns undefined when nothing is ready */
  take(): Answer<Owner> | undefined {
    const answer = this.#ready.shift();
    if (answer !== undefined && answer.chunk === undefined) this.running--;
    return answer;
  }

  /** The chunk is done with: asks its source for the next. */
  goOn({ owner, chunks }: Answer<Owner>): void {
    void this.#ask(owner, chunks);
  }

  /** Resolves when something is ready, or by `wake()`; for one at a time who waits. */
  async changed(): Promise<void> {
    if (this.isReady) return;
    // Not Promise.race(): each call of it would hang another reaction on the promise of a source that is
    // silent, for as long as it is.
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  /** Something else has changed. */
  wake(): void {
    this.#wake();
  }

  async #ask(owner: Owner, chunks: Chunks): Promise<void> {
    this.#ready.push(await askFor(owner, chunks));
    this.#wake();
  }
}

/** Asks for the next chunk; never rejects. */
async function askFor<Owner>(owner: Owner, chunks: Chunks): Promise<Answer<Owner>> {
  try {
    const { done, value } = await chunks.next();
    return { owner, chunks, chunk: done === true ? undefined : value };
  } catch (failure) {
    return { owner, chunks, chunk: undefined, failure };
  }
}
