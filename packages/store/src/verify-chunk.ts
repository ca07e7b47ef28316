/** verifyChunk(): the rules of `verify` that one chunk takes part in.
 *
 *  A chunk of records: every used slot holds a well-formed one, and a lookup of its key leads to it; free pages are
 *  zero. A chunk of buckets:
 *  every entry refers to a used slot whose key has that hash and belongs there. Header and chunk table: the
 *  frame. A free chunk: zeros. So a flipped bit anywhere but in a value, or in what is unused, is found.
 *  Work is bounded by what one chunk can hold: 1,024 buckets of 7 entries, or 2,048 records. */
import { invariant } from './errors.ts';
import { hashKey } from './hash.ts';
import { readHistory } from './history.ts';
import {
  BUCKET_BYTES,
  BUCKET_OVERFLOW_WORD,
  BUCKET_SEQ_WORD,
  BUCKETS_PER_CHUNK,
  CHAIN_BUCKETS_MAX,
  CHUNK_BYTES,
  CHUNK_EXTENT,
  CHUNK_HEADER,
  CHUNK_INDEX,
  CHUNK_OVERFLOW,
  CHUNK_PAGED,
  CHUNK_SHIFT,
  CHUNK_SLAB,
  CHUNK_TABLE,
  CHUNK_TABLE_ENTRY_BYTES,
  EXTENTS_MAX,
  HEADER_FIELDS,
  HEADER_FLUSH_SEQ,
  HEADER_HISTORY,
  HEADER_INDEX_DIRECTORY,
  HISTORY_BYTES,
  type LayoutRow,
  PAGE_BYTES,
  PAGE_SHIFT,
  PAGES_PER_CHUNK_SHIFT,
  SCRATCH_GENERATION_WORD,
  SCRATCH_SEQ_F64,
  TABLE_OWNER_WORD,
  TABLE_POSITION_WORD,
} from './layout.ts';
import { brokenFrame, type ImageParts, isOverflowSlot } from './rebuild.ts';
import { SLOT_BYTES, SLOTS_PER_UNIT, UNIT_PAGES } from './size-classes.ts';
import {
  brokenFlagged,
  brokenHistory,
  brokenRecord,
  findsAnother,
  FLAGS_KNOWN,
  isZero,
} from './verify.ts';

const TABLE_ENTRY_WORDS = CHUNK_TABLE_ENTRY_BYTES >>> 2;
const HEADER_RESERVED: LayoutRow = headerRow('reserved');

function headerRow(name: string): LayoutRow {
  const row = HEADER_FIELDS.find(([rowName]) => rowName === name);
  invariant(row !== undefined, `the header has a row ${name}`);
  return row;
}

/** The first broken rule, or null. The frame comes first, for every other rule is read through it. Nobody may
 *  write meanwhile. */
export function verifyChunk(parts: ImageParts, chunk: number): string | null {
  return brokenFrame(parts) ?? brokenStamp(parts, chunk) ?? brokenContent(parts, chunk);
}

function brokenStamp({ memory }: ImageParts, chunk: number): string | null {
  const generation = memory.scratch32[SCRATCH_GENERATION_WORD] >>> 0;
  return memory.stamps[chunk] > generation ? `chunk ${chunk}: its stamp is from the future` : null;
}

function brokenContent(parts: ImageParts, chunk: number): string | null {
  switch (parts.slab.kind(chunk)) {
    case CHUNK_HEADER:
      return brokenHistory(parts) ?? brokenHeaderRest(parts);
    case CHUNK_TABLE:
      return brokenTableChunk(parts, chunk);
    case CHUNK_INDEX:
      return brokenIndexChunk(parts, chunk);
    case CHUNK_OVERFLOW:
      return brokenOverflowChunk(parts, chunk);
    case CHUNK_SLAB:
    case CHUNK_PAGED:
      return brokenSlabChunk(parts, chunk);
    case CHUNK_EXTENT:
      return brokenExtent(parts, chunk);
    default:
      return isZero(parts.memory, chunk * CHUNK_BYTES, CHUNK_BYTES)
        ? null
        : `chunk ${chunk}: free, but not zero`;
  }
}

function brokenHeaderRest(parts: ImageParts): string | null {
  const { memory } = parts;
  if (memory.imageU64(HEADER_FLUSH_SEQ >>> 2) > memory.scratch64[SCRATCH_SEQ_F64]) {
    return 'header: a flush from the future';
  }
  const [, reserved, reservedBytes] = HEADER_RESERVED;
  const historyEnd = HEADER_HISTORY + readHistory(memory).length * HISTORY_BYTES;
  const restIsZero =
    isZero(memory, reserved, reservedBytes) &&
    isZero(memory, historyEnd, HEADER_INDEX_DIRECTORY - historyEnd);
  return restIsZero ? null : 'header: what is reserved is zero';
}

/** Kinds and classes are the frame's; here the rest of each entry, and what lies behind the last. */
function brokenTableChunk({ memory, slab }: ImageParts, chunk: number): string | null {
  const words = memory.image32;
  const end = ((chunk + 1) * CHUNK_BYTES) >>> 2;
  for (let word = (chunk * CHUNK_BYTES) >>> 2; word < end; word += TABLE_ENTRY_WORDS) {
    const entry = (word - (CHUNK_BYTES >>> 2)) / TABLE_ENTRY_WORDS;
    const isThere = entry < memory.geometry.chunkCount;
    const kindAndClass = isThere ? 0xffff : 0;
    const isExtent = isThere && slab.kind(entry) === CHUNK_EXTENT;
    const isPaged = isThere && slab.kind(entry) === CHUNK_PAGED; // whose pages are the frame's, too
    const hasOwner = isPaged || isExtent || (isThere && slab.kind(entry) === CHUNK_INDEX);
    const position = words[word + TABLE_POSITION_WORD] >>> 0;
    const isRight =
      (words[word] & ~kindAndClass) === 0 &&
      (hasOwner || words[word + TABLE_OWNER_WORD] === 0) &&
      (isPaged || position < (isExtent ? EXTENTS_MAX : 1)) &&
      words[word + TABLE_ENTRY_WORDS - 1] === 0;
    if (!isRight) return `chunk table: entry ${entry} is what its kind says`;
  }
  return null;
}

/** Buckets behind the last are zero: they have never been used. */
function brokenIndexChunk(parts: ImageParts, chunk: number): string | null {
  const { buckets, slab } = parts;
  const first = slab.owner(chunk) * BUCKETS_PER_CHUNK;
  for (let i = 0; i < BUCKETS_PER_CHUNK; i++) {
    const bucket = (chunk << CHUNK_SHIFT) + i * BUCKET_BYTES;
    const number = first + i;
    if (number >= buckets.count) {
      if (!isZero(parts.memory, bucket, BUCKET_BYTES)) return `bucket ${number}: behind the last`;
      continue;
    }
    const broken = brokenBucket(parts, bucket, number);
    if (broken !== null) return broken;
  }
  return null;
}

/** An overflow bucket belongs to the chain where its entries' hashes live. One without entries may belong to any; a free
 *  one is zero. */
function brokenOverflowChunk(parts: ImageParts, chunk: number): string | null {
  const { memory, buckets, slab } = parts;
  for (let i = 0; i < BUCKETS_PER_CHUNK; i++) {
    const bucket = (chunk << CHUNK_SHIFT) + i * BUCKET_BYTES;
    if (!slab.isUsed(bucket)) {
      if (!isZero(memory, bucket, BUCKET_BYTES))
        return `overflow bucket ${bucket}: free, but not zero`;
      continue;
    }
    if (memory.image32[(bucket >>> 2) + BUCKET_SEQ_WORD] !== 0) {
      return `overflow bucket ${bucket}: carries a seq`;
    }
    const hash = firstHash(parts, bucket);
    if (hash === null) {
      const broken = brokenEmptyBucket(parts, bucket);
      if (broken !== null) return broken;
      continue;
    }
    const number = buckets.numberOf(hash);
    if (!chainHolds(parts, number, bucket)) {
      return `overflow bucket ${bucket}: the chain of bucket ${number} does not lead to it`;
    }
    const broken = brokenBucket(parts, bucket, number);
    if (broken !== null) return broken;
  }
  return null;
}

function firstHash({ memory }: ImageParts, bucket: number): number | null {
  const word = bucket >>> 2;
  for (let entry = word; entry < word + BUCKET_OVERFLOW_WORD; entry += 2) {
    if (memory.image32[entry + 1] !== 0) return memory.image32[entry];
  }
  return null;
}

function chainHolds(parts: ImageParts, number: number, wanted: number): boolean {
  let bucket = parts.buckets.refOf(number);
  for (let hops = 0; hops < CHAIN_BUCKETS_MAX && bucket !== wanted; hops++) {
    bucket = parts.memory.image32[(bucket >>> 2) + BUCKET_OVERFLOW_WORD];
    if (!isOverflowSlot(parts, bucket)) return false;
  }
  return bucket === wanted;
}

function brokenBucket(parts: ImageParts, bucket: number, number: number): string | null {
  const { memory } = parts;
  const word = bucket >>> 2;
  for (let entry = word; entry < word + BUCKET_OVERFLOW_WORD; entry += 2) {
    const hash = memory.image32[entry];
    const ref = memory.image32[entry + 1];
    if (ref === 0 && hash !== 0) return `bucket ${number}: a hash without a record`;
    const broken = ref === 0 ? null : brokenRecord(parts, ref, hash, number);
    if (broken !== null) return broken;
  }
  return brokenLink(parts, bucket, number);
}

function brokenEmptyBucket(parts: ImageParts, bucket: number): string | null {
  if (!isZero(parts.memory, bucket, BUCKET_OVERFLOW_WORD * 4)) {
    return `overflow bucket ${bucket}: a hash without a record`;
  }
  return brokenLink(parts, bucket, null);
}

/** `number` null: the chain that the bucket is part of is not known. */
function brokenLink(parts: ImageParts, bucket: number, number: number | null): string | null {
  const { memory, slab, buckets } = parts;
  const next = memory.image32[(bucket >>> 2) + BUCKET_OVERFLOW_WORD];
  if (next === 0) return null;
  if (!isOverflowSlot(parts, next)) {
    return `overflow bucket ${next}: none, yet bucket ${bucket} refers to it`;
  }
  if (!slab.isUsed(next)) {
    return `overflow bucket ${next}: counts as free, yet bucket ${bucket} refers to it`;
  }
  const hash = firstHash(parts, next);
  return hash === null || number === null || buckets.numberOf(hash) === number
    ? null
    : `overflow bucket ${next}: of another chain than bucket ${number}`;
}

function brokenSlabChunk(parts: ImageParts, chunk: number): string | null {
  const { slab } = parts;
  const end = (chunk + 1) << PAGES_PER_CHUNK_SHIFT;
  for (let unit = chunk << PAGES_PER_CHUNK_SHIFT; unit < end; ) {
    const sizeClass = slab.classAt(unit);
    const broken =
      sizeClass === 0 ? brokenFreePage(parts, unit) : brokenUnit(parts, unit, sizeClass);
    if (broken !== null) return broken;
    unit += sizeClass === 0 ? 1 : UNIT_PAGES[sizeClass];
  }
  return null;
}

function brokenFreePage({ memory }: ImageParts, page: number): string | null {
  return isZero(memory, page << PAGE_SHIFT, PAGE_BYTES) ? null : `page ${page}: free, but not zero`;
}

function brokenUnit(parts: ImageParts, unit: number, sizeClass: number): string | null {
  const { memory, records, slab } = parts;
  for (let slot = 0; slot < SLOTS_PER_UNIT[sizeClass]; slot++) {
    const ref = (unit << PAGE_SHIFT) + slot * SLOT_BYTES[sizeClass];
    if (!slab.isUsed(ref)) continue;
    if ((records.flags(ref) & ~FLAGS_KNOWN) !== 0) return `record ${ref}: unknown flags`;
    if (!records.fits(ref, sizeClass)) return `record ${ref}: does not fit its slot`;
    if (records.seq(ref) > memory.scratch64[SCRATCH_SEQ_F64]) {
      return `record ${ref}: from the future`;
    }
    const hash = hashKey(memory.imageBuffer, records.keyOffset(ref), records.keyBytes(ref));
    if (findsAnother(parts, ref, hash)) return `record ${ref}: a lookup of its key leads elsewhere`;
    const broken = records.isPlain(ref) ? null : brokenFlagged(parts, ref);
    if (broken !== null) return broken;
  }
  return null;
}

/** Its bytes are a value's: only the record that refers to it, if there is one, can be asked. */
function brokenExtent(parts: ImageParts, chunk: number): string | null {
  const { buckets, slab } = parts;
  const ref = buckets.findOwner(slab.owner(chunk), slab.position(chunk), chunk);
  return ref === 0 ? null : brokenFlagged(parts, ref);
}
