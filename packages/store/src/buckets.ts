/** The index: linear hashing over 64-byte buckets.
 *
 *  bucketCount grows one bucket at a time. With k the number of bits of bucketCount - 1, a hash h lives in bucket
 *  h mod 2^k, or h mod 2^(k-1) where that bucket is not there yet. A split moves entries from bucket
 *  n - 2^(k-1) to the new bucket n, that is, only ever upwards, so a scan in ascending order misses nothing.
 *  Source: W. Litwin, Linear hashing: a new tool for file and table addressing, VLDB 1980.
 *
 *  Owner of writes: whoever is inside the gate. Readers bound every hop and range-check every ref.
 *  The head bucket's seqLow covers its whole chain; overflow buckets leave theirs zero. */
import { invariant } from './errors.ts';
import { hashKey } from './hash.ts';
import {
  BUCKET_ENTRIES,
  CHUNK_INDEX,
  CHUNK_OVERFLOW,
  HEADER_BUCKET_COUNT,
  HEADER_INDEX_DIRECTORY,
  INDEX_CHUNKS_MAX,
} from './layout.ts';
import * as layout from './layout.ts';
import type { PartitionMemory } from './memory.ts';
import type { Mutation } from './mutation.ts';
import type { Records } from './record.ts';
import { OVERFLOW_CLASS } from './size-classes.ts';
import type { Slab } from './slab.ts';

// V8 folds the constants of a module itself; imported ones are loaded and checked at each use.
const {
  BUCKETS_PER_CHUNK_SHIFT,
  BUCKET_BYTES,
  BUCKET_OVERFLOW_WORD,
  BUCKET_SEQ_WORD,
  CHAIN_BUCKETS_MAX,
  CHUNK_SHIFT,
} = layout;

const COUNT_WORD = HEADER_BUCKET_COUNT >>> 2;
const DIRECTORY_WORD = HEADER_INDEX_DIRECTORY >>> 2;
const IN_CHUNK_MASK = (1 << BUCKETS_PER_CHUNK_SHIFT) - 1;
const CHAIN_ENTRIES_MAX = CHAIN_BUCKETS_MAX * BUCKET_ENTRIES;

export class Buckets {
  readonly #memory: PartitionMemory;
  readonly #image32: Int32Array;
  readonly #lastBucketRef: number;
  readonly #slab: Slab;
  readonly #records: Records;
  /** Word index of the entry that the last `locate` found, or of the first hole it saw (0 = none). */
  entryWord = 0;
  /** Head bucket of the chain that the last `locate` or `locateRef` walked. */
  head = 0;
  /** Ref of the last bucket of the chain that `locate` walked, and how long the chain was. */
  #lastBucket = 0;
  #chainBuckets = 0;
  readonly #stayHashes: Int32Array = new Int32Array(CHAIN_ENTRIES_MAX);
  readonly #stayRefs: Int32Array = new Int32Array(CHAIN_ENTRIES_MAX);
  readonly #moveHashes: Int32Array = new Int32Array(CHAIN_ENTRIES_MAX);
  readonly #moveRefs: Int32Array = new Int32Array(CHAIN_ENTRIES_MAX);
  readonly #spareBuckets: Int32Array = new Int32Array(CHAIN_BUCKETS_MAX);
  #spareCount = 0;

  constructor(memory: PartitionMemory, slab: Slab, records: Records) {
    this.#memory = memory;
    this.#image32 = memory.image32;
    this.#lastBucketRef = memory.geometry.imageBytes - BUCKET_BYTES;
    this.#slab = slab;
    this.#records = records;
  }

  get count(): number {
    return this.#image32[COUNT_WORD];
  }

  /** Number of the bucket where a hash lives now. Whether it has been split yet nobody can predict: no branch. */
  numberOf(hash: number): number {
    const count = this.#image32[COUNT_WORD];
    const mask = -1 >>> Math.clz32(count - 1);
    const bucket = hash & mask;
    const isThere = (bucket - count) >> 31; // -1 or 0
    return bucket - (((mask >>> 1) + 1) & ~isThere);
  }

  /** Ref of bucket `number`. A torn directory gives a ref that is wrong, never one out of range. */
  refOf(number: number): number {
    const chunk = this.#image32[DIRECTORY_WORD + (number >>> BUCKETS_PER_CHUNK_SHIFT)];
    return (chunk << CHUNK_SHIFT) + ((number & IN_CHUNK_MASK) << 6);
  }

  headOf(hash: number): number {
    return this.refOf(this.numberOf(hash));
  }

  #isBucketRef(ref: number): boolean {
    return ref > 0 && ref <= this.#lastBucketRef && (ref & (BUCKET_BYTES - 1)) === 0;
  }

  /** The record with this key, expired and flushed ones included, or 0. For readers without the gate. */
  find(hash: number, key: Uint8Array, start: number, bytes: number): number {
    const image32 = this.#image32;
    let bucket = this.headOf(hash);
    for (let hops = 0; hops < CHAIN_BUCKETS_MAX && this.#isBucketRef(bucket); hops++) {
      const word = bucket >>> 2;
      for (let entry = word; entry < word + BUCKET_OVERFLOW_WORD; entry += 2) {
        if (image32[entry] !== hash) continue;
        const ref = image32[entry + 1];
        if (this.#records.inRange(ref) && this.#records.keyEquals(ref, key, start, bytes))
          return ref;
      }
      bucket = image32[word + BUCKET_OVERFLOW_WORD];
    }
    return 0;
  }

  /** Inside a passage: whether `entryWord` is an entry of this hash's head bucket now, and refers to `ref`. Leaves both where
   *  `locate` does then. */
  isEntry(hash: number, entryWord: number, ref: number): boolean {
    const image32 = this.#image32;
    const head = this.headOf(hash);
    const inHead = entryWord - (head >>> 2);
    if (inHead < 0 || inHead >= BUCKET_OVERFLOW_WORD) return false;
    if (image32[entryWord] !== hash || image32[entryWord + 1] !== ref) return false;
    this.head = head;
    this.entryWord = entryWord;
    return true;
  }

  /** As `locate`, of a key in words; looks for no hole. */
  locateWords(hash: number, words: Int32Array, bytes: number): number {
    const ref = this.findWords(hash, words, bytes);
    this.head = this.headOf(hash);
    this.entryWord = ref === 0 ? 0 : this.#entryOf(this.head, ref);
    return ref;
  }

  /** Word of the entry that refers to `ref` in the chain that begins at `head`, which there must be. */
  #entryOf(head: number, ref: number): number {
    for (let bucket = head; bucket !== 0; ) {
      const word = bucket >>> 2;
      for (let entry = word; entry < word + BUCKET_OVERFLOW_WORD; entry += 2) {
        if (this.#image32[entry + 1] === ref) return entry;
      }
      bucket = this.#image32[word + BUCKET_OVERFLOW_WORD];
    }
    invariant(false, 'a used slot is referred to by the bucket of its key');
  }

  /** As `find`, of a key in words. */
  findWords(hash: number, words: Int32Array, bytes: number): number {
    const image32 = this.#image32;
    let bucket = this.headOf(hash);
    for (let hops = 0; hops < CHAIN_BUCKETS_MAX && this.#isBucketRef(bucket); hops++) {
      const word = bucket >>> 2;
      for (let entry = word; entry < word + BUCKET_OVERFLOW_WORD; entry += 2) {
        if (image32[entry] !== hash) continue;
        const ref = image32[entry + 1];
        if (this.#records.inRange(ref) && this.#records.keyIs(ref, words, bytes)) return ref;
      }
      bucket = image32[word + BUCKET_OVERFLOW_WORD];
    }
    return 0;
  }

  /** As `find`, inside a passage; also leaves in `entryWord` where the entry is, or where it could go. */
  locate(hash: number, key: Uint8Array, start: number, bytes: number): number {
    const image32 = this.#image32;
    let bucket = this.headOf(hash);
    let hole = 0;
    let buckets = 0;
    this.head = bucket;
    while (bucket !== 0) {
      const word = bucket >>> 2;
      this.#lastBucket = bucket;
      buckets++;
      for (let entry = word; entry < word + BUCKET_OVERFLOW_WORD; entry += 2) {
        const ref = image32[entry + 1];
        if (ref === 0) {
          if (hole === 0) hole = entry;
        } else if (image32[entry] === hash && this.#records.keyEquals(ref, key, start, bytes)) {
          this.entryWord = entry;
          return ref;
        }
      }
      bucket = image32[word + BUCKET_OVERFLOW_WORD];
    }
    this.#chainBuckets = buckets;
    this.entryWord = hole;
    return 0;
  }

  /** Leaves in `entryWord` the entry that refers to `ref`, which there must be. */
  locateRef(hash: number, ref: number): void {
    this.head = this.headOf(hash);
    this.entryWord = this.#entryOf(this.head, ref);
  }

  /** The record of this hash that has `chunk` at `position` of its list of extents, or 0: nobody refers to it. Bounded
   *  and range-checked, so it may run without the gate. */
  findOwner(hash: number, position: number, chunk: number): number {
    const image32 = this.#image32;
    let bucket = this.headOf(hash);
    for (let hops = 0; hops < CHAIN_BUCKETS_MAX && this.#isBucketRef(bucket); hops++) {
      const word = bucket >>> 2;
      for (let entry = word; entry < word + BUCKET_OVERFLOW_WORD; entry += 2) {
        const ref = image32[entry + 1];
        if (ref === 0 || image32[entry] !== hash) continue;
        if (this.#records.inRange(ref) && this.#records.refersTo(ref, position, chunk)) return ref;
      }
      bucket = image32[word + BUCKET_OVERFLOW_WORD];
    }
    return 0;
  }

  /** After a `locate` that found neither key nor hole: whether the chain may grow by one bucket. */
  chainMayGrow(): boolean {
    return this.#chainBuckets < CHAIN_BUCKETS_MAX;
  }

  /** Appends an overflow bucket to the chain that `locate` walked, inside a mutation, and points `entryWord`
   *  at its first entry. */
  growChain(mutation: Mutation): void {
    const bucket = this.#slab.takeSlot(
      mutation,
      OVERFLOW_CLASS,
      this.#slab.freeUnitOf(OVERFLOW_CLASS),
    );
    const word = bucket >>> 2;
    for (let i = 0; i < BUCKET_BYTES / 4; i++) this.#image32[word + i] = 0;
    mutation.patch(bucket, BUCKET_BYTES);
    const linkWord = (this.#lastBucket >>> 2) + BUCKET_OVERFLOW_WORD;
    this.#image32[linkWord] = bucket;
    mutation.patch(linkWord << 2, 4);
    this.entryWord = word;
  }

  /** Writes the entry at `entryWord` (hash 0, ref 0 = clear). */
  writeEntry(mutation: Mutation, hash: number, ref: number): void {
    this.#image32[this.entryWord] = hash;
    this.#image32[this.entryWord + 1] = ref;
    mutation.patch(this.entryWord << 2, 8);
  }

  /** Stamps the chain of `head` with the seq of the mutation that changes it. */
  touch(mutation: Mutation): void {
    const word = (this.head >>> 2) + BUCKET_SEQ_WORD;
    this.#image32[word] = mutation.seqLow;
    mutation.patch(word << 2, 4);
  }

  seqLow(hash: number): number {
    return this.#image32[(this.headOf(hash) >>> 2) + BUCKET_SEQ_WORD] >>> 0;
  }

  // ------------------------------------------------------------ growing

  /** Whether the next bucket needs an index chunk that is not there yet. */
  nextNeedsChunk(): boolean {
    return (this.count & IN_CHUNK_MASK) === 0;
  }

  atMaximum(): boolean {
    return this.count >= INDEX_CHUNKS_MAX << BUCKETS_PER_CHUNK_SHIFT;
  }

  /** Head bucket that the next split takes from. */
  nextSplitSource(): number {
    const mask = (1 << (32 - Math.clz32(this.count))) - 1;
    return this.refOf(this.count & (mask >>> 1));
  }

  /** One split, the body of a mutation. A chain of m buckets becomes two with at most m + 1 in all, so the
   *  overflow buckets at hand suffice. */
  split(mutation: Mutation): void {
    const target = this.count;
    const source = this.nextSplitSource();
    if (this.nextNeedsChunk()) {
      const position = target >>> BUCKETS_PER_CHUNK_SHIFT;
      const chunk = this.#slab.takeChunk(mutation, CHUNK_INDEX, 0, position);
      this.#image32[DIRECTORY_WORD + position] = chunk;
      mutation.patch((DIRECTORY_WORD + position) << 2, 4);
    }
    this.#image32[COUNT_WORD] = target + 1;
    mutation.patch(HEADER_BUCKET_COUNT, 4);
    const mask = (1 << (32 - Math.clz32(target))) - 1;
    let stayCount = 0;
    let moveCount = 0;
    this.#spareCount = 0;
    for (let bucket = source; bucket !== 0; ) {
      const word = bucket >>> 2;
      for (let entry = word; entry < word + BUCKET_OVERFLOW_WORD; entry += 2) {
        const ref = this.#image32[entry + 1];
        if (ref === 0) continue;
        const hash = this.#image32[entry];
        if ((hash & mask) === target) {
          this.#moveHashes[moveCount] = hash;
          this.#moveRefs[moveCount++] = ref;
        } else {
          this.#stayHashes[stayCount] = hash;
          this.#stayRefs[stayCount++] = ref;
        }
      }
      if (bucket !== source) this.#spareBuckets[this.#spareCount++] = bucket;
      bucket = this.#image32[word + BUCKET_OVERFLOW_WORD];
    }
    this.#writeChain(mutation, source, this.#stayHashes, this.#stayRefs, stayCount);
    this.#writeChain(mutation, this.refOf(target), this.#moveHashes, this.#moveRefs, moveCount);
    while (this.#spareCount > 0)
      this.#freeOverflow(mutation, this.#spareBuckets[--this.#spareCount]);
  }

  /** A free overflow bucket is all zero, so that a follower sees every ref come and go in a patch. */
  #freeOverflow(mutation: Mutation, bucket: number): void {
    mutation.zeroFill(bucket, BUCKET_BYTES);
    this.#slab.markFree(bucket, OVERFLOW_CLASS);
  }

  #writeChain(
    mutation: Mutation,
    head: number,
    hashes: Int32Array,
    refs: Int32Array,
    count: number,
  ): void {
    let bucket = head;
    for (let from = 0; ; from += BUCKET_ENTRIES) {
      const word = bucket >>> 2;
      for (let i = 0; i < BUCKET_ENTRIES; i++) {
        const at = from + i;
        this.#image32[word + i * 2] = at < count ? hashes[at] : 0;
        this.#image32[word + i * 2 + 1] = at < count ? refs[at] : 0;
      }
      const more = from + BUCKET_ENTRIES < count;
      const next = more ? this.#spareBuckets[--this.#spareCount] : 0;
      this.#image32[word + BUCKET_OVERFLOW_WORD] = next;
      this.#image32[word + BUCKET_SEQ_WORD] = bucket === head ? mutation.seqLow : 0;
      mutation.patch(bucket, BUCKET_BYTES);
      if (!more) return;
      bucket = next;
    }
  }

  // ------------------------------------------------------------ shrinking, after a flush

  hasOverflow(number: number): boolean {
    return this.#image32[(this.refOf(number) >>> 2) + BUCKET_OVERFLOW_WORD] !== 0;
  }

  /** Unlinks the overflow buckets of a chain without entries, the body of a mutation. */
  dropOverflow(mutation: Mutation, number: number): void {
    const linkWord = (this.refOf(number) >>> 2) + BUCKET_OVERFLOW_WORD;
    let bucket = this.#image32[linkWord];
    this.#image32[linkWord] = 0;
    mutation.patch(linkWord << 2, 4);
    while (bucket !== 0) {
      const next = this.#image32[(bucket >>> 2) + BUCKET_OVERFLOW_WORD];
      this.#freeOverflow(mutation, bucket);
      bucket = next;
    }
  }

  /** Makes an index without entries one chunk smaller, the body of a mutation. */
  dropLastChunk(mutation: Mutation): void {
    const position = (this.count - 1) >>> BUCKETS_PER_CHUNK_SHIFT;
    this.#image32[COUNT_WORD] = position << BUCKETS_PER_CHUNK_SHIFT;
    mutation.patch(HEADER_BUCKET_COUNT, 4);
    this.#slab.releaseChunk(mutation, this.#image32[DIRECTORY_WORD + position]);
    this.#image32[DIRECTORY_WORD + position] = 0;
    mutation.patch((DIRECTORY_WORD + position) << 2, 4);
  }

  // ------------------------------------------------------------ walking

  /** Visits every ref of a bucket's chain. Bounded and range-checked, so it may run without the gate. */
  visitChain(number: number, visit: (ref: number, hash: number) => void): void {
    let bucket = this.refOf(number);
    for (let hops = 0; hops < CHAIN_BUCKETS_MAX && this.#isBucketRef(bucket); hops++) {
      const word = bucket >>> 2;
      for (let entry = word; entry < word + BUCKET_OVERFLOW_WORD; entry += 2) {
        const ref = this.#image32[entry + 1];
        if (ref !== 0 && this.#records.inRange(ref)) visit(ref, this.#image32[entry]);
      }
      bucket = this.#image32[word + BUCKET_OVERFLOW_WORD];
    }
  }

  hashOfRecord(ref: number): number {
    return hashKey(
      this.#memory.imageBuffer,
      this.#records.keyOffset(ref),
      this.#records.keyBytes(ref),
    );
  }

  /** Whether a chunk of this kind holds buckets. */
  static holdsBuckets(kind: number): boolean {
    return kind === CHUNK_INDEX || kind === CHUNK_OVERFLOW;
  }
}
