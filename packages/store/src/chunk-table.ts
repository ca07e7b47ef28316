/** The chunk table: who owns which chunk, and which units of those that are cut.
 *
 *  A size class takes units: whole chunks, or 1 or 4 pages of a chunk that is cut into such (CHUNK_PAGED), so that a class of
 *  few records leaves no chunk half empty. What is free is all zero on every copy: a unit is filled with zeros when it is given
 *  back, and so is a chunk; a cut chunk without a unit in use is given back as a whole.
 *
 *  The image says it all; scratch counts chunks and lists the free units of cut chunks. Owner: whoever is inside the gate.
 *  On followers `entryChanged` keeps scratch current, from the same bytes.
 *  One cut chunk at a time may be *packed*: its free units are in no list, so that it comes free once the others are emptied. */
import {
  CHUNK_BYTES,
  CHUNK_EXTENT,
  CHUNK_FREE,
  CHUNK_OVERFLOW,
  CHUNK_PAGED,
  CHUNK_SHIFT,
  CHUNK_SLAB,
  CHUNK_TABLE_ENTRY_BYTES,
  CHUNK_TABLE_ENTRY_SHIFT,
  CLASS_UNIT_COUNT,
  CLASS_WORDS,
  EXTENT_CLASS,
  FREE_UNIT_COUNT,
  FREE_UNIT_HEAD,
  FREE_UNIT_WORDS,
  HEADER_CHUNKS_TOUCHED,
  PAGE_SHIFT,
  PAGES_PER_CHUNK,
  PAGES_PER_CHUNK_SHIFT,
  SCRATCH_CAPACITY_CHUNKS_WORD,
  SCRATCH_CLASSES_WORD,
  SCRATCH_DRAIN_UNIT_WORD,
  SCRATCH_FREE_CHUNK_HINT_WORD,
  SCRATCH_FREE_UNITS_WORD,
  SCRATCH_PACK_CHUNK_WORD,
  SCRATCH_USED_CHUNKS_WORD,
  TABLE_OWNER_WORD,
  TABLE_PAGES_WORD,
  TABLE_POSITION_WORD,
} from './layout.ts';
import type { PartitionMemory } from './memory.ts';
import type { Mutation } from './mutation.ts';
import {
  LARGE_UNIT_PAGES,
  OVERFLOW_CLASS,
  SMALL_UNIT_PAGES,
  UNIT_BYTES,
  UNIT_PAGES,
} from './size-classes.ts';

const TOUCHED_WORD = HEADER_CHUNKS_TOUCHED >>> 2;
const CLASS_SHIFT = 8;
const PAGE_IN_CHUNK = PAGES_PER_CHUNK - 1;
/** Free units that a search for the chunk with the most of them looks at. */
const PACK_LOOKS_MAX = 32;

export abstract class ChunkTable {
  readonly #memory: PartitionMemory;
  readonly #image32: Int32Array;
  readonly #scratch32: Int32Array;

  constructor(memory: PartitionMemory) {
    this.#memory = memory;
    this.#image32 = memory.image32;
    this.#scratch32 = memory.scratch32;
  }

  /** Scratch of a unit that became a class's: whatever was known of its slots is forgotten. */
  protected abstract unitTaken(unit: number, sizeClass: number): void;
  /** Scratch of a unit that a class gave back; its slots are free already. */
  protected abstract unitReleased(unit: number, sizeClass: number): void;

  /** What is in a unit or an extent is new. */
  protected abstract startAge(unit: number, sizeClass: number): void;

  // ------------------------------------------------------------ what the table says

  kind(chunk: number): number {
    return this.#image32[tableWord(chunk)] & 0xff;
  }

  /** Of an index chunk: its position in the index directory. Of an extent: the hash of its key. */
  owner(chunk: number): number {
    return this.#image32[tableWord(chunk) + TABLE_OWNER_WORD];
  }

  /** Of an extent: which of its value's extents it is. */
  position(chunk: number): number {
    return this.#image32[tableWord(chunk) + TABLE_POSITION_WORD];
  }

  /** The byte behind the kind: the class of a chunk's slots, or how many pages its units have. */
  sizeClass(chunk: number): number {
    return (this.#image32[tableWord(chunk)] >>> CLASS_SHIFT) & 0xff;
  }

  /** Class of the unit that a page is part of; 0 where there are no slots of records. */
  classAt(page: number): number {
    const word = tableWord(page >>> PAGES_PER_CHUNK_SHIFT);
    const entry = this.#image32[word];
    if ((entry & 0xff) !== CHUNK_PAGED) return (entry >>> CLASS_SHIFT) & 0xff;
    return this.#pageClass(word, page & PAGE_IN_CHUNK);
  }

  /** Class of the slot at `ref`, as the table says. */
  classOf(ref: number): number {
    return this.classAt(ref >>> PAGE_SHIFT);
  }

  #pageClass(word: number, page: number): number {
    return pageClassOf(
      this.#image32[word + TABLE_PAGES_WORD],
      this.#image32[word + TABLE_PAGES_WORD + 1],
      page,
    );
  }

  /** Whether slots of records lie in chunks of this kind. */
  static holdsRecords(kind: number): boolean {
    return kind === CHUNK_SLAB || kind === CHUNK_PAGED;
  }

  /** The first unit of records of a chunk from `page` on, or -1. Take the next from its end: `unit + UNIT_PAGES`. */
  unitFrom(page: number, chunk: number): number {
    const word = tableWord(chunk);
    const entry = this.#image32[word];
    const first = chunk << PAGES_PER_CHUNK_SHIFT;
    if ((entry & 0xff) === CHUNK_SLAB) return page <= first ? first : -1;
    if ((entry & 0xff) !== CHUNK_PAGED) return -1;
    const step = Math.max((entry >>> CLASS_SHIFT) & 0xff, 1);
    for (let unit = page; unit < first + PAGES_PER_CHUNK; unit += step) {
      if (this.#pageClass(word, unit & PAGE_IN_CHUNK) !== 0) return unit;
    }
    return -1;
  }

  /** The unit of a class behind `unit`, around the image, but for the one that is being emptied; 0 = there is none. */
  nextUnitOf(sizeClass: number, unit: number): number {
    const touched = this.chunksTouched;
    const draining = this.#scratch32[SCRATCH_DRAIN_UNIT_WORD];
    const step = UNIT_PAGES[sizeClass];
    const isWhole = step === PAGES_PER_CHUNK;
    const wanted = isWhole
      ? CHUNK_SLAB | (sizeClass << CLASS_SHIFT)
      : CHUNK_PAGED | (step << CLASS_SHIFT);
    let page = unit + step;
    for (let looked = 0; looked <= touched; looked++) {
      let chunk = page >>> PAGES_PER_CHUNK_SHIFT;
      if (chunk >= touched) {
        chunk = 0;
        page = 0;
      }
      const end = (chunk + 1) << PAGES_PER_CHUNK_SHIFT;
      if ((this.#image32[tableWord(chunk)] & 0xffff) === wanted) {
        for (; page < end; page += step) {
          if (this.classAt(page) === sizeClass && page !== draining) return page;
        }
      }
      page = end;
    }
    return 0;
  }

  get chunksTouched(): number {
    return this.#image32[TOUCHED_WORD];
  }

  // ------------------------------------------------------------ what is free

  get usedChunks(): number {
    return this.#scratch32[SCRATCH_USED_CHUNKS_WORD];
  }

  /** Whether `count` more chunks may be taken. None may always be taken, even above a lowered capacity. */
  hasFreeChunks(count: number): boolean {
    return count === 0 || this.usedChunks + count <= this.#scratch32[SCRATCH_CAPACITY_CHUNKS_WORD];
  }

  /** Whether a cut chunk has a unit for this class. Classes that take whole chunks have none there. */
  hasFreeUnit(sizeClass: number): boolean {
    const unitPages = UNIT_PAGES[sizeClass];
    return unitPages !== PAGES_PER_CHUNK && this.freeUnits(unitPages) !== 0;
  }

  /** Free units of so many pages; not those of the chunk that is being packed. */
  freeUnits(unitPages: number): number {
    return this.#scratch32[freeUnitsWord(unitPages) + FREE_UNIT_COUNT];
  }

  /** The first of them, 0 = none; `nextFree` goes on. */
  firstFreeUnit(unitPages: number): number {
    return this.#scratch32[freeUnitsWord(unitPages) + FREE_UNIT_HEAD];
  }

  /** Of a list of free units, or of a class's units with free slots. */
  nextFree(unit: number): number {
    return this.#memory.nextFree[unit];
  }

  // ------------------------------------------------------------ taking and giving back, inside a mutation

  /** Takes a free chunk for `kind`. Only after `hasFreeChunks`. */
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
    this.#writeEntry(mutation, chunk, kind | (sizeClass << CLASS_SHIFT), owner, position);
    return chunk;
  }

  /** Takes a unit for a class: one that is free in a cut chunk, else of a chunk that is taken. Returns it. */
  takeUnit(mutation: Mutation, sizeClass: number): number {
    const unitPages = UNIT_PAGES[sizeClass];
    if (unitPages === PAGES_PER_CHUNK) {
      const kind = sizeClass === OVERFLOW_CLASS ? CHUNK_OVERFLOW : CHUNK_SLAB;
      return this.takeChunk(mutation, kind, sizeClass, 0) << PAGES_PER_CHUNK_SHIFT;
    }
    const unit = this.firstFreeUnit(unitPages);
    if (unit !== 0) {
      this.#writePages(mutation, unit, unitPages, sizeClass);
      return unit;
    }
    const pages = pageClasses(sizeClass, unitPages);
    return this.takeChunk(mutation, CHUNK_PAGED, unitPages, pages) << PAGES_PER_CHUNK_SHIFT;
  }

  /** An extent that nobody refers to becomes that of another value. */
  renameExtent(mutation: Mutation, chunk: number, hash: number, position: number): void {
    this.#writeEntry(mutation, chunk, CHUNK_EXTENT, hash, position);
  }

  /** Gives an empty chunk back: a free chunk is all zero on every copy. */
  releaseChunk(mutation: Mutation, chunk: number): void {
    mutation.zeroFill(chunk << CHUNK_SHIFT, CHUNK_BYTES);
    this.#writeEntry(mutation, chunk, CHUNK_FREE, 0, 0);
  }

  /** Gives an empty unit back, and its chunk if it was the last there. */
  releaseUnit(mutation: Mutation, unit: number): void {
    const chunk = unit >>> PAGES_PER_CHUNK_SHIFT;
    const sizeClass = this.classAt(unit);
    const unitPages = UNIT_PAGES[sizeClass];
    if (unitPages === PAGES_PER_CHUNK) return this.releaseChunk(mutation, chunk);
    mutation.zeroFill(unit << PAGE_SHIFT, UNIT_BYTES[sizeClass]);
    this.#writePages(mutation, unit, unitPages, 0);
  }

  #writePages(mutation: Mutation, unit: number, unitPages: number, sizeClass: number): void {
    const chunk = unit >>> PAGES_PER_CHUNK_SHIFT;
    const at = tableWord(chunk) + TABLE_PAGES_WORD;
    const inHigh = unit & (PAGES_PER_CHUNK >>> 1);
    const shift = (unit & 3) << 3;
    const mask = pageClasses(0xff, unitPages) << shift;
    const bits = pageClasses(sizeClass, unitPages) << shift;
    const low = this.#image32[at];
    const high = this.#image32[at + 1];
    const newLow = inHigh === 0 ? (low & ~mask) | bits : low;
    const newHigh = inHigh === 0 ? high : (high & ~mask) | bits;
    const isUsed = (newLow | newHigh) !== 0;
    const kindAndPages = isUsed ? CHUNK_PAGED | (unitPages << CLASS_SHIFT) : CHUNK_FREE;
    this.#writeEntry(mutation, chunk, kindAndPages, newLow, newHigh);
  }

  #writeEntry(
    mutation: Mutation,
    chunk: number,
    kindAndClass: number,
    owner: number,
    position: number,
  ): void {
    const word = tableWord(chunk);
    const before = this.#image32[word];
    const ownerBefore = this.#image32[word + TABLE_OWNER_WORD];
    const positionBefore = this.#image32[word + TABLE_POSITION_WORD];
    this.#image32[word] = kindAndClass;
    this.#image32[word + TABLE_OWNER_WORD] = owner;
    this.#image32[word + TABLE_POSITION_WORD] = position;
    mutation.patch(word << 2, CHUNK_TABLE_ENTRY_BYTES);
    this.entryChanged(chunk, before, ownerBefore, positionBefore);
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

  // ------------------------------------------------------------ what scratch knows of it

  /** Scratch side of a change of a chunk's entry, whose first three words were these. */
  entryChanged(chunk: number, before: number, ownerBefore: number, positionBefore: number): void {
    const now = this.#image32[tableWord(chunk)];
    const isPaged = (now & 0xff) === CHUNK_PAGED;
    if (before !== now) {
      if ((before & 0xff) !== CHUNK_FREE) this.#leave(chunk, before, ownerBefore, positionBefore);
      if ((now & 0xff) !== CHUNK_FREE) this.chunkTaken(chunk);
    } else if (isPaged) this.#unitsChanged(chunk, ownerBefore, positionBefore);
  }

  #unitsChanged(chunk: number, lowBefore: number, highBefore: number): void {
    const word = tableWord(chunk);
    const unitPages = this.sizeClass(chunk);
    for (let page = 0; page < PAGES_PER_CHUNK; page += unitPages) {
      const before = pageClassOf(lowBefore, highBefore, page);
      const now = this.#pageClass(word, page);
      if (before === now) continue;
      const unit = (chunk << PAGES_PER_CHUNK_SHIFT) + page;
      if (before === 0) this.#unlinkUnit(unit, unitPages);
      else this.unitReleased(unit, before);
      if (now === 0) this.#linkUnit(unit, unitPages);
      else this.unitTaken(unit, now);
    }
  }

  /** Scratch side of an entry that became owned. */
  chunkTaken(chunk: number): void {
    this.#scratch32[SCRATCH_USED_CHUNKS_WORD]++;
    const kind = this.kind(chunk);
    const first = chunk << PAGES_PER_CHUNK_SHIFT;
    if (kind === CHUNK_EXTENT) {
      this.#scratch32[classWord(EXTENT_CLASS) + CLASS_UNIT_COUNT]++;
      this.#memory.freeCounts[first] = 0;
      this.startAge(first, EXTENT_CLASS);
    } else if (kind === CHUNK_SLAB || kind === CHUNK_OVERFLOW) {
      this.unitTaken(first, this.sizeClass(chunk));
    } else if (kind === CHUNK_PAGED) {
      const unitPages = this.sizeClass(chunk);
      for (let page = PAGES_PER_CHUNK - unitPages; page >= 0; page -= unitPages) {
        const sizeClass = this.#pageClass(tableWord(chunk), page);
        if (sizeClass === 0) this.#linkUnit(first + page, unitPages);
        else this.unitTaken(first + page, sizeClass);
      }
    }
  }

  #leave(chunk: number, before: number, lowBefore: number, highBefore: number): void {
    const kind = before & 0xff;
    const first = chunk << PAGES_PER_CHUNK_SHIFT;
    this.#scratch32[SCRATCH_USED_CHUNKS_WORD]--;
    this.#scratch32[SCRATCH_FREE_CHUNK_HINT_WORD] = chunk;
    if (kind === CHUNK_EXTENT) this.#scratch32[classWord(EXTENT_CLASS) + CLASS_UNIT_COUNT]--;
    else if (kind === CHUNK_SLAB || kind === CHUNK_OVERFLOW) {
      this.unitReleased(first, (before >>> CLASS_SHIFT) & 0xff);
    } else if (kind === CHUNK_PAGED) {
      const unitPages = (before >>> CLASS_SHIFT) & 0xff;
      for (let page = 0; page < PAGES_PER_CHUNK; page += unitPages) {
        const sizeClass = pageClassOf(lowBefore, highBefore, page);
        if (sizeClass === 0) this.#unlinkUnit(first + page, unitPages);
        else this.unitReleased(first + page, sizeClass);
      }
      if (this.packChunk === chunk) this.#scratch32[SCRATCH_PACK_CHUNK_WORD] = 0;
    }
  }

  #linkUnit(unit: number, unitPages: number): void {
    if (unit >>> PAGES_PER_CHUNK_SHIFT === this.packChunk) return;
    const { nextFree, previousFree } = this.#memory;
    const at = freeUnitsWord(unitPages);
    const head = this.#scratch32[at + FREE_UNIT_HEAD];
    nextFree[unit] = head;
    previousFree[unit] = 0;
    if (head !== 0) previousFree[head] = unit;
    this.#scratch32[at + FREE_UNIT_HEAD] = unit;
    this.#scratch32[at + FREE_UNIT_COUNT]++;
  }

  #unlinkUnit(unit: number, unitPages: number): void {
    if (unit >>> PAGES_PER_CHUNK_SHIFT === this.packChunk) return;
    const { nextFree, previousFree } = this.#memory;
    const at = freeUnitsWord(unitPages);
    const previous = previousFree[unit];
    const next = nextFree[unit];
    if (previous === 0) this.#scratch32[at + FREE_UNIT_HEAD] = next;
    else nextFree[previous] = next;
    if (next !== 0) previousFree[next] = previous;
    this.#scratch32[at + FREE_UNIT_COUNT]--;
  }

  /** Forgets everything that scratch knows and reads the table anew; slots all count as free. */
  protected rebuildTable(firstChunk: number): void {
    const words = this.#scratch32;
    words.fill(0, SCRATCH_CLASSES_WORD, classWord(EXTENT_CLASS) + CLASS_WORDS);
    words.fill(0, SCRATCH_FREE_UNITS_WORD, SCRATCH_FREE_UNITS_WORD + 2 * FREE_UNIT_WORDS);
    this.#memory.freeCounts.fill(0);
    words[SCRATCH_DRAIN_UNIT_WORD] = 0;
    words[SCRATCH_PACK_CHUNK_WORD] = 0;
    words[SCRATCH_USED_CHUNKS_WORD] = firstChunk;
    words[SCRATCH_FREE_CHUNK_HINT_WORD] = firstChunk;
    for (let chunk = this.chunksTouched - 1; chunk >= firstChunk; chunk--) {
      if (this.kind(chunk) !== CHUNK_FREE) this.chunkTaken(chunk);
    }
  }

  // ------------------------------------------------------------ packing

  /** The cut chunk all of whose units are being emptied, 0 = none. */
  get packChunk(): number {
    return this.#scratch32[SCRATCH_PACK_CHUNK_WORD];
  }

  /** A cut chunk that comes free without loss: there is a chunk's worth of free units of its kind, and most of them, of those
   *  looked at, are in it. 0 = there is none. */
  packable(): number {
    return this.#packableOf(LARGE_UNIT_PAGES) || this.#packableOf(SMALL_UNIT_PAGES);
  }

  #packableOf(unitPages: number): number {
    if (this.freeUnits(unitPages) < PAGES_PER_CHUNK / unitPages) return 0;
    let best = 0;
    let most = 0;
    let unit = this.firstFreeUnit(unitPages);
    for (let left = PACK_LOOKS_MAX; left > 0 && unit !== 0; left--) {
      const chunk = unit >>> PAGES_PER_CHUNK_SHIFT;
      const free = this.freeUnitsIn(chunk);
      if (free > most && !this.isPinned(chunk)) {
        best = chunk;
        most = free;
      }
      unit = this.#memory.nextFree[unit];
    }
    return best;
  }

  /** Of a cut chunk. */
  freeUnitsIn(chunk: number): number {
    const unitPages = this.sizeClass(chunk);
    let free = 0;
    for (let page = 0; page < PAGES_PER_CHUNK; page += unitPages) {
      if (this.#pageClass(tableWord(chunk), page) === 0) free++;
    }
    return free;
  }

  abstract isPinned(chunk: number): boolean;

  beginPack(chunk: number): void {
    this.#eachFreeUnit(chunk, true);
    this.#scratch32[SCRATCH_PACK_CHUNK_WORD] = chunk;
  }

  /** What is free in the chunk, if one is being packed, may be taken again. */
  cancelPack(): void {
    const chunk = this.packChunk;
    if (chunk === 0) return;
    this.#scratch32[SCRATCH_PACK_CHUNK_WORD] = 0;
    this.#eachFreeUnit(chunk, false);
  }

  #eachFreeUnit(chunk: number, unlink: boolean): void {
    const unitPages = this.sizeClass(chunk);
    for (let page = 0; page < PAGES_PER_CHUNK; page += unitPages) {
      if (this.#pageClass(tableWord(chunk), page) !== 0) continue;
      const unit = (chunk << PAGES_PER_CHUNK_SHIFT) + page;
      if (unlink) this.#unlinkUnit(unit, unitPages);
      else this.#linkUnit(unit, unitPages);
    }
  }
}

/** The classes of four pages, a unit's all the same, from the lowest on; 0 behind it. */
function pageClasses(sizeClass: number, unitPages: number): number {
  return unitPages === LARGE_UNIT_PAGES ? Math.imul(sizeClass, 0x01_01_01_01) : sizeClass;
}

function pageClassOf(low: number, high: number, page: number): number {
  return ((page < 4 ? low : high) >>> ((page & 3) << 3)) & 0xff;
}

/** Word index of a chunk's entry in the chunk table, which starts at chunk 1. */
export function tableWord(chunk: number): number {
  return (CHUNK_BYTES + (chunk << CHUNK_TABLE_ENTRY_SHIFT)) >>> 2;
}

/** Word index of a class's words in scratch. */
export function classWord(sizeClass: number): number {
  return SCRATCH_CLASSES_WORD + sizeClass * CLASS_WORDS;
}

/** Word index of the list of free units of so many pages. */
function freeUnitsWord(unitPages: number): number {
  return SCRATCH_FREE_UNITS_WORD + (unitPages >>> 2) * FREE_UNIT_WORDS;
}
