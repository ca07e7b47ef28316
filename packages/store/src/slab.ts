/** The slab: chunks cut into slots of one class, and who uses which slot.
 *
 *  What the image says of it (the chunk table, chunksTouched) changes by mutations; the rest (used bits, free
 *  counts, lists of chunks with free slots) is scratch: free = unreachable from buckets. Owner: whoever is inside
 *  the gate. On followers the same calls keep it current, so that promotion scans nothing.
 *  Invariant: a chunk is in its class's free list exactly when its free count is above zero. One chunk at a time may be
 *  draining: it is in no list, so that none of its slots is handed out, and its free count is DRAINING lower. */
import { tableChunks } from './geometry.ts';
import {
  CHUNK_BYTES,
  CHUNK_EXTENT,
  CHUNK_FREE,
  CHUNK_MASK,
  CHUNK_OVERFLOW,
  CHUNK_SHIFT,
  CHUNK_SLAB,
  CHUNK_TABLE_ENTRY_BYTES,
  CHUNK_TABLE_ENTRY_SHIFT,
  CLASS_CHUNK_COUNT,
  CLASS_FREE_HEAD,
  CLASS_USED_SLOTS,
  CLASS_WORDS,
  CLASS_YOUNG_SLOTS,
  CLASSES_MAX,
  EXTENT_CLASS,
  HEADER_CHUNKS_TOUCHED,
  SCRATCH_CAPACITY_CHUNKS_WORD,
  SCRATCH_CLASSES_WORD,
  SCRATCH_DRAIN_CHUNK_WORD,
  SCRATCH_DRAIN_SLOT_WORD,
  SCRATCH_FREE_CHUNK_HINT_WORD,
  SCRATCH_PIN_COUNT_WORD,
  SCRATCH_USED_CHUNKS_WORD,
  SLOT_BIT_SHIFT,
  SLOT_BITS_PER_CHUNK_WORDS,
  TABLE_OWNER_WORD,
  TABLE_POSITION_WORD,
} from './layout.ts';
import type { PartitionMemory } from './memory.ts';
import type { Mutation } from './mutation.ts';
import { LAST_TINY_CLASS, OVERFLOW_CLASS, SLOT_BYTES, SLOTS_PER_CHUNK } from './size-classes.ts';

const TOUCHED_WORD = HEADER_CHUNKS_TOUCHED >>> 2;
const CLASS_SHIFT = 8;
/** Pinned chunks that a search for a free slot passes by; behind them it takes a new chunk. */
const PINNED_HOPS_MAX = 64;
/** Below every count, so that a draining chunk's never comes to zero, where lists change. */
const DRAINING = 1 << 20;

export class Slab {
  readonly #memory: PartitionMemory;
  readonly #image32: Int32Array;
  readonly #scratch32: Int32Array;
  readonly #usedBits: Int32Array;
  readonly #freeCounts: Int32Array;
  readonly #hints: Int32Array;

  constructor(memory: PartitionMemory) {
    this.#memory = memory;
    this.#image32 = memory.image32;
    this.#scratch32 = memory.scratch32;
    this.#usedBits = memory.usedBits;
    this.#freeCounts = memory.freeCounts;
    this.#hints = memory.freeHints;
  }

  // ------------------------------------------------------------ the chunk table

  kind(chunk: number): number {
    return this.#image32[tableWord(chunk)] & 0xff;
  }

  sizeClass(chunk: number): number {
    return (this.#image32[tableWord(chunk)] >>> CLASS_SHIFT) & 0xff;
  }

  /** Of an index chunk: its position in the index directory. Of an extent: the hash of its key. */
  owner(chunk: number): number {
    return this.#image32[tableWord(chunk) + TABLE_OWNER_WORD];
  }

  /** Of an extent: which of its value's extents it is. */
  position(chunk: number): number {
    return this.#image32[tableWord(chunk) + TABLE_POSITION_WORD];
  }

  isSlabOf(chunk: number, sizeClass: number): boolean {
    return (this.#image32[tableWord(chunk)] & 0xffff) === (CHUNK_SLAB | (sizeClass << CLASS_SHIFT));
  }

  get chunksTouched(): number {
    return this.#image32[TOUCHED_WORD];
  }

  get usedChunks(): number {
    return this.#scratch32[SCRATCH_USED_CHUNKS_WORD];
  }

  /** Whether `count` more chunks may be taken. None may always be taken, even above a lowered capacity. */
  hasFreeChunks(count: number): boolean {
    return count === 0 || this.usedChunks + count <= this.#scratch32[SCRATCH_CAPACITY_CHUNKS_WORD];
  }

  /** Takes a free chunk for `kind`, inside a mutation. Only after `hasFreeChunks`. */
  takeChunk(
    mutation: Mutation,
    kind: number,
    sizeClass: number,
    owner: number,
    position = 0,
  ): number {
    let chunk = this.#findFreeChunk();
    if (chunk === 0) {
      chunk = this.chunksTouched;
      this.#image32[TOUCHED_WORD] = chunk + 1;
      mutation.patch(HEADER_CHUNKS_TOUCHED, 4);
    }
    this.#writeTableEntry(mutation, chunk, kind | (sizeClass << CLASS_SHIFT), owner, position);
    this.chunkTaken(chunk, kind, sizeClass);
    return chunk;
  }

  /** An extent that nobody refers to becomes that of another value, inside a mutation. */
  renameExtent(mutation: Mutation, chunk: number, hash: number, position: number): void {
    this.#writeTableEntry(mutation, chunk, CHUNK_EXTENT, hash, position);
  }

  /** Gives an empty chunk back, inside a mutation: a free chunk is all zero on every copy. */
  releaseChunk(mutation: Mutation, chunk: number): void {
    const kind = this.kind(chunk);
    const sizeClass = this.sizeClass(chunk);
    mutation.zeroFill(chunk << CHUNK_SHIFT, CHUNK_BYTES);
    this.#writeTableEntry(mutation, chunk, CHUNK_FREE, 0, 0);
    this.chunkReleased(chunk, kind, sizeClass);
  }

  #writeTableEntry(
    mutation: Mutation,
    chunk: number,
    kindAndClass: number,
    owner: number,
    position: number,
  ): void {
    const word = tableWord(chunk);
    this.#image32[word] = kindAndClass;
    this.#image32[word + TABLE_OWNER_WORD] = owner;
    this.#image32[word + TABLE_POSITION_WORD] = position;
    mutation.patch(word << 2, CHUNK_TABLE_ENTRY_BYTES);
  }

  #findFreeChunk(): number {
    const touched = this.chunksTouched;
    if (this.usedChunks >= touched) return 0;
    const hint = this.#scratch32[SCRATCH_FREE_CHUNK_HINT_WORD];
    for (let i = 0; i < touched; i++) {
      const chunk = (hint + i) % touched;
      if (this.kind(chunk) === CHUNK_FREE) {
        this.#scratch32[SCRATCH_FREE_CHUNK_HINT_WORD] = chunk;
        return chunk;
      }
    }
    return 0;
  }

  /** Scratch side of a table entry that became owned: whatever was known of its slots is forgotten. */
  chunkTaken(chunk: number, kind: number, sizeClass: number): void {
    this.#scratch32[SCRATCH_USED_CHUNKS_WORD]++;
    if (kind === CHUNK_EXTENT) {
      this.#scratch32[classWord(EXTENT_CLASS) + CLASS_CHUNK_COUNT]++;
      this.#freeCounts[chunk] = 0;
    }
    if (kind !== CHUNK_SLAB && kind !== CHUNK_OVERFLOW) return;
    this.#clearBits(chunk);
    this.#scratch32[classWord(sizeClass) + CLASS_CHUNK_COUNT]++;
    this.#freeCounts[chunk] = SLOTS_PER_CHUNK[sizeClass];
    this.#hints[chunk] = 0;
    this.#linkFree(chunk, sizeClass);
  }

  /** Scratch side of a table entry that became free; its slots must be free already. */
  chunkReleased(chunk: number, kind: number, sizeClass: number): void {
    this.#scratch32[SCRATCH_USED_CHUNKS_WORD]--;
    this.#scratch32[SCRATCH_FREE_CHUNK_HINT_WORD] = chunk;
    if (kind === CHUNK_EXTENT) this.#scratch32[classWord(EXTENT_CLASS) + CLASS_CHUNK_COUNT]--;
    if (kind !== CHUNK_SLAB && kind !== CHUNK_OVERFLOW) return;
    this.#scratch32[classWord(sizeClass) + CLASS_CHUNK_COUNT]--;
    if (this.isDraining(chunk)) this.#scratch32[SCRATCH_DRAIN_CHUNK_WORD] = 0;
    else this.#unlinkFree(chunk, sizeClass);
    this.#freeCounts[chunk] = 0;
  }

  // ------------------------------------------------------------ draining

  /** The slab chunk whose slots are not handed out, because it is being emptied; 0 = none. */
  get drainChunk(): number {
    return this.#scratch32[SCRATCH_DRAIN_CHUNK_WORD];
  }

  isDraining(chunk: number): boolean {
    return this.#freeCounts[chunk] < 0;
  }

  beginDrain(chunk: number): void {
    if (this.#freeCounts[chunk] > 0) this.#unlinkFree(chunk, this.sizeClass(chunk));
    this.#freeCounts[chunk] -= DRAINING;
    this.#scratch32[SCRATCH_DRAIN_CHUNK_WORD] = chunk;
    this.#scratch32[SCRATCH_DRAIN_SLOT_WORD] = 0;
  }

  /** The draining chunk, if there is one, serves its class again. */
  cancelDrain(): void {
    const chunk = this.drainChunk;
    if (chunk === 0) return;
    this.#scratch32[SCRATCH_DRAIN_CHUNK_WORD] = 0;
    this.#freeCounts[chunk] += DRAINING;
    if (this.#freeCounts[chunk] > 0) this.#linkFree(chunk, this.sizeClass(chunk));
  }

  // ------------------------------------------------------------ slots

  /** Whether somebody holds views of bytes in the chunk, or fills it. Inside a passage, and without an atomic load: a pin
   *  that counts was there before the gate was closed (whoever adds one looks at the gate afterwards), and closing
   *  it orders. A pin that is added now may be seen or not: its reader will find the gate moved, and drops it. */
  isPinned(chunk: number): boolean {
    return this.#scratch32[SCRATCH_PIN_COUNT_WORD] !== 0 && this.#memory.pins[chunk] !== 0;
  }

  /** A chunk of the class with a free slot that may be handed out, or 0: slots in pinned chunks may not. Ask once and keep
   *  the answer for `takeSlot`: pins come and go. */
  freeChunkOf(sizeClass: number): number {
    let chunk = this.#scratch32[classWord(sizeClass) + CLASS_FREE_HEAD];
    if (chunk === 0 || !this.isPinned(chunk)) return chunk;
    for (let hops = 0; hops < PINNED_HOPS_MAX && chunk !== 0; hops++) {
      chunk = this.#memory.nextFree[chunk];
      if (chunk !== 0 && !this.isPinned(chunk)) return chunk;
    }
    return 0;
  }

  classChunkCount(sizeClass: number): number {
    return this.#scratch32[classWord(sizeClass) + CLASS_CHUNK_COUNT];
  }

  youngSlots(sizeClass: number): number {
    return this.#scratch32[classWord(sizeClass) + CLASS_YOUNG_SLOTS];
  }

  usedSlots(sizeClass: number): number {
    return this.#scratch32[classWord(sizeClass) + CLASS_USED_SLOTS];
  }

  /** First chunk of a class's list of chunks with free slots, 0 = none; `nextFree` goes on. */
  firstFree(sizeClass: number): number {
    return this.#scratch32[classWord(sizeClass) + CLASS_FREE_HEAD];
  }

  nextFree(chunk: number): number {
    return this.#memory.nextFree[chunk];
  }

  /** No slot below it is free. */
  hint(chunk: number): number {
    return this.#hints[chunk];
  }

  freeSlots(chunk: number): number {
    const count = this.#freeCounts[chunk];
    return count < 0 ? count + DRAINING : count;
  }

  usedIn(chunk: number): number {
    return SLOTS_PER_CHUNK[this.sizeClass(chunk)] - this.freeSlots(chunk);
  }

  isEmpty(chunk: number): boolean {
    return this.freeSlots(chunk) === SLOTS_PER_CHUNK[this.sizeClass(chunk)];
  }

  /** Free slots of a class that may be handed out. */
  freeSlotsOf(sizeClass: number): number {
    const chunk = this.drainChunk;
    const slots = this.classChunkCount(sizeClass) * SLOTS_PER_CHUNK[sizeClass];
    const free = slots - this.usedSlots(sizeClass);
    return chunk !== 0 && this.isSlabOf(chunk, sizeClass) ? free - this.freeSlots(chunk) : free;
  }

  /** Takes a free slot, inside a mutation, from the chunk that `freeChunkOf` gave; from a new one if that was 0. */
  takeSlot(mutation: Mutation, sizeClass: number, freeChunk: number): number {
    let chunk = freeChunk;
    if (chunk === 0) {
      const kind = sizeClass === OVERFLOW_CLASS ? CHUNK_OVERFLOW : CHUNK_SLAB;
      chunk = this.takeChunk(mutation, kind, sizeClass, 0);
    }
    const slotBytes = SLOT_BYTES[sizeClass];
    const base = chunk << CHUNK_SHIFT;
    let offset = this.#hints[chunk] * slotBytes;
    while (this.isUsed(base + offset)) offset += slotBytes;
    this.#hints[chunk] = offset / slotBytes + 1;
    this.markUsed(base + offset, sizeClass);
    return base + offset;
  }

  isUsed(ref: number): boolean {
    const bit = ref >>> SLOT_BIT_SHIFT;
    return (this.#usedBits[bit >>> 5] & (1 << (bit & 31))) !== 0;
  }

  /** Whether the record came since SIEVE's hand last passed its slot. A slot of two bits or more keeps that in
   *  the other bit of the pair in which it starts, where no other slot starts; tiny ones are always young. */
  isYoung(ref: number, sizeClass: number): boolean {
    const bit = (ref >>> SLOT_BIT_SHIFT) ^ (sizeClass > LAST_TINY_CLASS ? 1 : 0);
    return (this.#usedBits[bit >>> 5] & (1 << (bit & 31))) !== 0;
  }

  grownOld(ref: number, sizeClass: number): void {
    if (sizeClass <= LAST_TINY_CLASS) return;
    const bit = (ref >>> SLOT_BIT_SHIFT) ^ 1;
    this.#usedBits[bit >>> 5] &= ~(1 << (bit & 31));
    this.#scratch32[classWord(sizeClass) + CLASS_YOUNG_SLOTS]--;
  }

  markUsed(ref: number, sizeClass: number): void {
    const bit = ref >>> SLOT_BIT_SHIFT;
    this.#usedBits[bit >>> 5] |= sizeClass > LAST_TINY_CLASS ? 3 << (bit & 30) : 1 << (bit & 31);
    const classAt = classWord(sizeClass);
    this.#scratch32[classAt + CLASS_USED_SLOTS]++;
    this.#scratch32[classAt + CLASS_YOUNG_SLOTS]++;
    const chunk = ref >>> CHUNK_SHIFT;
    if (--this.#freeCounts[chunk] === 0) this.#unlinkFree(chunk, sizeClass);
  }

  /** Frees a slot; its access mark goes with it. */
  markFree(ref: number, sizeClass: number): void {
    const bit = ref >>> SLOT_BIT_SHIFT;
    const classAt = classWord(sizeClass);
    if (this.isYoung(ref, sizeClass)) this.#scratch32[classAt + CLASS_YOUNG_SLOTS]--;
    this.#usedBits[bit >>> 5] &= ~(sizeClass > LAST_TINY_CLASS ? 3 << (bit & 30) : 1 << (bit & 31));
    this.#memory.accessMarks[bit >>> 5] &= ~(1 << (bit & 31));
    this.#scratch32[classAt + CLASS_USED_SLOTS]--;
    const chunk = ref >>> CHUNK_SHIFT;
    const slot = ((ref & CHUNK_MASK) / SLOT_BYTES[sizeClass]) | 0;
    if (slot < this.#hints[chunk]) this.#hints[chunk] = slot;
    if (this.#freeCounts[chunk]++ === 0) this.#linkFree(chunk, sizeClass);
  }

  #linkFree(chunk: number, sizeClass: number): void {
    const headAt = classWord(sizeClass) + CLASS_FREE_HEAD;
    const head = this.#scratch32[headAt];
    this.#memory.nextFree[chunk] = head;
    this.#memory.previousFree[chunk] = 0;
    if (head !== 0) this.#memory.previousFree[head] = chunk;
    this.#scratch32[headAt] = chunk;
  }

  #unlinkFree(chunk: number, sizeClass: number): void {
    const previous = this.#memory.previousFree[chunk];
    const next = this.#memory.nextFree[chunk];
    if (previous === 0) this.#scratch32[classWord(sizeClass) + CLASS_FREE_HEAD] = next;
    else this.#memory.nextFree[previous] = next;
    if (next !== 0) this.#memory.previousFree[next] = previous;
  }

  // ------------------------------------------------------------ rebuilding after a bulk

  /** Only the bit: its count comes with `slotsUsed`. Nobody knows how old it is: old. */
  setUsed(ref: number): void {
    const bit = ref >>> SLOT_BIT_SHIFT;
    this.#usedBits[bit >>> 5] |= 1 << (bit & 31);
  }

  /** The used bits of a chunk, all free until now, have `count` set. */
  slotsUsed(chunk: number, count: number): void {
    const sizeClass = this.kind(chunk) === CHUNK_OVERFLOW ? OVERFLOW_CLASS : this.sizeClass(chunk);
    this.#scratch32[classWord(sizeClass) + CLASS_USED_SLOTS] += count;
    if (sizeClass <= LAST_TINY_CLASS) {
      this.#scratch32[classWord(sizeClass) + CLASS_YOUNG_SLOTS] += count;
    }
    this.#freeCounts[chunk] -= count;
    if (this.#freeCounts[chunk] === 0) this.#unlinkFree(chunk, sizeClass);
  }

  /** Reads before it writes: a page that was never written costs no memory, and mostly none was. */
  #clearBits(chunk: number): void {
    const { accessMarks } = this.#memory;
    const from = chunk * SLOT_BITS_PER_CHUNK_WORDS;
    for (let word = from; word < from + SLOT_BITS_PER_CHUNK_WORDS; word++) {
      if (this.#usedBits[word] !== 0) this.#usedBits[word] = 0;
      if (accessMarks[word] !== 0) accessMarks[word] = 0;
    }
  }

  /** Forgets everything that scratch knows and reads the chunk table anew; slots all count as free. */
  rebuildFromTable(): void {
    const { geometry } = this.#memory;
    const classWords = CLASSES_MAX * CLASS_WORDS;
    this.#scratch32.fill(0, SCRATCH_CLASSES_WORD, SCRATCH_CLASSES_WORD + classWords);
    this.#freeCounts.fill(0);
    this.#scratch32[SCRATCH_DRAIN_CHUNK_WORD] = 0;
    const fixedChunks = 1 + tableChunks(geometry);
    this.#scratch32[SCRATCH_USED_CHUNKS_WORD] = fixedChunks;
    this.#scratch32[SCRATCH_FREE_CHUNK_HINT_WORD] = fixedChunks;
    for (let chunk = this.chunksTouched - 1; chunk >= fixedChunks; chunk--) {
      const kind = this.kind(chunk);
      if (kind !== CHUNK_FREE) this.chunkTaken(chunk, kind, this.sizeClass(chunk));
    }
  }
}

/** Word index of a chunk's entry in the chunk table, which starts at chunk 1. */
export function tableWord(chunk: number): number {
  return (CHUNK_BYTES + (chunk << CHUNK_TABLE_ENTRY_SHIFT)) >>> 2;
}

/** Word index of a class's words in scratch. */
export function classWord(sizeClass: number): number {
  return SCRATCH_CLASSES_WORD + sizeClass * CLASS_WORDS;
}
