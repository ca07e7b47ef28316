/** Reads an image that arrived as raw chunks and rebuilds what scratch knows of it: used slots and counts.
 *
 *  The bytes came off the wire, so every ref and count is checked before it is used. Owner: the follower of the
 *  copy, once its bytes are consistent and before anyone may read it. */
import type { Buckets } from './buckets.ts';
import { ChunkTable } from './chunk-table.ts';
import { hashKey } from './hash.ts';
import { firstFreeChunk, type PartitionMemory } from './memory.ts';
import {
  BUCKET_BYTES,
  BUCKET_OVERFLOW_WORD,
  BUCKETS_MIN,
  BUCKETS_PER_CHUNK,
  BYTE_ORDER_MARK,
  CHAIN_BUCKETS_MAX,
  CHUNK_BYTES,
  CHUNK_EXTENT,
  CHUNK_FREE,
  CHUNK_HEADER,
  CHUNK_INDEX,
  CHUNK_OVERFLOW,
  CHUNK_PAGED,
  CHUNK_SHIFT,
  CHUNK_SLAB,
  CHUNK_TABLE,
  HEADER_FIELDS,
  HEADER_FLUSH_SEQ,
  HEADER_INDEX_DIRECTORY,
  HISTORY_MAX,
  IMAGE_MAGIC,
  INDEX_CHUNKS_MAX,
  offsetOf,
  PAGE_SHIFT,
  PAGES_PER_CHUNK,
  PAGES_PER_CHUNK_SHIFT,
  SCRATCH_KEY_COUNT_WORD,
  SCRATCH_RECORD_COUNT_WORD,
  SLOT_BIT_SHIFT,
} from './layout.ts';
import type { Records } from './record.ts';
import {
  CLASS_COUNT,
  LARGE_UNIT_PAGES,
  SLOT_BYTES,
  SLOTS_PER_UNIT,
  SMALL_UNIT_PAGES,
  UNIT_BYTES,
  UNIT_PAGES,
} from './size-classes.ts';
import type { Slab } from './slab.ts';

export interface ImageParts {
  memory: PartitionMemory;
  buckets: Buckets;
  records: Records;
  slab: Slab;
}

const headerU32 = (memory: PartitionMemory, name: string): number =>
  memory.image32[offsetOf(HEADER_FIELDS, name) >>> 2] >>> 0;

/** The first broken rule of header, chunk table or index directory; null when all hold. */
export function brokenFrame(parts: ImageParts): string | null {
  return brokenHeader(parts) ?? brokenTable(parts) ?? brokenDirectory(parts);
}

function brokenHeader({ memory, slab, buckets }: ImageParts): string | null {
  const { geometry } = memory;
  if (headerU32(memory, 'magic') !== IMAGE_MAGIC >>> 0) return 'header: magic';
  const formatAndOrder = memory.image32[offsetOf(HEADER_FIELDS, 'format') >>> 2];
  if ((formatAndOrder & 0xffff) !== geometry.format) return 'header: format version';
  if (formatAndOrder >>> 16 !== BYTE_ORDER_MARK) return 'header: byte order';
  if (headerU32(memory, 'chunkBytes') !== CHUNK_BYTES) return 'header: chunk bytes';
  if (headerU32(memory, 'partitions') !== geometry.partitions) return 'header: partitions';
  if (headerU32(memory, 'chunkCount') !== geometry.chunkCount) return 'header: chunk count';
  const touched = slab.chunksTouched;
  if (touched < firstFreeChunk(geometry) || touched > geometry.chunkCount) {
    return `header: chunks touched (${touched}) out of range`;
  }
  const { count } = buckets;
  if (count < BUCKETS_MIN || count > INDEX_CHUNKS_MAX * BUCKETS_PER_CHUNK) {
    return `header: bucket count (${count}) out of range`;
  }
  const historyCount = headerU32(memory, 'historyCount');
  return historyCount > HISTORY_MAX ? `header: history of ${historyCount} entries` : null;
}

function brokenTable({ memory, slab }: ImageParts): string | null {
  const { geometry } = memory;
  const firstFree = firstFreeChunk(geometry);
  for (let chunk = 0; chunk < geometry.chunkCount; chunk++) {
    const kind = slab.kind(chunk);
    const isFixed = chunk < firstFree - 1;
    const fixedKind = chunk === 0 ? CHUNK_HEADER : CHUNK_TABLE;
    const mayBe = isFixed
      ? kind === fixedKind
      : kind === CHUNK_FREE || (kind >= CHUNK_INDEX && kind <= CHUNK_PAGED);
    if (!mayBe) return `chunk table: chunk ${chunk} has kind ${kind}`;
    if (chunk >= slab.chunksTouched && kind !== CHUNK_FREE) {
      return `chunk table: chunk ${chunk} has kind ${kind}, yet was never touched`;
    }
    const sizeClass = slab.sizeClass(chunk);
    if (kind === CHUNK_PAGED) {
      const broken = brokenPages(slab, chunk);
      if (broken !== null) return broken;
    } else if (!classMayBe(kind, sizeClass)) {
      return `chunk table: chunk ${chunk} has size class ${sizeClass}`;
    }
  }
  return null;
}

/** Whether a chunk of this kind, which is not cut, may have this class: one that takes whole chunks. */
function classMayBe(kind: number, sizeClass: number): boolean {
  if (kind !== CHUNK_SLAB) return sizeClass === 0;
  return sizeClass >= 1 && sizeClass < CLASS_COUNT && UNIT_PAGES[sizeClass] === PAGES_PER_CHUNK;
}

/** Units of one or four pages, of classes that take such, and at least one of them. */
function brokenPages(slab: Slab, chunk: number): string | null {
  const unitPages = slab.sizeClass(chunk);
  if (unitPages !== SMALL_UNIT_PAGES && unitPages !== LARGE_UNIT_PAGES) {
    return `chunk table: chunk ${chunk} has units of ${unitPages} pages`;
  }
  const first = chunk << PAGES_PER_CHUNK_SHIFT;
  let used = 0;
  for (let page = first; page < first + PAGES_PER_CHUNK; page++) {
    const sizeClass = slab.classAt(page);
    const mayBe =
      sizeClass === slab.classAt(page & -unitPages) &&
      (sizeClass === 0 || UNIT_PAGES[sizeClass] === unitPages);
    if (!mayBe) return `chunk table: page ${page} has size class ${sizeClass}`;
    if (sizeClass !== 0) used++;
  }
  return used === 0 ? `chunk table: chunk ${chunk} is cut, and no unit of it used` : null;
}

/** Position and chunk name each other, so no index chunk is there twice or forgotten. */
function brokenDirectory({ memory, slab, buckets }: ImageParts): string | null {
  const used = Math.ceil(buckets.count / BUCKETS_PER_CHUNK);
  for (let position = 0; position < INDEX_CHUNKS_MAX; position++) {
    const chunk = memory.image32[(HEADER_INDEX_DIRECTORY >>> 2) + position];
    if (position >= used) {
      if (chunk !== 0) return `index directory: position ${position} is behind the last bucket`;
    } else if (
      chunk < 1 ||
      chunk >= slab.chunksTouched ||
      slab.kind(chunk) !== CHUNK_INDEX ||
      slab.owner(chunk) !== position
    ) {
      return `index directory: position ${position} names chunk ${chunk}`;
    }
  }
  for (let chunk = 0; chunk < slab.chunksTouched; chunk++) {
    if (slab.kind(chunk) !== CHUNK_INDEX) continue;
    const position = slab.owner(chunk) >>> 0;
    if (position >= used || memory.image32[(HEADER_INDEX_DIRECTORY >>> 2) + position] !== chunk) {
      return `chunk table: index chunk ${chunk} is not in the directory`;
    }
  }
  return null;
}

/** Whether `ref` is the start of a slot of records. */
export function isRecordSlot({ memory, slab }: ImageParts, ref: number): boolean {
  const chunk = ref >>> CHUNK_SHIFT;
  if (ref <= 0 || chunk >= memory.geometry.chunkCount) return false;
  if (!ChunkTable.holdsRecords(slab.kind(chunk))) return false;
  const sizeClass = slab.classOf(ref);
  if (sizeClass === 0) return false;
  const at = ref & (UNIT_BYTES[sizeClass] - 1);
  return at % SLOT_BYTES[sizeClass] === 0 && at < SLOTS_PER_UNIT[sizeClass] * SLOT_BYTES[sizeClass];
}

/** Whether `ref` is an overflow bucket. */
export function isOverflowSlot({ memory, slab }: ImageParts, ref: number): boolean {
  const chunk = ref >>> CHUNK_SHIFT;
  if (ref <= 0 || chunk >= memory.geometry.chunkCount) return false;
  return slab.kind(chunk) === CHUNK_OVERFLOW && (ref & (BUCKET_BYTES - 1)) === 0;
}

/** Walks every bucket, overflow buckets included. The visitor returns a broken rule, or null to go on. */
export function walkBuckets(
  parts: ImageParts,
  visit: (bucketRef: number, bucketNumber: number) => string | null,
): string | null {
  const { memory, buckets } = parts;
  const { count } = buckets;
  for (let number = 0; number < count; number++) {
    let hops = 0;
    for (let bucket = buckets.refOf(number); bucket !== 0; ) {
      if (hops > 0 && !isOverflowSlot(parts, bucket)) {
        return `bucket ${number}: overflow ref ${bucket} is no overflow bucket`;
      }
      if (++hops > CHAIN_BUCKETS_MAX) return `bucket ${number}: its chain is too long`;
      const broken = visit(bucket, number);
      if (broken !== null) return broken;
      bucket = memory.image32[(bucket >>> 2) + BUCKET_OVERFLOW_WORD];
    }
  }
  return null;
}

/** Rebuilds scratch from the image. Returns the first broken rule, or null.
 *
 *  Two walks, each in the order of the bytes. Buckets lie back to back and say which slots are used; then each
 *  unit's used slots are looked at one behind the other. Following each ref to its record instead takes one
 *  miss of the cache per record: ten times as long. */
export function rebuildScratch(parts: ImageParts): string | null {
  const brokenBefore = brokenFrame(parts);
  if (brokenBefore !== null) return brokenBefore;
  parts.slab.rebuildFromTable();
  const usedSlots = new Int32Array(parts.memory.geometry.chunkCount * PAGES_PER_CHUNK);
  return markReferred(parts, usedSlots) ?? countRecords(parts, usedSlots);
}

/** Sets the used bit of every slot that a bucket refers to, and counts them by page. */
function markReferred(parts: ImageParts, usedSlots: Int32Array): string | null {
  const { memory, buckets } = parts;
  const { image32, usedBits } = memory;
  const { slotBytes, unitMasks } = slotsByPage(parts);
  const { count } = buckets;
  for (let number = 0; number < count; number++) {
    let word = buckets.refOf(number) >>> 2;
    for (let hops = 1; ; hops++) {
      for (let entry = word + 1; entry < word + BUCKET_OVERFLOW_WORD; entry += 2) {
        const ref = image32[entry];
        if (ref === 0) continue;
        const page = ref >>> PAGE_SHIFT;
        // A ref behind the image has no page: the remainder is NaN, and no slot either.
        if ((ref & unitMasks[page]) % slotBytes[page] !== 0)
          return `bucket ${number}: ref ${ref} is no record`;
        const bits = ref >>> (SLOT_BIT_SHIFT + 5);
        const bit = 1 << ((ref >>> SLOT_BIT_SHIFT) & 31);
        const before = usedBits[bits];
        if ((before & bit) !== 0) return `bucket ${number}: ref ${ref} is referred to twice`;
        usedBits[bits] = before | bit;
        usedSlots[page]++;
      }
      const overflow = image32[word + BUCKET_OVERFLOW_WORD];
      if (overflow === 0) break;
      const broken = linkOverflow(parts, overflow, number, hops);
      if (broken !== null) return broken;
      usedSlots[overflow >>> PAGE_SHIFT]++;
      word = overflow >>> 2;
    }
  }
  return null;
}

/** What is wrong with the list of extents of a record: each is an extent, names the record's key and its place in the
 *  list, and a lookup of its owner leads to the record: no two share one. */
export function brokenExtents(
  { memory, records, slab, buckets }: ImageParts,
  ref: number,
): string | null {
  const hash = hashKey(memory.imageBuffer, records.keyOffset(ref), records.keyBytes(ref));
  const count = records.extentCount(ref);
  for (let position = 0; position < count; position++) {
    const chunk = records.extentAt(ref, position);
    const isExtent = chunk !== 0 && slab.kind(chunk) === CHUNK_EXTENT;
    if (!isExtent) return `record ${ref}: its extent ${position} is none`;
    if (slab.owner(chunk) !== hash || slab.position(chunk) !== position) {
      return `record ${ref}: its extent ${position}, chunk ${chunk}, names another`;
    }
    if (buckets.findOwner(hash, position, chunk) !== ref) {
      return `record ${ref}: its extent ${position}, chunk ${chunk}, belongs to another`;
    }
  }
  return null;
}

/** By page: bytes of its slots, 0 where it has none of records (every remainder by that is NaN), and the bits of a ref
 *  that lead from the start of its unit. */
function slotsByPage({ memory, slab }: ImageParts): {
  slotBytes: Int32Array;
  unitMasks: Int32Array;
} {
  const pages = memory.geometry.chunkCount * PAGES_PER_CHUNK;
  const slotBytes = new Int32Array(pages);
  const unitMasks = new Int32Array(pages);
  for (let page = 0; page < slab.chunksTouched * PAGES_PER_CHUNK; page++) {
    if (!ChunkTable.holdsRecords(slab.kind(page >>> PAGES_PER_CHUNK_SHIFT))) continue;
    const sizeClass = slab.classAt(page);
    if (sizeClass === 0) continue;
    slotBytes[page] = SLOT_BYTES[sizeClass];
    unitMasks[page] = UNIT_BYTES[sizeClass] - 1;
  }
  return { slotBytes, unitMasks };
}

function linkOverflow(
  parts: ImageParts,
  overflow: number,
  number: number,
  hops: number,
): string | null {
  const { slab } = parts;
  if (!isOverflowSlot(parts, overflow)) {
    return `bucket ${number}: overflow ref ${overflow} is no overflow bucket`;
  }
  if (hops === CHAIN_BUCKETS_MAX) return `bucket ${number}: its chain is too long`;
  if (slab.isUsed(overflow)) return `bucket ${number}: overflow bucket ${overflow} linked twice`;
  slab.setUsed(overflow);
  return null;
}

/** Looks at every used slot's record, and tells the slab how many slots each unit uses. `usedSlots`: by page. */
function countRecords(parts: ImageParts, usedSlots: Int32Array): string | null {
  const { memory, slab } = parts;
  let recordCount = 0;
  let flushedCount = 0;
  const end = slab.chunksTouched * PAGES_PER_CHUNK;
  for (let unit = 0, pages = 1; unit < end; unit += pages) {
    const sizeClass = slab.classAt(unit);
    const isOverflow = slab.kind(unit >>> PAGES_PER_CHUNK_SHIFT) === CHUNK_OVERFLOW;
    pages = sizeClass === 0 && !isOverflow ? 1 : UNIT_PAGES[sizeClass];
    let used = 0;
    for (let page = unit; page < unit + pages; page++) used += usedSlots[page];
    if (used === 0) continue;
    slab.slotsUsed(unit, used);
    if (isOverflow) continue;
    const flushed = countFlushed(parts, unit, sizeClass, used);
    if (typeof flushed === 'string') return flushed;
    recordCount += used;
    flushedCount += flushed;
  }
  memory.scratch32[SCRATCH_RECORD_COUNT_WORD] = recordCount;
  memory.scratch32[SCRATCH_KEY_COUNT_WORD] = recordCount - flushedCount;
  return null;
}

/** Of the `used` records of a unit, how many a flush has made absent; or the rule that one of them breaks. */
function countFlushed(
  parts: ImageParts,
  unit: number,
  sizeClass: number,
  used: number,
): number | string {
  const { memory, records } = parts;
  const { usedBits } = memory;
  const slotBytes = SLOT_BYTES[sizeClass];
  const base = unit << PAGE_SHIFT;
  const end = base + SLOTS_PER_UNIT[sizeClass] * slotBytes;
  const everFlushed = memory.imageU64(HEADER_FLUSH_SEQ >>> 2) !== 0;
  let flushed = 0;
  let left = used;
  for (let ref = base; ref < end; ref += slotBytes) {
    const bit = 1 << ((ref >>> SLOT_BIT_SHIFT) & 31);
    if ((usedBits[ref >>> (SLOT_BIT_SHIFT + 5)] & bit) === 0) continue;
    if (!records.fits(ref, sizeClass)) return `unit ${unit}: slot ${ref} is no record`;
    if (records.hasExtents(ref)) {
      const broken = brokenExtents(parts, ref);
      if (broken !== null) return broken;
    }
    left--;
    if (everFlushed && records.isFlushed(ref)) flushed++;
  }
  return left === 0 ? flushed : `unit ${unit}: a ref behind the last slot is no record`;
}
