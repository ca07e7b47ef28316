/** A copy of a value in pieces, so that a large one is read while others write: each piece counts if the gate stood still
 *  and the record still has the seq of the first. For copies that may be read but not pinned, such as a follower's.
 *  Owner: one thread, outside the gate. */
import { beginRead, endRead, TORN_READS_MAX } from './gate.ts';
import { CHUNK_BYTES } from './layout.ts';
import type { Records } from './record.ts';

/** `step` has copied a piece: call again. */
export const COPY_MORE = 0;
/** `value` is the value, as it was under `seq`. */
export const COPY_WHOLE = 1;
/** There is no such key. */
export const COPY_ABSENT = 2;
/** The value changed meanwhile: begin again. */
export const COPY_CHANGED = 3;

export class ValueCopy {
  value: Buffer | null = null;
  seq = -1;
  /** Found last, 0 = nothing. */
  ref = 0;
  readonly #scratch32: Int32Array;
  readonly #records: Records;
  readonly #find: () => number;
  #copied = 0;

  /** `find` returns the record, or 0; asked for each piece. */
  constructor(scratch32: Int32Array, records: Records, find: () => number) {
    this.#scratch32 = scratch32;
    this.#records = records;
    this.#find = find;
  }

  /** Copies 64 KiB at most; the first step that finds a larger value only allocates it. */
  step(): number {
    for (let torn = 0; torn < TORN_READS_MAX; torn++) {
      const token = beginRead(this.#scratch32);
      const ref = this.#find();
      const seq = ref === 0 ? 0 : this.#records.seq(ref);
      const length = ref === 0 ? 0 : this.#records.valueBytes(ref);
      // A large length is not believed before the gate says so: a torn one would cost its memory.
      const isFirst = this.value === null;
      const target = isFirst && length <= CHUNK_BYTES ? Buffer.allocUnsafe(length) : this.value;
      const at = this.#copied;
      const piece = target === null ? 0 : this.#records.copyValue(ref, at, CHUNK_BYTES, target, at);
      if (!endRead(this.#scratch32, token)) continue;
      if (ref === 0) return isFirst ? COPY_ABSENT : COPY_CHANGED;
      this.ref = ref;
      if (isFirst) this.seq = seq;
      else if (seq !== this.seq) return COPY_CHANGED;
      this.value = target ?? Buffer.allocUnsafe(length);
      this.#copied += piece;
      if (this.#copied >= this.value.length) return COPY_WHOLE;
      // A damaged record leads nowhere.
      return target !== null && piece === 0 ? COPY_CHANGED : COPY_MORE;
    }
    return COPY_CHANGED;
  }
}
