/** Numbers added to fields of struct records, in place: the smallest write there is.
 *
 *  One passage of its own each: two atomic operations, one look at the key's bucket, a mutation of the field's words, the
 *  record's seq and the bucket's. No BigInt, no allocation. The clock, which would take as long as half of it, is asked where
 *  the record expires, and else once in a while: the partition's own, the highest that it has seen, does for the rest.
 *  Owner: one thread, one partition. */
import type { Buckets } from './buckets.ts';
import { enterGate, leaveGate } from './gate.ts';
import { CHUNK_SHIFT, SCRATCH_CLOCK_F64 } from './layout.ts';
import type { MapKey } from './map-key.ts';
import type { Clock } from './map-options.ts';
import type { Mutation } from './mutation.ts';
import type { Records } from './record.ts';
import type { Slab } from './slab.ts';
import { ABSENT, FIELD_WOULD_OVERFLOW, type StructRecords } from './struct-records.ts';
import type { LargeWriteParts } from './large-write.ts';
import type { CountedField } from './counted-field.ts';
import { SET_OK } from './writer.ts';

/** A key, and where and what its record was the last time. */
export class Whereabouts {
  readonly key: MapKey;
  hash: number;
  entryWord = 0;
  ref = 0;
  seqLow = 0;
  seqHigh = 0;

  constructor(key: MapKey) {
    this.key = key;
    this.hash = key.hash;
  }

  /** Makes it this key. */
  take(key: string | Uint8Array): void {
    this.key.take(key);
    this.hash = this.key.hash;
  }
}

/** How many sums in a row may go without asking the clock: generations of 100 ms need it now and then. */
const UNTIMED_MAX = 64;
/** The record expires, and the clock was not asked. */
const ASK = -20;

export class FieldSums {
  /** What the field holds since the last `add` that said SET_OK. */
  sum = 0;
  readonly #scratch32: Int32Array;
  readonly #scratch64: Float64Array;
  readonly #buckets: Buckets;
  readonly #records: Records;
  readonly #mutation: Mutation;
  readonly #slab: Slab;
  readonly #structs: StructRecords;
  #untimed = 0;

  constructor(parts: LargeWriteParts, structs: StructRecords) {
    this.#scratch32 = parts.memory.scratch32;
    this.#scratch64 = parts.memory.scratch64;
    this.#buckets = parts.buckets;
    this.#records = parts.records;
    this.#mutation = parts.mutation;
    this.#slab = parts.slab;
    this.#structs = structs;
  }

  /** Adds to the field of the record with this key. Returns SET_OK and leaves the new value in `sum`; or ABSENT,
   *  STRUCT_MISMATCH, FIELD_WOULD_OVERFLOW, OUT_OF_MEMORY, and nothing has changed. Takes the gate itself. */
  add(where: Whereabouts, counted: CountedField, by: number, clock: Clock): number {
    let code = ASK;
    if (this.#untimed < UNTIMED_MAX) {
      this.#untimed++;
      enterGate(this.#scratch32);
      code = this.#addInside(where, counted, by, ASK);
      leaveGate(this.#scratch32);
    }
    if (code !== ASK) return code;
    this.#untimed = 0;
    const nowMs = clock();
    enterGate(this.#scratch32);
    code = this.#addInside(where, counted, by, nowMs);
    leaveGate(this.#scratch32);
    return code;
  }

  #addInside(where: Whereabouts, counted: CountedField, by: number, clockMs: number): number {
    const records = this.#records;
    const ref = this.#locate(where);
    if (ref === 0 || records.isFlushed(ref)) return ABSENT;
    let nowMs = clockMs;
    if (clockMs === ASK) {
      if (records.expires(ref)) return ASK;
      nowMs = this.#scratch64[SCRATCH_CLOCK_F64];
    } else if (records.isExpired(ref, nowMs)) return ABSENT;
    const { field } = counted;
    const head = this.#structs.headOf(ref, counted.fingerprint, counted.headBytes);
    if (head < 0) return head;
    const { image } = this.#structs;
    const was = image.readNumber(field, head);
    let sum = was + by;
    if (was < counted.min || was > counted.max || sum < counted.min || sum > counted.max) {
      return FIELD_WOULD_OVERFLOW;
    }
    if (field.kind === 'f32') sum = Math.fround(sum);
    if (this.#slab.isPinned(ref >>> CHUNK_SHIFT)) {
      const code = this.#structs.writeNumber(where.hash, where.key.bytes(), counted, sum, nowMs);
      if (code === SET_OK) this.sum = sum;
      return code;
    }
    const mutation = this.#mutation;
    mutation.begin(this.#buckets.head, nowMs);
    image.writeNumber(field, head, sum);
    this.#structs.commitField(ref, head, field);
    where.entryWord = this.#buckets.entryWord;
    where.ref = ref;
    where.seqLow = mutation.seqLow;
    where.seqHigh = mutation.seqHigh;
    this.sum = sum;
    return SET_OK;
  }

  /** What the bucket refers to at the same place, written last by us, is the record still: no other has its seq. Else it is
   *  looked for by its key. */
  #locate(where: Whereabouts): number {
    const { hash, entryWord, ref } = where;
    if (
      ref !== 0 &&
      this.#buckets.isEntry(hash, entryWord, ref) &&
      this.#records.seqIs(ref, where.seqLow, where.seqHigh)
    ) {
      return ref;
    }
    const { words, length } = where.key;
    return this.#buckets.locateWords(hash, words, length);
  }
}
