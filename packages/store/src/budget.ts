/** The budget: a line for each byte of a partition's two memories.
 *
 *  Lines of the image add up to the chunks of it that were ever in use (`imageBytes`), those of the scratch to all that is
 *  reserved for it (`scratchBytes`); pages that were never written cost nothing, which `imageTouchedBytes` and
 *  `scratchTouchedBytes` allow for.
 *  What is in the slots is measured by the sweeper as it goes round (`measuredBytes`): between rounds the line between
 *  `records` and `rounding` is where it was, and a copy that nobody sweeps counts whole slots as records. */
import type { Buckets } from './buckets.ts';
import { tableChunks } from './geometry.ts';
import {
  BUCKETS_PER_CHUNK,
  CHUNK_BYTES,
  CHUNK_TABLE_ENTRY_BYTES,
  EXTENT_CLASS,
  HEADER_HISTORY,
  HISTORY_BYTES,
  HISTORY_MAX,
  PAGE_BYTES,
  SCRATCH_ARRAYS,
  SCRATCH_MEASURED_BYTES_F64,
} from './layout.ts';
import { type PartitionMemory, scratchLines } from './memory.ts';
import {
  CLASS_COUNT,
  LARGE_UNIT_PAGES,
  OVERFLOW_CLASS,
  SLOT_BYTES,
  SLOTS_PER_UNIT,
  SMALL_UNIT_PAGES,
  UNIT_BYTES,
} from './size-classes.ts';
import type { Slab } from './slab.ts';

const OS_PAGE_BYTES = 4_096;

export interface Budget {
  /** Header, key and value of what is in slots. */
  readonly records: number;
  /** Of used slots: behind their records. */
  readonly rounding: number;
  /** Slots without a record, in units of a class. */
  readonly freeSlots: number;
  /** Of units: behind their last slot. */
  readonly tails: number;
  /** Units of no class, in chunks that are cut into such. */
  readonly freeUnits: number;
  /** Chunks of large values. */
  readonly extents: number;
  /** Buckets, and those of chains. */
  readonly index: number;
  readonly overflow: number;
  readonly header: number;
  readonly chunkTable: number;
  /** Chunks that were in use and are not. */
  readonly freeChunks: number;
  /** All of the above. */
  readonly imageBytes: number;
  /** Of it, but for what header and chunk table keep for chunks that were never used. */
  readonly imageTouchedBytes: number;
  /** Named words, arrays by chunk and page (stamps, pins, free lists), bitmaps (used slots, access marks). */
  readonly words: number;
  readonly chunkArrays: number;
  readonly bitmaps: number;
  readonly ring: number;
  readonly ringMarks: number;
  readonly padding: number;
  /** All of the scratch. */
  readonly scratchBytes: number;
  /** Of it, but for the ring, what belongs to chunks in use. */
  readonly scratchTouchedBytes: number;
}

export const IMAGE_LINES: readonly (keyof Budget)[] = [
  'records',
  'rounding',
  'freeSlots',
  'tails',
  'freeUnits',
  'extents',
  'index',
  'overflow',
  'header',
  'chunkTable',
  'freeChunks',
];

export const SCRATCH_LINES: readonly (keyof Budget)[] = [
  'words',
  'chunkArrays',
  'bitmaps',
  'ring',
  'ringMarks',
  'padding',
];

export function budgetOf(memory: PartitionMemory, slab: Slab, buckets: Buckets): Budget {
  let usedSlotBytes = 0;
  let freeSlots = 0;
  let tails = 0;
  for (let sizeClass = OVERFLOW_CLASS + 1; sizeClass < CLASS_COUNT; sizeClass++) {
    const units = slab.classUnitCount(sizeClass);
    const used = slab.usedSlots(sizeClass);
    usedSlotBytes += used * SLOT_BYTES[sizeClass];
    freeSlots += (units * SLOTS_PER_UNIT[sizeClass] - used) * SLOT_BYTES[sizeClass];
    tails += units * (UNIT_BYTES[sizeClass] - SLOTS_PER_UNIT[sizeClass] * SLOT_BYTES[sizeClass]);
  }
  const measured = memory.scratch64[SCRATCH_MEASURED_BYTES_F64];
  const records = measured === 0 ? usedSlotBytes : Math.min(measured, usedSlotBytes);
  const touched = slab.chunksTouched;
  const scratch = scratchLines(memory.geometry);
  const perChunk = (scratch.chunkArrays + scratch.bitmaps) / memory.geometry.chunkCount;
  return {
    records,
    rounding: usedSlotBytes - records,
    freeSlots,
    tails,
    freeUnits: freeUnitBytes(slab),
    extents: slab.classUnitCount(EXTENT_CLASS) * CHUNK_BYTES,
    index: Math.ceil(buckets.count / BUCKETS_PER_CHUNK) * CHUNK_BYTES,
    overflow: slab.classUnitCount(OVERFLOW_CLASS) * CHUNK_BYTES,
    header: CHUNK_BYTES,
    chunkTable: tableChunks(memory.geometry) * CHUNK_BYTES,
    freeChunks: (touched - slab.usedChunks) * CHUNK_BYTES,
    imageBytes: touched * CHUNK_BYTES,
    imageTouchedBytes: touched * CHUNK_BYTES - untouchedBytes(memory, touched, buckets),
    ...scratch,
    scratchTouchedBytes: SCRATCH_ARRAYS + touched * perChunk,
  };
}

/** Of header chunk and chunk table, in whole pages of the operating system: what lies behind the last entry that was ever
 *  written, and between history and index directory. */
function untouchedBytes(memory: PartitionMemory, touched: number, buckets: Buckets): number {
  const indexChunks = Math.ceil(buckets.count / BUCKETS_PER_CHUNK);
  const inHeader = osPages(HEADER_HISTORY + HISTORY_MAX * HISTORY_BYTES) + osPages(indexChunks * 4);
  const inTable = osPages(touched * CHUNK_TABLE_ENTRY_BYTES);
  return (1 + tableChunks(memory.geometry)) * CHUNK_BYTES - inHeader - inTable;
}

const osPages = (bytes: number): number => Math.ceil(bytes / OS_PAGE_BYTES) * OS_PAGE_BYTES;

/** Those of the chunk that is being packed are in no list. */
function freeUnitBytes(slab: Slab): number {
  const packed = slab.packChunk;
  const inPacked = packed === 0 ? 0 : slab.freeUnitsIn(packed) * slab.sizeClass(packed);
  const inLists =
    slab.freeUnits(SMALL_UNIT_PAGES) * SMALL_UNIT_PAGES +
    slab.freeUnits(LARGE_UNIT_PAGES) * LARGE_UNIT_PAGES;
  return (inLists + inPacked) * PAGE_BYTES;
}

/** Line by line. */
export function sumOfBudgets(budgets: readonly Budget[]): Budget {
  const names = Object.keys(NOTHING) as (keyof Budget)[];
  const sums = names.map((name) => [name, budgets.reduce((sum, each) => sum + each[name], 0)]);
  return { ...NOTHING, ...Object.fromEntries(sums) };
}

const NOTHING: Budget = {
  ...{ records: 0, rounding: 0, freeSlots: 0, tails: 0, freeUnits: 0 },
  ...{
    extents: 0,
    index: 0,
    overflow: 0,
    header: 0,
    chunkTable: 0,
    freeChunks: 0,
    imageBytes: 0,
    imageTouchedBytes: 0,
  },
  ...{ words: 0, chunkArrays: 0, bitmaps: 0, ring: 0, ringMarks: 0, padding: 0 },
  ...{ scratchBytes: 0, scratchTouchedBytes: 0 },
};
