/** Sleeps on a shared word until there is something to replicate.
 *
 *  Words: [asleep, hurry]. The hub stores what may wake it and looks once more before it waits; a data worker that
 *  finds ASLEEP after a batch of writes stores AWAKE and notifies. UNDISTURBED: nobody follows this node, so data
 *  workers save themselves the system call. GATHERING: what is written now leaves together, in a moment. A data worker
 *  that holds replies until followers have answered sets HURRY first, and ends a gathering too (`hurry`).
 *  `waitAsync` keeps the hub's event loop free.
 *  Writers: both sides, atomically. Waiter: the hub alone. */

const ASLEEP_WORD = 0;
const HURRY_WORD = 1;
const AWAKE = 0;
const ASLEEP = 1;
const UNDISTURBED = 2;
const GATHERING = 3;

/** What the hub sleeps with. */
export interface Sleep {
  /** From here on `wake` ends a sleep, even one that has not begun; with followers, so does a write. */
  announce(hasFollowers: boolean): void;
  /** Resolves once somebody woke it since `announce`. */
  sleep(): Promise<void>;
  /** Resolves after so long, or at once where somebody is in a hurry. */
  gather(ms: number): Promise<void>;
  wake(): void;
}

export class Sleeper implements Sleep {
  readonly #words: Int32Array;
  /** Somebody was in a hurry once: from then on a gathering can be ended. It costs more than a plain timer. */
  #hurried = false;

  constructor(words: Int32Array) {
    this.#words = words;
  }

  announce(hasFollowers: boolean): void {
    Atomics.store(this.#words, ASLEEP_WORD, hasFollowers ? ASLEEP : UNDISTURBED);
  }

  async sleep(): Promise<void> {
    const announced = Atomics.load(this.#words, ASLEEP_WORD);
    if (announced !== AWAKE) {
      await Atomics.waitAsync(this.#words, ASLEEP_WORD, announced).value;
    }
  }

  async gather(ms: number): Promise<void> {
    if (this.#takeHurry()) return turn();
    if (!this.#hurried) return pause(ms);
    Atomics.store(this.#words, ASLEEP_WORD, GATHERING);
    if (this.#takeHurry()) return;
    await Atomics.waitAsync(this.#words, ASLEEP_WORD, GATHERING, ms).value;
    Atomics.store(this.#words, HURRY_WORD, 0);
  }

  wake(): void {
    if (Atomics.exchange(this.#words, ASLEEP_WORD, AWAKE) !== AWAKE) {
      Atomics.notify(this.#words, ASLEEP_WORD);
    }
  }

  #takeHurry(): boolean {
    const hurry = Atomics.exchange(this.#words, HURRY_WORD, 0) !== 0;
    this.#hurried ||= hurry;
    return hurry;
  }
}

/** A writer that waits for followers: ends a sleep and a gathering. */
export function hurry(words: Int32Array): void {
  Atomics.store(words, HURRY_WORD, 1);
  const found = Atomics.load(words, ASLEEP_WORD);
  if (found !== ASLEEP && found !== GATHERING) return;
  Atomics.store(words, ASLEEP_WORD, AWAKE);
  Atomics.notify(words, ASLEEP_WORD);
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
/** Lets sockets have their turn. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
