/** Sleeps on a shared word until a data worker has written something to replicate.
 *
 *  Words: [asleep, reserved]. The hub stores 1 and looks once more before it waits; a data worker that finds 1 after a
 *  batch of writes stores 0 and notifies. `waitAsync` keeps the hub's event loop free.
 *  Writers: both sides, atomically. Waiter: the hub alone. */

const ASLEEP_WORD = 0;

export class Sleeper {
  readonly #words: Int32Array;

  constructor(words: Int32Array) {
    this.#words = words;
  }

  /** From here on a write wakes us, even before `sleep` is called. */
  announce(): void {
    Atomics.store(this.#words, ASLEEP_WORD, 1);
  }

  /** Resolves once somebody cleared the word. */
  async sleep(): Promise<void> {
    await Atomics.waitAsync(this.#words, ASLEEP_WORD, 1).value;
  }

  wake(): void {
    if (Atomics.exchange(this.#words, ASLEEP_WORD, 0) === 1)
      Atomics.notify(this.#words, ASLEEP_WORD);
  }
}
