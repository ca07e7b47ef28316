/** verify(): walks an image and what scratch says of it, and names the first rule that does not hold. */
import { hashKey } from './hash.ts';
import { readHistory } from './history.ts';
import {
  BUCKET_OVERFLOW_WORD,
  CHUNK_BYTES,
  CHUNK_EXTENT,
  CHUNK_FREE,
  CHUNK_OVERFLOW,
  CHUNK_PAGED,
  EXTENT_CLASS,
  PAGE_SHIFT,
  PAGES_PER_CHUNK,
  PAGES_PER_CHUNK_SHIFT,
  RECORD_EXTENTS,
  RECORD_STRUCT,
  SCRATCH_GENERATION_WORD,
  SCRATCH_KEY_COUNT_WORD,
  SCRATCH_ORPHAN_HEAD_WORD,
  SCRATCH_RECORD_COUNT_WORD,
  SCRATCH_ROLE_WORD,
  SCRATCH_SEQ_F64,
} from './layout.ts';
import type { PartitionMemory } from './memory.ts';
import { ROLE_PRIMARY } from './mutation.ts';
import {
  brokenExtents,
  brokenFrame,
  type ImageParts,
  isRecordSlot,
  walkBuckets,
} from './rebuild.ts';
import {
  CLASS_COUNT,
  LARGE_UNIT_PAGES,
  SLOT_BYTES,
  SLOTS_PER_UNIT,
  SMALL_UNIT_PAGES,
  UNIT_PAGES,
} from './size-classes.ts';
import type { Slab } from './slab.ts';

export const ZERO_CHUNK: Buffer = Buffer.alloc(CHUNK_BYTES);
export const FLAGS_KNOWN: number = RECORD_EXTENTS | RECORD_STRUCT;

/** The first broken rule, or null. Nobody may write meanwhile. */
export function verifyImage(parts: ImageParts): string | null {
  return (
    brokenFrame(parts) ??
    brokenHistory(parts) ??
    brokenIndex(parts) ??
    brokenChunks(parts) ??
    brokenFreeUnits(parts) ??
    brokenOrphans(parts)
  );
}

export function brokenHistory({ memory }: ImageParts): string | null {
  const history = readHistory(memory);
  const seq = memory.scratch64[SCRATCH_SEQ_F64];
  for (let i = 0; i < history.length; i++) {
    const before = history[i - 1] ?? { epoch: 0, generation: 0, startSeq: 0 };
    const { epoch, generation, startSeq } = history[i];
    const rises =
      epoch > before.epoch && generation > before.generation && startSeq > before.startSeq;
    if (!rises) return `history: entry ${i} does not follow the one before it`;
    if (startSeq > seq) return `history: entry ${i} is from the future`;
  }
  return null;
}

function brokenIndex(parts: ImageParts): string | null {
  const { memory, slab } = parts;
  const seen = new Set<number>();
  let recordCount = 0;
  let keyCount = 0;
  const broken = walkBuckets(parts, (bucket, number) => {
    const word = bucket >>> 2;
    for (let entry = word; entry < word + BUCKET_OVERFLOW_WORD; entry += 2) {
      const ref = memory.image32[entry + 1];
      if (ref === 0) {
        if (memory.image32[entry] !== 0) return `bucket ${number}: a hash without a record`;
        continue;
      }
      const rule = brokenRecord(parts, ref, memory.image32[entry], number);
      if (rule !== null) return rule;
      if (seen.has(ref)) return `bucket ${number}: record ${ref} is referred to twice`;
      if (findsAnother(parts, ref, memory.image32[entry]))
        return `record ${ref}: its key is there twice`;
      seen.add(ref);
      recordCount++;
      if (!parts.records.isFlushed(ref)) keyCount++;
    }
    const overflow = memory.image32[word + BUCKET_OVERFLOW_WORD];
    if (overflow !== 0) {
      if (!slab.isUsed(overflow))
        return `bucket ${number}: overflow bucket ${overflow} counts as free`;
      if (seen.has(overflow)) return `bucket ${number}: overflow bucket ${overflow} linked twice`;
      seen.add(overflow);
    }
    return null;
  });
  if (broken !== null) return broken;
  const counts = memory.scratch32;
  if (counts[SCRATCH_RECORD_COUNT_WORD] !== recordCount) {
    return `record count is ${counts[SCRATCH_RECORD_COUNT_WORD]}, the index has ${recordCount}`;
  }
  if (counts[SCRATCH_KEY_COUNT_WORD] !== keyCount) {
    return `key count is ${counts[SCRATCH_KEY_COUNT_WORD]}, the index has ${keyCount}`;
  }
  return brokenSlots(parts, seen);
}

/** A lookup of the record's key must lead to the record. */
export function findsAnother(
  { memory, records, buckets }: ImageParts,
  ref: number,
  hash: number,
): boolean {
  const keyAt = records.keyOffset(ref);
  return buckets.find(hash, memory.imageBuffer, keyAt, records.keyBytes(ref)) !== ref;
}

/** What is wrong with the record that an entry (hash, ref) of a bucket refers to. */
export function brokenRecord(
  parts: ImageParts,
  ref: number,
  hash: number,
  bucketNumber: number,
): string | null {
  const { memory, records, buckets, slab } = parts;
  if (!isRecordSlot(parts, ref)) return `bucket ${bucketNumber}: ref ${ref} is no slot`;
  if (records.sizeClass(ref) !== slab.classOf(ref)) {
    return `record ${ref}: class differs from its unit's`;
  }
  if ((records.flags(ref) & ~FLAGS_KNOWN) !== 0) return `record ${ref}: unknown flags`;
  if (!records.fits(ref, records.sizeClass(ref))) return `record ${ref}: longer than its slot`;
  const ownHash = hashKey(memory.imageBuffer, records.keyOffset(ref), records.keyBytes(ref));
  if (ownHash !== hash) return `record ${ref}: its key does not hash to its entry`;
  if (buckets.numberOf(hash) !== bucketNumber) return `record ${ref}: in bucket ${bucketNumber}`;
  if (records.seq(ref) > memory.scratch64[SCRATCH_SEQ_F64]) return `record ${ref}: from the future`;
  if (!slab.isUsed(ref)) return `record ${ref}: its slot counts as free`;
  return records.isPlain(ref) ? null : brokenFlagged(parts, ref);
}

/** What is wrong with what a record with flags has between its key and its value, and with its extents. */
export function brokenFlagged(parts: ImageParts, ref: number): string | null {
  const { memory, records } = parts;
  const keyEnd = records.keyOffset(ref) + records.keyBytes(ref);
  if (!isZero(memory, keyEnd, -keyEnd & 7)) return `record ${ref}: what follows its key is zero`;
  const structAt = (keyEnd + 7) & ~7;
  if (records.isStruct(ref) && !isZero(memory, structAt + 4, 4)) {
    return `record ${ref}: what follows its fingerprint is zero`;
  }
  if (!records.hasExtents(ref)) return null;
  const count = records.extentCount(ref);
  if (count % 2 === 0 && !isZero(memory, records.valueOffset(ref) - 4, 4)) {
    return `record ${ref}: what follows its extents is zero`;
  }
  const broken = brokenExtents(parts, ref);
  if (broken !== null) return broken;
  const lastBytes = records.valueBytes(ref) - (count - 1) * CHUNK_BYTES;
  if (lastBytes >= CHUNK_BYTES) return null;
  const lastAt = records.extentAt(ref, count - 1) * CHUNK_BYTES;
  return isZero(memory, lastAt + lastBytes, CHUNK_BYTES - lastBytes)
    ? null
    : `record ${ref}: its last extent is zero behind the value`;
}

export function isZero(memory: PartitionMemory, offset: number, bytes: number): boolean {
  return memory.imageBuffer.compare(ZERO_CHUNK, 0, bytes, offset, offset + bytes) === 0;
}

function brokenSlots({ slab }: ImageParts, reachable: Set<number>): string | null {
  const usedByClass = new Int32Array(CLASS_COUNT);
  const unitsByClass = new Int32Array(CLASS_COUNT);
  for (let chunk = 0; chunk < slab.chunksTouched; chunk++) {
    const first = chunk << PAGES_PER_CHUNK_SHIFT;
    const isOverflow = slab.kind(chunk) === CHUNK_OVERFLOW;
    for (let unit = isOverflow ? first : slab.unitFrom(first, chunk); unit !== -1; ) {
      const sizeClass = slab.classAt(unit);
      const used = usedSlots(slab, unit, sizeClass, reachable);
      if (typeof used === 'string') return used;
      usedByClass[sizeClass] += used;
      unitsByClass[sizeClass]++;
      unit = isOverflow ? -1 : slab.unitFrom(unit + UNIT_PAGES[sizeClass], chunk);
    }
  }
  for (let sizeClass = 0; sizeClass < CLASS_COUNT; sizeClass++) {
    const broken = brokenClass(slab, sizeClass, usedByClass[sizeClass], unitsByClass[sizeClass]);
    if (broken !== null) return broken;
  }
  return null;
}

/** How many slots of a unit are used, or what is wrong with them. */
function usedSlots(
  slab: Slab,
  unit: number,
  sizeClass: number,
  reachable: Set<number>,
): number | string {
  let used = 0;
  for (let slot = 0; slot < SLOTS_PER_UNIT[sizeClass]; slot++) {
    const ref = (unit << PAGE_SHIFT) + slot * SLOT_BYTES[sizeClass];
    if (slab.isUsed(ref)) used++;
    else if (slot < slab.hint(unit)) return `unit ${unit}: a free slot lies below its hint`;
    if (slab.isUsed(ref) && !reachable.has(ref)) {
      return `slot ${ref}: counts as used, no bucket refers to it`;
    }
  }
  if (slab.freeSlots(unit) === SLOTS_PER_UNIT[sizeClass] - used) return used;
  return `unit ${unit}: free count is ${slab.freeSlots(unit)}, ${used} slots are used`;
}

/** Counts of a class, and its list of units with free slots: every such unit once, and no other. */
function brokenClass(slab: Slab, sizeClass: number, used: number, units: number): string | null {
  if (slab.usedSlots(sizeClass) !== used) {
    return `class ${sizeClass}: used slots are ${slab.usedSlots(sizeClass)}, its units have ${used}`;
  }
  if (slab.classUnitCount(sizeClass) !== units) {
    return `class ${sizeClass}: units are ${slab.classUnitCount(sizeClass)}, the table has ${units}`;
  }
  let listed = 0;
  for (let unit = slab.firstFree(sizeClass); unit !== 0; unit = slab.nextFree(unit)) {
    const isOfClass = slab.classAt(unit) === sizeClass && slab.freeSlots(unit) > 0;
    if (!isOfClass) return `class ${sizeClass}: unit ${unit} is listed wrongly`;
    listed += slab.freeSlots(unit);
    if (listed > units * SLOTS_PER_UNIT[sizeClass])
      return `class ${sizeClass}: its list is endless`;
  }
  const free = slab.freeSlotsOf(sizeClass); // without those of a draining unit, which is in no list
  return listed === free ? null : `class ${sizeClass}: ${listed} of ${free} free slots are listed`;
}

/** Free units of cut chunks: all zero, and each in the list of its kind, but for those of the chunk that is packed. */
function brokenFreeUnits(parts: ImageParts): string | null {
  return brokenFreeList(parts, SMALL_UNIT_PAGES) ?? brokenFreeList(parts, LARGE_UNIT_PAGES);
}

function brokenFreeList({ memory, slab }: ImageParts, unitPages: number): string | null {
  const listed = new Set<number>();
  const counted = slab.freeUnits(unitPages);
  for (let unit = slab.firstFreeUnit(unitPages); unit !== 0; unit = slab.nextFree(unit)) {
    if (listed.has(unit)) return `free units of ${unitPages} pages: their list is endless`;
    listed.add(unit);
  }
  if (listed.size !== counted) {
    return `free units of ${unitPages} pages: ${listed.size} of ${counted} are listed`;
  }
  for (let chunk = 0; chunk < slab.chunksTouched; chunk++) {
    if (slab.kind(chunk) !== CHUNK_PAGED || slab.sizeClass(chunk) !== unitPages) continue;
    const first = chunk << PAGES_PER_CHUNK_SHIFT;
    for (let unit = first; unit < first + PAGES_PER_CHUNK; unit += unitPages) {
      if (slab.classAt(unit) !== 0) continue;
      const isListed = listed.delete(unit);
      if (isListed === (chunk === slab.packChunk)) return `unit ${unit}: free, and listed wrongly`;
      if (!isZero(memory, unit << PAGE_SHIFT, unitPages << PAGE_SHIFT)) {
        return `unit ${unit}: free, but not zero`;
      }
    }
  }
  return listed.size === 0 ? null : `free units of ${unitPages} pages: one that is listed is used`;
}

/** The list of orphans, which only a primary keeps: extents that no record refers to, each once. */
function brokenOrphans({ memory, slab, buckets }: ImageParts): string | null {
  if (memory.scratch32[SCRATCH_ROLE_WORD] !== ROLE_PRIMARY) return null;
  let left = slab.classUnitCount(EXTENT_CLASS);
  for (let chunk = memory.scratch32[SCRATCH_ORPHAN_HEAD_WORD]; chunk !== 0; ) {
    if (slab.kind(chunk) !== CHUNK_EXTENT) return `orphans: chunk ${chunk} is no extent`;
    if (buckets.findOwner(slab.owner(chunk), slab.position(chunk), chunk) !== 0) {
      return `orphans: a record refers to chunk ${chunk}`;
    }
    if (left-- === 0) return 'orphans: their list is endless';
    chunk = memory.nextFree[chunk << PAGES_PER_CHUNK_SHIFT];
  }
  return null;
}

function brokenChunks({ memory, slab }: ImageParts): string | null {
  let used = 0;
  let extents = 0;
  const generation = memory.scratch32[SCRATCH_GENERATION_WORD] >>> 0;
  for (let chunk = 0; chunk < slab.chunksTouched; chunk++) {
    if (memory.stamps[chunk] > generation) return `chunk ${chunk}: its stamp is from the future`;
    if (slab.kind(chunk) !== CHUNK_FREE) {
      used++;
      if (slab.kind(chunk) === CHUNK_EXTENT) extents++;
      continue;
    }
    const at = chunk * CHUNK_BYTES;
    if (memory.imageBuffer.compare(ZERO_CHUNK, 0, CHUNK_BYTES, at, at + CHUNK_BYTES) !== 0) {
      return `chunk ${chunk}: free, but not zero`;
    }
  }
  if (extents !== slab.classUnitCount(EXTENT_CLASS)) {
    return `extents are ${slab.classUnitCount(EXTENT_CLASS)}, the chunk table has ${extents}`;
  }
  return used === slab.usedChunks
    ? null
    : `used chunks are ${slab.usedChunks}, the chunk table has ${used}`;
}
