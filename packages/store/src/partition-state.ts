/** What stands in a partition's named words: gate, role, epoch, seal, counters.
 *
 *  The base of Partition: it opens and closes passages and the read protocol, and changes nothing in the image.
 *  Role, epoch and seal change in passages, so what is read of them inside one holds until its end. */
import { beginRead, endRead, enterGate, leaveGate, TORN_READS_MAX, tryBeginRead } from './gate.ts';
import type { Geometry } from './geometry.ts';
import {
  CHUNK_BYTES,
  SCRATCH_CAPACITY_CHUNKS_WORD,
  SCRATCH_CHECKED_WORD,
  SCRATCH_CLOCK_F64,
  SCRATCH_CONSISTENT_WORD,
  SCRATCH_DRAIN_UNIT_WORD,
  SCRATCH_DRAINS_F64,
  SCRATCH_EPOCH_WORD,
  SCRATCH_EVICTIONS_F64,
  SCRATCH_EXPIRIES_F64,
  SCRATCH_GENERATION_WORD,
  SCRATCH_KEY_COUNT_WORD,
  SCRATCH_LANDINGS_WORD,
  SCRATCH_RECOVERED_WORD,
  SCRATCH_MOVES_F64,
  SCRATCH_RECORD_COUNT_WORD,
  SCRATCH_RING_HEAD_F64,
  SCRATCH_RING_TAIL_F64,
  SCRATCH_ROOM_WORK_F64,
  SCRATCH_SEQ_F64,
  SCRATCH_USED_CHUNKS_WORD,
} from './layout.ts';
import * as layout from './layout.ts';
import type { PartitionMemory } from './memory.ts';
import { ROLE_PRIMARY } from './mutation.ts';

// V8 folds the constants of a module itself; imported ones are loaded and checked at each use.
const { SCRATCH_ROLE_WORD, SCRATCH_SEALED_WORD } = layout;

/** What replication needs of a partition, read under one even gate. */
export interface StableView {
  seq: number;
  generation: number;
  ringHead: number;
  ringTail: number;
  epoch: number;
  role: number;
  consistent: boolean;
  checked: boolean;
  /** Highest clock seen, unix ms. */
  clockMs: number;
  /** Rises when bytes of the image change other than by redo: where it is the same, redo tells all that changed. */
  landings: number;
}

export function newStableView(): StableView {
  return {
    ...{ seq: 0, generation: 0, ringHead: 0, ringTail: 0 },
    ...{ epoch: 0, role: 0, consistent: false, checked: false },
    ...{ clockMs: 0, landings: 0 },
  };
}

export interface PartitionStats {
  /** Last committed seq of a primary, last applied one of a follower. */
  readonly seq: number;
  readonly keys: number;
  readonly records: number;
  readonly usedBytes: number;
  readonly capacityBytes: number;
  readonly evictions: number;
  readonly expiries: number;
  /** Records that changed their slot, so that a chunk came free. */
  readonly moves: number;
  /** Chunks that were emptied and given back. */
  readonly drains: number;
  /** Chunks being emptied: 0 or 1. */
  readonly draining: number;
  /** Units of work spent on making room by draining: slots looked at, and 8 per record moved or removed. */
  readonly roomWork: number;
}

export class PartitionState {
  readonly id: number;
  readonly geometry: Geometry;
  readonly #scratch32: Int32Array;
  readonly #scratch64: Float64Array;

  constructor(id: number, memory: PartitionMemory) {
    this.id = id;
    this.geometry = memory.geometry;
    this.#scratch32 = memory.scratch32;
    this.#scratch64 = memory.scratch64;
  }

  // ------------------------------------------------------------ gate

  enter(): void {
    enterGate(this.#scratch32);
  }

  leave(): void {
    leaveGate(this.#scratch32);
  }

  readBegin(): number {
    return beginRead(this.#scratch32);
  }

  readEnd(token: number): boolean {
    return endRead(this.#scratch32, token);
  }

  /** Fills `view` under one even gate; false when a writer is inside or came by: try again later. */
  tryStable(view: StableView): boolean {
    const token = tryBeginRead(this.#scratch32);
    if (token === -1) return false;
    view.seq = this.#scratch64[SCRATCH_SEQ_F64];
    view.generation = this.#scratch32[SCRATCH_GENERATION_WORD] >>> 0;
    view.ringHead = this.#scratch64[SCRATCH_RING_HEAD_F64];
    view.ringTail = this.#scratch64[SCRATCH_RING_TAIL_F64];
    view.epoch = this.#scratch32[SCRATCH_EPOCH_WORD] >>> 0;
    view.role = this.#scratch32[SCRATCH_ROLE_WORD];
    view.consistent = this.#scratch32[SCRATCH_CONSISTENT_WORD] !== 0;
    view.checked = this.#scratch32[SCRATCH_CHECKED_WORD] !== 0;
    view.clockMs = this.#scratch64[SCRATCH_CLOCK_F64];
    view.landings = this.#scratch32[SCRATCH_LANDINGS_WORD];
    return endRead(this.#scratch32, token);
  }

  // ------------------------------------------------------------ state words

  role(): number {
    return Atomics.load(this.#scratch32, SCRATCH_ROLE_WORD);
  }

  epoch(): number {
    return Atomics.load(this.#scratch32, SCRATCH_EPOCH_WORD) >>> 0;
  }

  sealed(): boolean {
    return Atomics.load(this.#scratch32, SCRATCH_SEALED_WORD) !== 0;
  }

  /** A primary is always consistent. */
  consistent(): boolean {
    return Atomics.load(this.#scratch32, SCRATCH_CONSISTENT_WORD) !== 0;
  }

  checked(): boolean {
    return Atomics.load(this.#scratch32, SCRATCH_CHECKED_WORD) !== 0;
  }

  /** Whether writes are taken, re-read inside a passage: role and seal change only in passages. */
  mayWrite(): boolean {
    return (
      this.#scratch32[SCRATCH_ROLE_WORD] === ROLE_PRIMARY &&
      this.#scratch32[SCRATCH_SEALED_WORD] === 0
    );
  }

  /** Sets role and epoch, in a passage of its own; lifts a seal. */
  setRole(role: number, epoch: number): void {
    this.enter();
    Atomics.store(this.#scratch32, SCRATCH_ROLE_WORD, role);
    Atomics.store(this.#scratch32, SCRATCH_EPOCH_WORD, epoch);
    Atomics.store(this.#scratch32, SCRATCH_SEALED_WORD, 0);
    this.leave();
  }

  /** Stops or resumes taking writes, in a passage of its own. Returns the committed seq. */
  seal(on: boolean): number {
    this.enter();
    Atomics.store(this.#scratch32, SCRATCH_SEALED_WORD, on ? 1 : 0);
    const seq = this.#scratch64[SCRATCH_SEQ_F64];
    this.leave();
    return seq;
  }

  setChecked(on: boolean): void {
    Atomics.store(this.#scratch32, SCRATCH_CHECKED_WORD, on ? 1 : 0);
  }

  /** What is here was read from this node's disk, and no primary has vouched for it since: others may have more. */
  recovered(): boolean {
    return Atomics.load(this.#scratch32, SCRATCH_RECOVERED_WORD) !== 0;
  }

  setRecovered(on: boolean): void {
    Atomics.store(this.#scratch32, SCRATCH_RECOVERED_WORD, on ? 1 : 0);
  }

  /** Raises or lowers how many chunks may be in use; never above what the image is laid out for. */
  setCapacityChunks(chunks: number): void {
    const bounded = Math.min(chunks, this.geometry.chunkCount);
    Atomics.store(this.#scratch32, SCRATCH_CAPACITY_CHUNKS_WORD, bounded);
  }

  /** As in `StableView`. A glance. */
  landings(): number {
    return Atomics.load(this.#scratch32, SCRATCH_LANDINGS_WORD);
  }

  /** As `stats().seq`. */
  committedSeq(): number {
    return this.#scratch64[SCRATCH_SEQ_F64];
  }

  /** Absolute byte position of the ring's head: how far it moved tells how much redo was written. A glance. */
  ringHead(): number {
    return this.#scratch64[SCRATCH_RING_HEAD_F64];
  }

  stats(): PartitionStats {
    return {
      seq: this.#scratch64[SCRATCH_SEQ_F64],
      keys: this.#scratch32[SCRATCH_KEY_COUNT_WORD],
      records: this.#scratch32[SCRATCH_RECORD_COUNT_WORD],
      usedBytes: this.#scratch32[SCRATCH_USED_CHUNKS_WORD] * CHUNK_BYTES,
      capacityBytes: this.#scratch32[SCRATCH_CAPACITY_CHUNKS_WORD] * CHUNK_BYTES,
      evictions: this.#scratch64[SCRATCH_EVICTIONS_F64],
      expiries: this.#scratch64[SCRATCH_EXPIRIES_F64],
      moves: this.#scratch64[SCRATCH_MOVES_F64],
      drains: this.#scratch64[SCRATCH_DRAINS_F64],
      draining: this.#scratch32[SCRATCH_DRAIN_UNIT_WORD] === 0 ? 0 : 1,
      roomWork: this.#scratch64[SCRATCH_ROOM_WORK_F64],
    };
  }

  /** Runs `read` under the read protocol until it was not disturbed, at last through the gate itself. */
  readStable<T>(read: () => T): T {
    for (let torn = 0; torn < TORN_READS_MAX; torn++) {
      const token = this.readBegin();
      const result = read();
      if (this.readEnd(token)) return result;
    }
    this.enter();
    const result = read();
    this.leave();
    return result;
  }
}
