/** Extents: whole chunks that hold 64 KiB of one value each; who refers to them, and what becomes of those that nobody does.
 *
 *  Owner: whoever is inside the gate of a partition that is led here. The image says whose an extent is (hash of the key,
 *  and position); a record of that hash that lists it there refers to it. All others are orphans: being written,
 *  pinned meanwhile, or let go of. Those that were let go of here are in a list in scratch, so that whoever
 *  needs a chunk finds one at once; what a former primary left is found by the sweeper.
 *  Invariant: a chunk in the list is an extent that no record refers to. */
import type { Buckets } from './buckets.ts';
import { invariant } from './errors.ts';
import {
  CHUNK_EXTENT,
  CHUNK_SHIFT,
  EXTENT_CLASS,
  PAGES_PER_CHUNK_SHIFT,
  SCRATCH_ORPHAN_HEAD_WORD,
} from './layout.ts';
import type { PartitionMemory } from './memory.ts';
import type { Mutation } from './mutation.ts';
import type { Records } from './record.ts';
import type { Slab } from './slab.ts';

/** Pinned orphans that a search passes by. */
const PINNED_HOPS_MAX = 64;
/** Given back at once by who deletes or replaces a value: about 10 us each. */
const RECLAIMED_AT_ONCE = 4;
/** In `freeCounts` of its first page, which extents have no use for. */
const IN_LIST = 1;

export class Extents {
  readonly #scratch32: Int32Array;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #listed: Int16Array;
  readonly #buckets: Buckets;
  readonly #records: Records;
  readonly #slab: Slab;
  readonly #mutation: Mutation;
  /** Whether the chunk that `take` gave may hold anything but zeros. */
  isDirty = false;
  /** The orphan that `mayTake` chose, 0 = a new chunk. */
  #chosen = 0;

  constructor(
    memory: PartitionMemory,
    parts: { buckets: Buckets; records: Records; slab: Slab; mutation: Mutation },
  ) {
    this.#scratch32 = memory.scratch32;
    this.#next = memory.nextFree;
    this.#previous = memory.previousFree;
    this.#listed = memory.freeCounts;
    this.#buckets = parts.buckets;
    this.#records = parts.records;
    this.#slab = parts.slab;
    this.#mutation = parts.mutation;
  }

  /** The record that refers to an extent, or 0. Inside a passage, or as a guess that is asked again inside one. */
  ownerOf(chunk: number): number {
    return this.#buckets.findOwner(this.#slab.owner(chunk), this.#slab.position(chunk), chunk);
  }

  get count(): number {
    return this.#slab.classUnitCount(EXTENT_CLASS);
  }

  // ------------------------------------------------------------ orphans

  /** Nobody refers to the extents of the record at `ref` any more: it is about to go, or has just gone. */
  letGo(ref: number): void {
    const count = this.#records.extentCount(ref);
    for (let i = 0; i < count; i++) this.orphan(this.#records.extentAt(ref, i));
  }

  /** Nobody refers to this chunk any more; it may be reclaimed from now on. */
  orphan(chunk: number): void {
    const page = chunk << PAGES_PER_CHUNK_SHIFT;
    if (this.#listed[page] === IN_LIST) return;
    const head = this.#scratch32[SCRATCH_ORPHAN_HEAD_WORD];
    this.#next[page] = head;
    this.#previous[page] = 0;
    if (head !== 0) this.#previous[head << PAGES_PER_CHUNK_SHIFT] = chunk;
    this.#scratch32[SCRATCH_ORPHAN_HEAD_WORD] = chunk;
    this.#listed[page] = IN_LIST;
  }

  #unlist(chunk: number): void {
    const page = chunk << PAGES_PER_CHUNK_SHIFT;
    if (this.#listed[page] !== IN_LIST) return;
    const next = this.#next[page];
    const previous = this.#previous[page];
    if (previous === 0) this.#scratch32[SCRATCH_ORPHAN_HEAD_WORD] = next;
    else this.#next[previous << PAGES_PER_CHUNK_SHIFT] = next;
    if (next !== 0) this.#previous[next << PAGES_PER_CHUNK_SHIFT] = previous;
    this.#listed[page] = 0;
  }

  /** An orphan that nobody holds, or 0. */
  findOrphan(): number {
    let chunk = this.#scratch32[SCRATCH_ORPHAN_HEAD_WORD];
    for (let hops = 0; chunk !== 0 && hops < PINNED_HOPS_MAX; hops++) {
      if (!this.#slab.isPinned(chunk)) return chunk;
      chunk = this.#next[chunk << PAGES_PER_CHUNK_SHIFT];
    }
    return 0;
  }

  /** Gives one orphan back. False: there is none, or all are pinned. */
  reclaimOrphan(nowMs: number): boolean {
    const chunk = this.findOrphan();
    if (chunk !== 0) this.#release(chunk, nowMs);
    return chunk !== 0;
  }

  /** After a mutation that let go of extents: a few at once, the rest is for the sweeper and for who needs chunks. */
  reclaimSome(nowMs: number): void {
    for (let i = 0; i < RECLAIMED_AT_ONCE && this.reclaimOrphan(nowMs); i++);
  }

  /** Gives an extent back if nobody refers to it or holds it. */
  releaseIfOrphan(chunk: number, nowMs: number): boolean {
    if (this.#slab.kind(chunk) !== CHUNK_EXTENT || this.#slab.isPinned(chunk)) return false;
    if (this.ownerOf(chunk) !== 0) return false;
    this.#release(chunk, nowMs);
    return true;
  }

  #release(chunk: number, nowMs: number): void {
    invariant(
      this.ownerOf(chunk) === 0,
      'an extent that is given back is referred to by no record',
    );
    this.#unlist(chunk);
    this.#mutation.begin(0, nowMs);
    this.#slab.releaseChunk(this.#mutation, chunk);
    this.#mutation.commit();
  }

  /** A new primary knows of no orphans: what scratch holds is of another time. */
  forgetOrphans(): void {
    this.#scratch32[SCRATCH_ORPHAN_HEAD_WORD] = 0;
    for (let chunk = 0; chunk < this.#slab.chunksTouched; chunk++) {
      if (this.#slab.kind(chunk) === CHUNK_EXTENT) this.#listed[chunk << PAGES_PER_CHUNK_SHIFT] = 0;
    }
  }

  // ------------------------------------------------------------ taking

  /** Chooses what `take` takes in this passage: false when there is nothing. */
  mayTake(): boolean {
    this.#chosen = this.findOrphan();
    return this.#chosen !== 0 || this.#slab.hasFreeChunks(1);
  }

  /** An extent for position `position` of a value of a key with this hash, inside a mutation, after `mayTake`. An orphan
   *  first: `isDirty` then, for it holds what it held. Returns the chunk. */
  take(hash: number, position: number): number {
    const orphan = this.#chosen;
    this.#chosen = 0;
    this.isDirty = orphan !== 0;
    if (orphan === 0) return this.#slab.takeChunk(this.#mutation, CHUNK_EXTENT, 0, hash, position);
    invariant(
      this.ownerOf(orphan) === 0,
      'an extent that is used again is referred to by no record',
    );
    this.#unlist(orphan);
    this.#slab.renameExtent(this.#mutation, orphan, hash, position);
    return orphan;
  }

  /** Fills with zeros what a chunk just taken holds from `bytes` on, inside the same mutation; a new one holds nothing.
   *  `bytes` is a multiple of 4. */
  clearRest(chunk: number, bytes: number, chunkBytes: number): void {
    if (!this.isDirty || bytes === chunkBytes) return;
    this.#mutation.zeroFill((chunk << CHUNK_SHIFT) + bytes, chunkBytes - bytes);
  }
}
