/** What may be done to the bytes of a value beside setting it whole: large writes, changes of a part, pins, copies in pieces.
 *
 *  One per attached thread, `partition.values`. Each method says where it runs: inside a passage of the caller's, or
 *  outside the gate. Codes are negative: OUT_OF_MEMORY, TOO_LARGE, NEEDS_PASSAGES, BUSY, VOID. */
import type { Buckets } from './buckets.ts';
import { enterGate, leaveGate } from './gate.ts';
import { LargeWrite, type LargeWriteParts } from './large-write.ts';
import type { Pin, Pins, PinStats } from './pins.ts';
import type { Records } from './record.ts';
import type { Sieve } from './sieve.ts';
import { APPEND, ValueEdit } from './value-edit.ts';
import { COPY_ABSENT, COPY_CHANGED, COPY_MORE, ValueCopy } from './value-copy.ts';
import { valueBytesMaxOf } from './value-plan.ts';
import { SET_OK } from './writer.ts';

/** How often a copy in pieces begins again because the value changed, before it goes through the gate. */
const RESTARTS_MAX = 8;

export class Values {
  readonly #parts: LargeWriteParts;
  readonly #buckets: Buckets;
  readonly #records: Records;
  readonly #scratch32: Int32Array;
  readonly #pins: Pins;
  readonly #edit: ValueEdit;
  readonly #sieve: Sieve;

  constructor(parts: LargeWriteParts, sieve: Sieve) {
    this.#parts = parts;
    this.#sieve = sieve;
    this.#buckets = parts.buckets;
    this.#records = parts.records;
    this.#scratch32 = parts.memory.scratch32;
    this.#pins = parts.pins;
    this.#edit = new ValueEdit(parts);
  }

  /** The longest value that a key of this length may have; 0: the key is too long. */
  valueBytesMax(keyBytes: number): number {
    return valueBytesMaxOf(keyBytes, this.#parts.memory.geometry.valueMaxBytes);
  }

  // ------------------------------------------------------------ writing

  /** Begins to write a value of `valueBytes` bytes, outside the gate; keeps a copy of the key. Returns the write, or
   *  TOO_LARGE, BUSY, VOID. For values of any size, but made for those that `set` says NEEDS_PASSAGES to. */
  beginLarge(
    hash: number,
    key: Uint8Array,
    start: number,
    bytes: number,
    valueBytes: number,
    mayWrite?: () => boolean,
  ): LargeWrite | number {
    const ownKey = Buffer.from(key.subarray(start, start + bytes));
    return LargeWrite.begin(this.#parts, { hash, key: ownKey, valueBytes, mayWrite });
  }

  /** Inside a passage: adds bytes to the end of a value, or makes it. Returns the bytes that the value has now, or
   *  OUT_OF_MEMORY, TOO_LARGE, NEEDS_PASSAGES (see `beginEdit`). The expiry stays. */
  append(
    hash: number,
    key: Uint8Array,
    keyStart: number,
    keyBytes: number,
    source: Uint8Array,
    start: number,
    bytes: number,
    nowMs: number,
  ): number {
    this.#edit.describe(hash, key, keyStart, keyBytes, APPEND, source, start, bytes);
    return this.#edit.run(nowMs);
  }

  /** As `append`, but the bytes go to byte `offset` of the value; what lies between its end and there becomes zeros. */
  setRange(
    hash: number,
    key: Uint8Array,
    keyStart: number,
    keyBytes: number,
    offset: number,
    source: Uint8Array,
    start: number,
    bytes: number,
    nowMs: number,
  ): number {
    this.#edit.describe(hash, key, keyStart, keyBytes, offset, source, start, bytes);
    return this.#edit.run(nowMs);
  }

  /** What `append` (offset APPEND) and `setRange` said NEEDS_PASSAGES to, outside the gate: call `step` of what is returned
   *  until it returns something else than MORE. `key` and `source` stay as they are until then. Or BUSY, VOID. */
  beginEdit(
    hash: number,
    key: Uint8Array,
    keyStart: number,
    keyBytes: number,
    offset: number,
    source: Uint8Array,
    start: number,
    bytes: number,
    mayWrite?: () => boolean,
  ): ValueEdit | number {
    const edit = new ValueEdit(this.#parts);
    edit.describe(hash, key, keyStart, keyBytes, offset, source, start, bytes);
    const code = edit.begin(mayWrite);
    return code === SET_OK ? edit : code;
  }

  // ------------------------------------------------------------ reading

  /** Pins a value: views of its bytes in the image, which stay as they are until `unpin`. Null: there is no such key, or
   *  this copy is not led here. Notes the read. Outside the gate. */
  pin(hash: number, key: Uint8Array, start: number, bytes: number, nowMs: number): Pin | null {
    let ref = 0;
    const pin = this.#pins.pin(() => (ref = this.#find(hash, key, start, bytes, nowMs)), nowMs);
    if (pin !== null) this.#sieve.mark(ref);
    return pin;
  }

  /** Pins the value of a record of a primary that was found since the read with this token began, and ends the read;
   *  notes it. Null: it was torn. */
  pinRead(ref: number, token: number, nowMs: number): Pin | null {
    const pin = this.#pins.pinRead(ref, token, nowMs);
    if (pin !== null) this.#sieve.mark(ref);
    return pin;
  }

  /** Pins the value of a record that was found inside this passage. */
  pinInside(ref: number, nowMs: number): Pin {
    return this.#pins.pinInside(ref, nowMs);
  }

  /** What is pinned, by all threads. */
  pinStats(nowMs: number): PinStats {
    return this.#pins.stats(nowMs);
  }

  /** A copy of a value, noted as a read, made in pieces of 64 KiB, so that a large one is read while others write: each piece counts if the
   *  gate stood still and the key still has the same value. If that changes too often, through the gate. Null: there
   *  is no such key. Outside the gate, on any copy that may be read. */
  copy(hash: number, key: Uint8Array, start: number, bytes: number, nowMs: number): Buffer | null {
    for (let restarts = 0; restarts < RESTARTS_MAX; restarts++) {
      const copied = this.#copyInPieces(hash, key, start, bytes, nowMs);
      if (copied !== undefined) return copied;
    }
    enterGate(this.#scratch32);
    const ref = this.#find(hash, key, start, bytes, nowMs);
    const value = ref === 0 ? null : Buffer.allocUnsafe(this.#records.valueBytes(ref));
    if (value !== null) this.#records.copyValue(ref, 0, value.length, value, 0);
    leaveGate(this.#scratch32);
    return value;
  }

  /** Undefined: the value changed meanwhile. */
  #copyInPieces(
    hash: number,
    key: Uint8Array,
    start: number,
    bytes: number,
    nowMs: number,
  ): Buffer | null | undefined {
    const copy = this.beginCopy(hash, key, start, bytes, nowMs);
    let state = copy.step();
    while (state === COPY_MORE) state = copy.step();
    if (state === COPY_ABSENT) return null;
    if (state === COPY_CHANGED) return undefined;
    this.#sieve.mark(copy.ref);
    return copy.value;
  }

  /** The same in the caller's time: call `step` of what is returned until it returns something else than COPY_MORE.
   *  `key` stays as it is until then. */
  beginCopy(hash: number, key: Uint8Array, start: number, bytes: number, nowMs: number): ValueCopy {
    const find = (): number => this.#find(hash, key, start, bytes, nowMs);
    return new ValueCopy(this.#scratch32, this.#records, find);
  }

  #find(hash: number, key: Uint8Array, start: number, bytes: number, nowMs: number): number {
    const ref = this.#buckets.find(hash, key, start, bytes);
    return ref !== 0 && this.#records.isAbsent(ref, nowMs) ? 0 : ref;
  }
}
