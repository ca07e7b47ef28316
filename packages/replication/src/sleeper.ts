/** Sleeps on a shared word until there is something to replicate.
 *
 *  Words: [asleep, reserved]. The hub stores what may wake it and looks once more before it waits; a data worker that
 *  finds ASLEEP after a batch of writes stores AWAKE and notifies. UNDISTURBED: nobody follows this node, so data
 *  workers save themselves the system call. `waitAsync` keeps the hub's event loop free.
 *  Writers: both sides, atomically. Waiter: the hub alone. */

const ASLEEP_WORD = 0;
const AWAKE = 0;
const ASLEEP = 1;
const UNDISTURBED = 2;

export class Sleeper {
  readonly #words: Int32Array;

  constructor(words: Int32Array) {
    this.#words = words;
  }

  /** From here on `wake` ends a sleep, even one that has not begun; with followers, so does a write. */
  announce(hasFollowers: boolean): void {
    Atomics.store(this.#words, ASLEEP_WORD, hasFollowers ? ASLEEP : UNDISTURBED);
  }

  /** Resolves once somebody cleared the word. */
  async sleep(): Promise<void> {
    const announced = Atomics.load(this.#words, ASLEEP_WORD);
    if (announced !== AWAKE) {
      await Atomics.waitAsync(this.#words, ASLEEP_WORD, announced).value;
    }
  }

  wake(): void {
    if (Atomics.exchange(this.#words, ASLEEP_WORD, AWAKE) !== AWAKE) {
      Atomics.notify(this.#words, ASLEEP_WORD);
    }
  }
}
