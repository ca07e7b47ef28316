/** Where every byte of an image and every word of the scratch lives: our `#[repr(C)]`.
 *
 *  Rows are [name, byte offset, width]. Hot code uses the plain constants below the tables; the
 *  table is asserted at load (natural alignment, no overlap) and drawn in FORMAT.md.
 *  Knows nothing of what the bytes mean. */
import { invariant } from './errors.ts';

export type LayoutRow = readonly [name: string, offset: number, widthBytes: number];

export const FORMAT_VERSION = 3;
export const CHUNK_BYTES = 65_536;
export const CHUNK_SHIFT = 16;
export const CHUNK_MASK: number = CHUNK_BYTES - 1;
/** The smallest part of a chunk that a size class takes. Pages are numbered through the image; a *unit* is what a class
 *  takes at once, 1, 4 or 8 pages, and goes by the number of its first. */
export const PAGE_BYTES = 8_192;
export const PAGE_SHIFT = 13;
export const PAGES_PER_CHUNK = 8;
export const PAGES_PER_CHUNK_SHIFT = 3;
/** 'INGT', little-endian. */
export const IMAGE_MAGIC = 0x54_47_4e_49;
/** Reads as 0x0201 where the byte order is the other one. */
export const BYTE_ORDER_MARK = 0x0102;

// ---------------------------------------------------------------- image

export const HEADER_FIELDS: readonly LayoutRow[] = [
  ['magic', 0, 4],
  ['format', 4, 2],
  ['byteOrder', 6, 2],
  ['chunkBytes', 8, 4],
  ['partitionId', 12, 4],
  ['partitions', 16, 4],
  ['chunkCount', 20, 4],
  ['bucketCount', 24, 4],
  ['chunksTouched', 28, 4], // chunks at or above it have never been used: all zero
  ['flushSeq', 32, 8], // u64; records with an older seq are absent; 0 = never flushed
  ['historyCount', 40, 4],
  ['reserved', 44, 20],
  ['history', 64, 1_024], // 64 entries of HISTORY_FIELDS, oldest first
  ['indexDirectory', 32_768, 32_768], // u32 chunk id per 1,024 buckets
];

export const HISTORY_FIELDS: readonly LayoutRow[] = [
  ['epoch', 0, 4],
  ['generation', 4, 4],
  ['startSeq', 8, 8], // u64
];

export const CHUNK_TABLE_FIELDS: readonly LayoutRow[] = [
  ['kind', 0, 1],
  ['sizeClass', 1, 1], // of its slots; chunks cut into units: pages of each
  ['zero', 2, 2],
  ['owner', 4, 4], // index chunks: position in the index directory; extents: hash of the key
  ['position', 8, 4], // extents: which of its value's extents it is, 0 = the first
  ['reserved', 12, 4],
];

/** The same entry of a chunk that is cut into units. */
export const PAGED_TABLE_FIELDS: readonly LayoutRow[] = [
  ['kind', 0, 1],
  ['unitPages', 1, 1],
  ['zero', 2, 2],
  ['lowPages', 4, 4], // u8 of each page from 0 on: size class of its unit, 0 = free
  ['highPages', 8, 4], // of pages 4 to 7
  ['reserved', 12, 4],
];

export const BUCKET_FIELDS: readonly LayoutRow[] = [
  ['entries', 0, 56], // 7 x (u32 hash, u32 ref)
  ['overflow', 56, 4], // ref of the next bucket of the chain, 0 = none
  ['seqLow', 60, 4], // head bucket: seq of the chain's last change, low 32 bits
];

export const RECORD_FIELDS: readonly LayoutRow[] = [
  ['valueBytes', 0, 4],
  ['keyBytes', 4, 2],
  ['sizeClass', 6, 1],
  ['flags', 7, 1], // RECORD_EXTENTS, RECORD_STRUCT
  ['expiresAtMs', 8, 8], // f64 unix ms; 0 = never
  ['seq', 16, 8], // u64 of the mutation that wrote it
];

/** Behind the key of a record with RECORD_STRUCT, 8-aligned. */
export const STRUCT_FIELDS: readonly LayoutRow[] = [
  ['fingerprint', 0, 4],
  ['zero', 4, 4],
];

/** Behind that, of a record with RECORD_EXTENTS, 8-aligned; zeros up to a multiple of 8 follow. */
export const EXTENT_LIST_FIELDS: readonly LayoutRow[] = [
  ['extentCount', 0, 4],
  ['firstChunk', 4, 4], // extentCount chunk ids from here on, u32 each
];

/** Redo record and CHECK marker, in the ring and on the wire alike. */
export const REDO_FIELDS: readonly LayoutRow[] = [
  ['totalBytes', 0, 4],
  ['kind', 4, 1],
  ['flags', 5, 1], // REDO_TXN_END, REDO_REPAIR
  ['patchCount', 6, 2],
  ['seq', 8, 8], // u64
  ['generation', 16, 4],
  ['bucket', 20, 4], // ref of the head bucket, 0 = none
];

export const HEADER_BUCKET_COUNT = 24;
export const HEADER_CHUNKS_TOUCHED = 28;
export const HEADER_FLUSH_SEQ = 32;
export const HEADER_HISTORY_COUNT = 40;
export const HEADER_HISTORY = 64;
export const HEADER_INDEX_DIRECTORY = 32_768;
export const HISTORY_BYTES = 16;
export const HISTORY_MAX = 64;
export const INDEX_CHUNKS_MAX = 8_192;

export const CHUNK_TABLE_ENTRY_BYTES = 16;
export const CHUNK_TABLE_ENTRY_SHIFT = 4;
export const CHUNK_FREE = 0;
export const CHUNK_HEADER = 1;
export const CHUNK_TABLE = 2;
export const CHUNK_INDEX = 3;
export const CHUNK_SLAB = 4;
export const CHUNK_OVERFLOW = 5;
/** 64 KiB of one value. */
export const CHUNK_EXTENT = 6;
/** Cut into units of a few pages, each with a size class of its own. */
export const CHUNK_PAGED = 7;
/** Words of a chunk table entry. */
export const TABLE_OWNER_WORD = 1;
export const TABLE_POSITION_WORD = 2;
/** The classes of pages 0 to 3; those of 4 to 7 are in the next word. */
export const TABLE_PAGES_WORD = 1;

export const BUCKET_BYTES = 64;
export const BUCKET_SHIFT = 6;
export const BUCKET_ENTRIES = 7;
/** Word positions inside a bucket. */
export const BUCKET_OVERFLOW_WORD = 14;
export const BUCKET_SEQ_WORD = 15;
export const BUCKETS_PER_CHUNK: number = CHUNK_BYTES / BUCKET_BYTES;
export const BUCKETS_PER_CHUNK_SHIFT = 10;
/** Buckets a new partition starts with: one chunk. */
export const BUCKETS_MIN: number = BUCKETS_PER_CHUNK;
/** Longest chain that is followed; an insert that needs a longer one is out of memory. */
export const CHAIN_BUCKETS_MAX = 64;

export const RECORD_HEADER_BYTES = 24;
export const KEY_BYTES_MAX: number = 65_535 - RECORD_HEADER_BYTES;
/** Record flags. 0: the value stands directly behind the key. */
export const RECORD_EXTENTS = 1;
export const RECORD_STRUCT = 2;
export const STRUCT_HEADER_BYTES = 8;
/** A list of more chunks, behind the shortest key, does not fit a slot. */
export const EXTENTS_MAX: number = (CHUNK_BYTES - RECORD_HEADER_BYTES - 8) / 4;

export const REDO_HEADER_BYTES = 24;
export const REDO_MUTATION = 1;
export const REDO_CHECK = 2;
export const REDO_TXN_END = 1;
/** The record is a repair: one patch that is a whole chunk, as the primary has had it all along. */
export const REDO_REPAIR = 2;
export const REDO_CHECK_BYTES: number = REDO_HEADER_BYTES + 8;
export const PATCH_HEADER_BYTES = 8;
/** Top bit of a patch's length: fill with zeros, no bytes follow. */
export const PATCH_ZERO_FILL: number = 0x8000_0000 | 0;
/** No redo record is longer. */
export const REDO_RECORD_BYTES_MAX = 131_072;

// ---------------------------------------------------------------- scratch

/** Who writes each word and who reads it. Words up to `policy` are atomic; the rest is read and
 *  written inside a passage, or read under an even gate. Widths: 4 = u32, 8 = f64. */
export const SCRATCH_FIELDS: readonly LayoutRow[] = [
  ['gate', 0, 4], // every writer; every reader
  ['role', 64, 4], // supervisor, in a passage; everyone
  ['epoch', 68, 4], // the same
  ['sealed', 72, 4], // the same
  ['consistent', 76, 4], // follower, in a passage; everyone
  ['checked', 80, 4], // follower; supervisor
  ['policy', 84, 4], // supervisor at creation; eviction
  ['capacityChunks', 88, 4], // supervisor; slab
  ['pinCount', 92, 4], // whoever pins, before and after the chunks' own counts; whoever is inside
  ['writingChunks', 96, 4], // extents that large writes under way have asked for
  ['writers', 100, 4], // large writes under way, each of which counts in pinCount
  ['orphanHead', 104, 4], // inside the gate: first chunk of the list of orphans, 0 = none
  ['recovered', 108, 4], // whoever loads it from disk, follower; supervisor
  ['seq', 128, 8], // committed (primary) or applied (follower)
  ['clockMs', 136, 8], // highest clock seen
  ['generationStartMs', 144, 8],
  ['generationStartSeq', 152, 8],
  ['ringHead', 160, 8], // absolute byte position, never wraps
  ['ringTail', 168, 8],
  ['ringTailSeq', 176, 8], // seq of the record at the tail
  ['baseSeq', 192, 8],
  ['evictions', 200, 8],
  ['expiries', 208, 8],
  ['generation', 216, 4],
  ['baseEpoch', 220, 4],
  ['baseGeneration', 224, 4],
  ['baseValid', 228, 4],
  ['keyCount', 232, 4],
  ['recordCount', 236, 4],
  ['usedChunks', 240, 4],
  ['transaction', 244, 4], // 1 between beginTransaction and endTransaction
  ['lastRecordWord', 248, 4], // ring word of the newest redo record, -1 = none in this transaction
  ['freeChunkHint', 252, 4],
  ['baseHistoryCount', 256, 4],
  ['drainUnit', 260, 4], // unit that is being emptied, 0 = none
  ['drainSlot', 264, 4], // its slots below are empty
  ['evictedBytes', 268, 4], // since the class that gives was last looked for
  ['donorClass', 272, 4], // the class that gives, 0 = not looked for yet
  ['gatherClass', 276, 4], // volatile-ttl: class that gives up records for a chunk
  ['moves', 280, 8], // records moved to other slots
  ['drains', 288, 8], // chunks emptied and given back
  ['roomWork', 296, 8], // units of work spent on making room
  ['measuredBytes', 304, 8], // of records, as the sweeper last went round; 0 = not yet
  ['landings', 312, 4], // follower, in a passage: how often bytes came in other than by redo
  ['packChunk', 316, 4], // paged chunk all of whose units are being emptied, 0 = none
  ['baseHistory', 320, 1_024],
  ['pinTimes', 1_344, 256], // 64 x u32: when a pin that is held began, low bits of unix ms, 0 = no pin
  ['freeUnits', 1_600, 16], // 2 x FREE_UNIT_FIELDS: of small units, of large ones
  ['classes', 2_048, 4_096], // 128 x CLASS_FIELDS
];

/** Free units in chunks that are cut into such, in scratch. Not those of `packChunk`. */
export const FREE_UNIT_FIELDS: readonly LayoutRow[] = [
  ['head', 0, 4], // 0 = none
  ['count', 4, 4],
];

/** Per size class, in scratch. */
export const CLASS_FIELDS: readonly LayoutRow[] = [
  ['freeHead', 0, 4], // unit with free slots, 0 = none
  ['unitCount', 4, 4],
  ['handUnit', 8, 4], // SIEVE hand; of extents: a chunk
  ['handSlot', 12, 4],
  ['usedSlots', 16, 4],
  ['youngSlots', 20, 4], // used, and not yet passed by the hand
  ['phase', 24, 4], // whom the hand looks for: -1 the old, else the young
  ['passed', 28, 4], // low bits of the seq at which the hand had last been where it is
];

export const SCRATCH_GATE_WORD = 0;
export const SCRATCH_ROLE_WORD = 16;
export const SCRATCH_EPOCH_WORD = 17;
export const SCRATCH_SEALED_WORD = 18;
export const SCRATCH_CONSISTENT_WORD = 19;
export const SCRATCH_CHECKED_WORD = 20;
export const SCRATCH_POLICY_WORD = 21;
export const SCRATCH_CAPACITY_CHUNKS_WORD = 22;
export const SCRATCH_PIN_COUNT_WORD = 23;
export const SCRATCH_WRITING_CHUNKS_WORD = 24;
export const SCRATCH_WRITERS_WORD = 25;
export const SCRATCH_ORPHAN_HEAD_WORD = 26;
export const SCRATCH_RECOVERED_WORD = 27;
/** Indexes into the f64 view. */
export const SCRATCH_SEQ_F64 = 16;
export const SCRATCH_CLOCK_F64 = 17;
export const SCRATCH_GENERATION_START_MS_F64 = 18;
export const SCRATCH_GENERATION_START_SEQ_F64 = 19;
export const SCRATCH_RING_HEAD_F64 = 20;
export const SCRATCH_RING_TAIL_F64 = 21;
export const SCRATCH_RING_TAIL_SEQ_F64 = 22;
export const SCRATCH_BASE_SEQ_F64 = 24;
export const SCRATCH_EVICTIONS_F64 = 25;
export const SCRATCH_EXPIRIES_F64 = 26;
export const SCRATCH_GENERATION_WORD = 54;
export const SCRATCH_BASE_EPOCH_WORD = 55;
export const SCRATCH_BASE_GENERATION_WORD = 56;
export const SCRATCH_BASE_VALID_WORD = 57;
export const SCRATCH_KEY_COUNT_WORD = 58;
export const SCRATCH_RECORD_COUNT_WORD = 59;
export const SCRATCH_USED_CHUNKS_WORD = 60;
export const SCRATCH_TRANSACTION_WORD = 61;
export const SCRATCH_LAST_RECORD_WORD = 62;
export const SCRATCH_FREE_CHUNK_HINT_WORD = 63;
export const SCRATCH_BASE_HISTORY_COUNT_WORD = 64;
export const SCRATCH_DRAIN_UNIT_WORD = 65;
export const SCRATCH_DRAIN_SLOT_WORD = 66;
export const SCRATCH_EVICTED_BYTES_WORD = 67;
export const SCRATCH_DONOR_CLASS_WORD = 68;
export const SCRATCH_GATHER_CLASS_WORD = 69;
export const SCRATCH_MOVES_F64 = 35;
export const SCRATCH_DRAINS_F64 = 36;
export const SCRATCH_ROOM_WORK_F64 = 37;
export const SCRATCH_MEASURED_BYTES_F64 = 38;
export const SCRATCH_LANDINGS_WORD = 78;
export const SCRATCH_PACK_CHUNK_WORD = 79;
export const SCRATCH_BASE_HISTORY = 320;
export const SCRATCH_PIN_TIMES_WORD = 336;
export const PIN_TIMES = 64;
export const SCRATCH_FREE_UNITS_WORD = 400;
export const FREE_UNIT_WORDS = 2;
export const FREE_UNIT_HEAD = 0;
export const FREE_UNIT_COUNT = 1;
export const SCRATCH_CLASSES_WORD = 512;
export const CLASS_WORDS = 8;
export const CLASS_FREE_HEAD = 0;
export const CLASS_UNIT_COUNT = 1;
export const CLASS_HAND_UNIT = 2;
export const CLASS_HAND_SLOT = 3;
export const CLASS_USED_SLOTS = 4;
export const CLASS_YOUNG_SLOTS = 5;
export const CLASS_PHASE = 6;
export const CLASS_PASSED = 7;
export const CLASSES_MAX = 128;
/** Extents have the words of a class of their own: how many chunks there are, and where the hand is. */
export const EXTENT_CLASS: number = CLASSES_MAX - 1;
/** The named words end here; arrays per chunk and per page follow, then bitmaps, then the ring. */
export const SCRATCH_ARRAYS = 8_192;
/** One used bit and one access mark per 32 bytes of image: a slot is never smaller. */
export const SLOT_BIT_SHIFT = 5;
export const SLOT_BITS_PER_CHUNK_WORDS: number = (CHUNK_BYTES >>> SLOT_BIT_SHIFT) >>> 5;
export const SLOT_BITS_PER_PAGE_WORDS: number = (PAGE_BYTES >>> SLOT_BIT_SHIFT) >>> 5;

/** The redo ring is marked every so often; by segment: where the first record that starts in it begins. */
export const RING_SEGMENT_BYTES = 16_384;
export const RING_SEGMENT_WORD_SHIFT = 12;
export const RING_MARK_FIELDS: readonly LayoutRow[] = [
  ['position', 0, 8], // f64, absolute
  ['seq', 8, 8], // f64, of the first mutation from there on
];
export const RING_MARK_BYTES = 16;

/** The row's offset, for code that is not hot and for tests that tie constants to tables. */
export function offsetOf(rows: readonly LayoutRow[], name: string): number {
  const row = rows.find(([rowName]) => rowName === name);
  invariant(row !== undefined, `layout has a row ${name}`);
  return row[1];
}

function assertLayout(rows: readonly LayoutRow[], endBytes: number): void {
  let end = 0;
  for (const [name, offset, width] of rows) {
    invariant(offset >= end, `${name} does not overlap the row before it`);
    invariant(offset % Math.min(width & -width, 8) === 0, `${name} is naturally aligned`);
    end = offset + width;
  }
  invariant(end <= endBytes, 'the layout fits its container');
}

assertLayout(HEADER_FIELDS, CHUNK_BYTES);
assertLayout(HISTORY_FIELDS, HISTORY_BYTES);
assertLayout(CHUNK_TABLE_FIELDS, CHUNK_TABLE_ENTRY_BYTES);
assertLayout(PAGED_TABLE_FIELDS, CHUNK_TABLE_ENTRY_BYTES);
assertLayout(BUCKET_FIELDS, BUCKET_BYTES);
assertLayout(RECORD_FIELDS, RECORD_HEADER_BYTES);
assertLayout(STRUCT_FIELDS, STRUCT_HEADER_BYTES);
assertLayout(EXTENT_LIST_FIELDS, 8);
assertLayout(REDO_FIELDS, REDO_HEADER_BYTES);
assertLayout(SCRATCH_FIELDS, SCRATCH_ARRAYS);
assertLayout(RING_MARK_FIELDS, RING_MARK_BYTES);
assertLayout(FREE_UNIT_FIELDS, FREE_UNIT_WORDS * 4);
assertLayout(CLASS_FIELDS, CLASS_WORDS * 4);
