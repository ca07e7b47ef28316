/** Prefetch: starts the cache misses of a whole batch of lookups before any of them runs.
 *
 *  Loops so short that a core has a dozen of their loads under way at once: find the buckets' places
 *  (in cache), load the buckets, and where a chain goes on its next bucket, find the slots' places, load the slots, load the
 *  access marks. One
 *  loop that does all of it per key overlaps only two or three misses, because its instructions fill
 *  the core's window: at pipeline 16 over a million keys this took about a tenth off the CPU of a GET.
 *  Changes nothing and promises nothing: what it loads may be torn or gone.
 *  Owner: one per worker thread. */
import { SLOT_BIT_SHIFT } from './layout.ts';
import type { Partition } from './partition.ts';

/** How far into a slot is loaded: most records end before. */
const LINE_WORDS = 16;
const LAST_WORDS = 24;
/** From a word of the image to the word of its access mark: 32 marks each, one per slot bit. */
const MARK_WORD_SHIFT = SLOT_BIT_SHIFT + 5 - 2;

export class Prefetch {
  readonly #partitions: Partition[] = [];
  readonly #words: Int32Array;
  readonly #hashes: Int32Array;
  /** What was loaded ends up here, so that no load is optimized away. */
  private junk = 0;

  constructor(lookupsMax: number) {
    this.#words = new Int32Array(lookupsMax);
    this.#hashes = new Int32Array(lookupsMax);
  }

  /** `ids[i]` is the partition of lookup i, negative for none; partitions that are not here are null. */
  run(
    partitions: readonly (Partition | null)[],
    ids: Int16Array,
    hashes: Int32Array,
    count: number,
  ): void {
    const here = this.#partitions;
    const words = this.#words;
    let lookups = 0;
    for (let i = 0; i < count; i++) {
      const id = ids[i];
      if (id < 0) continue;
      const partition = partitions[id];
      if (partition === null) continue;
      here[lookups] = partition;
      this.#hashes[lookups] = hashes[i];
      words[lookups] = partition.headWordOf(hashes[i]);
      lookups++;
    }
    this.junk ^= this.#loadBuckets(lookups) ^ this.#loadSlots(lookups);
  }

  #loadBuckets(lookups: number): number {
    const here = this.#partitions;
    const words = this.#words;
    let junk = 0;
    for (let i = 0; i < lookups; i++) junk ^= here[i].image32[words[i]];
    return junk;
  }

  #loadSlots(lookups: number): number {
    const here = this.#partitions;
    const words = this.#words;
    let junk = 0;
    for (let i = 0; i < lookups; i++) {
      const word = here[i].candidateWord(words[i], this.#hashes[i]);
      if (word < 0) junk ^= here[i].image32[-word];
      words[i] = word;
    }
    for (let i = 0; i < lookups; i++) {
      if (words[i] >= 0) continue;
      words[i] = Math.max(here[i].candidateWord(-words[i], this.#hashes[i]), 0);
    }
    for (let i = 0; i < lookups; i++) {
      const word = words[i];
      const { image32 } = here[i];
      junk ^= image32[word] ^ image32[word + LINE_WORDS] ^ image32[word + LAST_WORDS];
    }
    for (let i = 0; i < lookups; i++) junk ^= here[i].accessMarks[words[i] >>> MARK_WORD_SHIFT];
    return junk;
  }
}
