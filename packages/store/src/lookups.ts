/** Reads of single records in process: `get` and `getInto` of a map.
 *
 *  Read protocol, no passage. What most records are, their whole value behind their key and no expiry, is read here by words,
 *  with few calls, and without asking the clock, which alone costs 40 ns. The rest goes the general way.
 *  Owner: one thread, one partition. */
import type { Buckets } from './buckets.ts';
import { beginRead, endRead, enterGate, leaveGate, TORN_READS_MAX } from './gate.ts';
import * as layout from './layout.ts';
import type { MapKey } from './map-key.ts';
import type { Clock } from './map-options.ts';
import type { PartitionMemory } from './memory.ts';
import type { Records } from './record.ts';
import type { Sieve } from './sieve.ts';
import { SMALL_COPY_BYTES_MAX, type SmallCopies } from './small-copies.ts';
import type { Values } from './values.ts';

// V8 folds the constants of a module itself; imported ones are loaded and checked at each use.
const { CHUNK_BYTES, CHUNK_MASK, RECORD_HEADER_BYTES } = layout;

const ABSENT = -1;
/** The value is not all behind the key. */
const ELSEWHERE = -2;
const FLAGS_SHIFT = 24;

export interface LookupParts {
  readonly memory: PartitionMemory;
  readonly buckets: Buckets;
  readonly records: Records;
  readonly sieve: Sieve;
  readonly values: Values;
}

export class Lookups {
  readonly #image: Buffer;
  readonly #image32: Int32Array;
  readonly #scratch32: Int32Array;
  readonly #buckets: Buckets;
  readonly #records: Records;
  readonly #sieve: Sieve;
  readonly #values: Values;

  constructor(parts: LookupParts) {
    this.#image = parts.memory.imageBuffer;
    this.#image32 = parts.memory.image32;
    this.#scratch32 = parts.memory.scratch32;
    this.#buckets = parts.buckets;
    this.#records = parts.records;
    this.#sieve = parts.sieve;
    this.#values = parts.values;
  }

  /** A copy of the value, or null. */
  get(key: MapKey, clock: Clock, copies: SmallCopies): Buffer | null {
    const { hash, words, length } = key;
    for (let torn = 0; torn < TORN_READS_MAX; torn++) {
      const token = beginRead(this.#scratch32);
      const ref = this.#buckets.findWords(hash, words, length);
      const bytes = ref === 0 ? ABSENT : this.#plainBytes(ref, length, clock);
      if (bytes === ELSEWHERE) break;
      let long: Buffer | null = null;
      if (bytes > SMALL_COPY_BYTES_MAX)
        long = this.#copy(ref + RECORD_HEADER_BYTES + length, bytes);
      else if (bytes > 0) copies.put(this.#image32, ref + RECORD_HEADER_BYTES + length, bytes);
      if (!endRead(this.#scratch32, token)) continue;
      if (bytes === ABSENT) return null;
      this.#sieve.mark(ref);
      return long ?? copies.take(bytes);
    }
    return this.#values.copy(hash, key.bytes(), 0, length, clock());
  }

  /** Copies the value into `target` from `at` on, as far as there is room. Returns the bytes that the value has, or -1. */
  getInto(key: MapKey, target: Buffer, at: number, clock: Clock, copies: SmallCopies): number {
    const { hash, words, length } = key;
    for (let torn = 0; ; torn++) {
      const isLast = torn === TORN_READS_MAX;
      const token = isLast ? this.#enter() : beginRead(this.#scratch32);
      const ref = this.#buckets.findWords(hash, words, length);
      let bytes = ref === 0 ? ABSENT : this.#plainBytes(ref, length, clock);
      if (bytes === ELSEWHERE) {
        bytes = this.#records.valueBytes(ref);
        this.#records.copyValue(ref, 0, target.length - at, target, at);
      } else if (bytes > 0) {
        const from = ref + RECORD_HEADER_BYTES + length;
        const wanted = Math.max(Math.min(bytes, target.length - at), 0);
        const isSmall = wanted <= SMALL_COPY_BYTES_MAX;
        if (!isSmall || !copies.into(this.#image32, from, target, at, wanted)) {
          this.#image.copy(target, at, from, from + wanted);
        }
      }
      if (isLast) leaveGate(this.#scratch32);
      else if (!endRead(this.#scratch32, token)) continue;
      if (bytes !== ABSENT) this.#sieve.mark(ref);
      return bytes;
    }
  }

  #enter(): number {
    enterGate(this.#scratch32);
    return 0;
  }

  /** Bytes of a value that stands behind its key of `keyBytes`; ABSENT: readers must not see it. What a torn read gives lies
   *  within the chunk. */
  #plainBytes(ref: number, keyBytes: number, clock: Clock): number {
    const word = ref >>> 2;
    const image32 = this.#image32;
    if (image32[word + 1] >>> FLAGS_SHIFT !== 0) {
      return this.#records.isAbsent(ref, clock()) ? ABSENT : ELSEWHERE;
    }
    if ((image32[word + 2] | image32[word + 3]) !== 0 && this.#records.isExpired(ref, clock())) {
      return ABSENT;
    }
    if (this.#records.isFlushed(ref)) return ABSENT;
    const bytes = image32[word];
    const room = CHUNK_BYTES - (ref & CHUNK_MASK) - RECORD_HEADER_BYTES - keyBytes;
    return bytes >= 0 && bytes <= room ? bytes : 0;
  }

  #copy(from: number, bytes: number): Buffer {
    const copy = Buffer.allocUnsafe(bytes);
    this.#image.copy(copy, 0, from, from + bytes);
    return copy;
  }
}
