/** Prefetch: starts the cache misses of a whole batch of lookups before any of them runs.
 *
 *  A core that waits for a line from memory looks about 300 instructions ahead: what overlaps are the misses of loops with
 *  few instructions in each turn, and no branch that depends on what they load. So each step is a loop of its own: the
 *  buckets' places (in cache), their lines, the slots' places, for those who are not in their first bucket both again, the slots'
 *  lines, the access marks. Views are looked up once per key and kept side by side.
 *  Changes nothing and promises nothing: what it loads may be torn or gone.
 *  Owner: one per worker thread. */
import {
  BUCKET_OVERFLOW_WORD,
  BUCKET_SHIFT,
  BUCKETS_PER_CHUNK_SHIFT,
  CHUNK_SHIFT,
  HEADER_BUCKET_COUNT,
  HEADER_INDEX_DIRECTORY,
  SLOT_BIT_SHIFT,
} from './layout.ts';
import type { Partition } from './partition.ts';

// V8 folds the constants of a module itself; imported ones it loads and checks at each use.
const OVERFLOW_WORD: number = BUCKET_OVERFLOW_WORD;
const BUCKETS_SHIFT: number = BUCKETS_PER_CHUNK_SHIFT;
const IN_CHUNK_MASK = (1 << BUCKETS_SHIFT) - 1;
const CHUNK_WORDS_SHIFT = CHUNK_SHIFT - 2;
const BUCKET_WORDS_SHIFT = BUCKET_SHIFT - 2;
const COUNT_WORD = HEADER_BUCKET_COUNT >>> 2;
const DIRECTORY_WORD = HEADER_INDEX_DIRECTORY >>> 2;
/** How far into a slot is loaded: most records end before. */
const LINE_WORDS = 16;
const LAST_WORDS = 24;
/** From a word of the image to the word of its access mark: 32 marks each, one per slot bit. */
const MARK_WORD_SHIFT = SLOT_BIT_SHIFT + 5 - 2;

export class Prefetch {
  readonly #images: Int32Array[] = [];
  readonly #marks: Int32Array[] = [];
  readonly #words: Int32Array;
  readonly #hashes: Int32Array;
  /** The lookups that go on in a second bucket, and its word. */
  readonly #chained: Int32Array;
  readonly #chainWords: Int32Array;
  /** What was loaded ends up here, so that no load is optimized away. */
  private junk = 0;

  constructor(lookupsMax: number) {
    this.#words = new Int32Array(lookupsMax);
    this.#hashes = new Int32Array(lookupsMax);
    this.#chained = new Int32Array(lookupsMax + 1);
    this.#chainWords = new Int32Array(lookupsMax + 1);
  }

  /** `ids[i]` is the partition of lookup i, negative for none; partitions that are not here are null. */
  run(
    partitions: readonly (Partition | null)[],
    ids: Int16Array,
    hashes: Int32Array,
    count: number,
  ): void {
    const images = this.#images;
    const marks = this.#marks;
    const words = this.#words;
    const wanted = this.#hashes;
    let lookups = 0;
    for (let i = 0; i < count; i++) {
      const id = ids[i];
      if (id < 0) continue;
      const partition = partitions[id];
      if (partition === null) continue;
      const { image32 } = partition;
      images[lookups] = image32;
      marks[lookups] = partition.accessMarks;
      wanted[lookups] = hashes[i];
      words[lookups] = headWordOf(image32, hashes[i]);
      lookups++;
    }
    this.junk ^= this.#load(lookups);
    this.junk ^= this.#loadChained(this.#search(lookups));
    this.junk ^= this.#loadSlots(lookups);
  }

  #load(lookups: number): number {
    const images = this.#images;
    const words = this.#words;
    let junk = 0;
    for (let i = 0; i < lookups; i++) junk ^= images[i][words[i]];
    return junk;
  }

  /** From the words of buckets to the words of slots; returns how many have to go on in a second bucket. */
  #search(lookups: number): number {
    const images = this.#images;
    const words = this.#words;
    const hashes = this.#hashes;
    const chained = this.#chained;
    const chainWords = this.#chainWords;
    let more = 0;
    for (let i = 0; i < lookups; i++) {
      const image32 = images[i];
      const bucketWord = words[i];
      const word = slotWordIn(image32, bucketWord, hashes[i]);
      words[i] = word;
      chained[more] = i;
      chainWords[more] = image32[bucketWord + OVERFLOW_WORD] >>> 2;
      more += (word - 1) >>> 31; // 1 where the word is 0
    }
    return more;
  }

  #loadChained(count: number): number {
    const images = this.#images;
    const chained = this.#chained;
    const chainWords = this.#chainWords;
    let junk = 0;
    for (let k = 0; k < count; k++) junk ^= images[chained[k]][chainWords[k]];
    for (let k = 0; k < count; k++) {
      const i = chained[k];
      const word = chainWords[k];
      if (word !== 0) this.#words[i] = slotWordIn(images[i], word, this.#hashes[i]);
    }
    return junk;
  }

  #loadSlots(lookups: number): number {
    const images = this.#images;
    const marks = this.#marks;
    const words = this.#words;
    let junk = 0;
    for (let i = 0; i < lookups; i++) {
      const word = words[i];
      const image32 = images[i];
      junk ^= image32[word] ^ image32[word + LINE_WORDS] ^ image32[word + LAST_WORDS];
    }
    for (let i = 0; i < lookups; i++) junk ^= marks[i][words[i] >>> MARK_WORD_SHIFT];
    return junk;
  }
}

/** Word of the head bucket of a hash; unchecked. Whether the bucket has been split yet nobody can predict: no branch. */
export function headWordOf(image32: Int32Array, hash: number): number {
  const count = image32[COUNT_WORD];
  const mask = -1 >>> Math.clz32(count - 1);
  const among = hash & mask;
  const bucket = among - (((mask >>> 1) + 1) & ~((among - count) >> 31));
  const chunk = image32[DIRECTORY_WORD + (bucket >>> BUCKETS_SHIFT)];
  return (chunk << CHUNK_WORDS_SHIFT) + ((bucket & IN_CHUNK_MASK) << BUCKET_WORDS_SHIFT);
}

/** Word of the slot that a hash may be in, by one bucket alone; 0 = none seen. */
export function slotWordIn(image32: Int32Array, bucketWord: number, hash: number): number {
  let ref = 0;
  if (image32[bucketWord] === hash) ref = image32[bucketWord + 1];
  else if (image32[bucketWord + 2] === hash) ref = image32[bucketWord + 3];
  else if (image32[bucketWord + 4] === hash) ref = image32[bucketWord + 5];
  else if (image32[bucketWord + 6] === hash) ref = image32[bucketWord + 7];
  else if (image32[bucketWord + 8] === hash) ref = image32[bucketWord + 9];
  else if (image32[bucketWord + 10] === hash) ref = image32[bucketWord + 11];
  else if (image32[bucketWord + 12] === hash) ref = image32[bucketWord + 13];
  const word = ref >>> 2;
  return word < image32.length - LAST_WORDS ? word : 0;
}
