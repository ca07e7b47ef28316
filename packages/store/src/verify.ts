/** verify(): walks an image and what scratch says of it, and names the first rule that does not hold. */
import { hashKey } from './hash.ts';
import {
  BUCKET_OVERFLOW_WORD,
  CHUNK_BYTES,
  CHUNK_FREE,
  CHUNK_OVERFLOW,
  CHUNK_SHIFT,
  CHUNK_SLAB,
  RECORD_HEADER_BYTES,
  SCRATCH_KEY_COUNT_WORD,
  SCRATCH_RECORD_COUNT_WORD,
  SCRATCH_SEQ_F64,
} from './layout.ts';
import { brokenFrame, type ImageParts, isSlot, walkBuckets } from './rebuild.ts';
import { OVERFLOW_CLASS, SLOT_BYTES, SLOTS_PER_CHUNK } from './size-classes.ts';

const ZERO_CHUNK = Buffer.alloc(CHUNK_BYTES);

/** The first broken rule, or null. Nobody may write meanwhile. */
export function verifyImage(parts: ImageParts): string | null {
  return brokenFrame(parts) ?? brokenIndex(parts) ?? brokenChunks(parts);
}

function brokenIndex(parts: ImageParts): string | null {
  const { memory, slab } = parts;
  const seen = new Set<number>();
  let recordCount = 0;
  let keyCount = 0;
  const broken = walkBuckets(parts, (bucket, number) => {
    const word = bucket >>> 2;
    for (let entry = word; entry < word + BUCKET_OVERFLOW_WORD; entry += 2) {
      const ref = memory.image32[entry + 1]!;
      if (ref === 0) {
        if (memory.image32[entry] !== 0) return `bucket ${number}: a hash without a record`;
        continue;
      }
      const rule = brokenRecord(parts, ref, memory.image32[entry]!, number);
      if (rule !== null) return rule;
      if (seen.has(ref)) return `bucket ${number}: record ${ref} is referred to twice`;
      seen.add(ref);
      recordCount++;
      if (!parts.records.isFlushed(ref)) keyCount++;
    }
    const overflow = memory.image32[word + BUCKET_OVERFLOW_WORD]!;
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

function brokenRecord(
  parts: ImageParts,
  ref: number,
  hash: number,
  bucketNumber: number,
): string | null {
  const { memory, records, buckets, slab } = parts;
  if (!isSlot(parts, ref, CHUNK_SLAB)) return `bucket ${bucketNumber}: ref ${ref} is no slot`;
  const sizeClass = slab.sizeClass(ref >>> CHUNK_SHIFT);
  if (records.sizeClass(ref) !== sizeClass) return `record ${ref}: class differs from its chunk's`;
  const bytes = RECORD_HEADER_BYTES + records.keyBytes(ref) + records.valueBytes(ref);
  if (!records.inRange(ref) || bytes > SLOT_BYTES[sizeClass]!) {
    return `record ${ref}: longer than its slot`;
  }
  const ownHash = hashKey(memory.imageBuffer, records.keyOffset(ref), records.keyBytes(ref));
  if (ownHash !== hash) return `record ${ref}: its key does not hash to its entry`;
  if (buckets.numberOf(hash) !== bucketNumber) return `record ${ref}: in bucket ${bucketNumber}`;
  if (records.seq(ref) > memory.scratch64[SCRATCH_SEQ_F64]!)
    return `record ${ref}: from the future`;
  return slab.isUsed(ref) ? null : `record ${ref}: its slot counts as free`;
}

function brokenSlots({ slab }: ImageParts, reachable: Set<number>): string | null {
  for (let chunk = 0; chunk < slab.chunksTouched; chunk++) {
    const kind = slab.kind(chunk);
    if (kind !== CHUNK_SLAB && kind !== CHUNK_OVERFLOW) continue;
    const sizeClass = kind === CHUNK_OVERFLOW ? OVERFLOW_CLASS : slab.sizeClass(chunk);
    let used = 0;
    for (let slot = 0; slot < SLOTS_PER_CHUNK[sizeClass]!; slot++) {
      const ref = (chunk << CHUNK_SHIFT) + slot * SLOT_BYTES[sizeClass]!;
      if (!slab.isUsed(ref)) continue;
      used++;
      if (!reachable.has(ref)) return `slot ${ref}: counts as used, no bucket refers to it`;
    }
    if (slab.freeSlots(chunk) !== SLOTS_PER_CHUNK[sizeClass]! - used) {
      return `chunk ${chunk}: free count is ${slab.freeSlots(chunk)}, ${used} slots are used`;
    }
  }
  return null;
}

function brokenChunks({ memory, slab }: ImageParts): string | null {
  let used = 0;
  for (let chunk = 0; chunk < slab.chunksTouched; chunk++) {
    if (slab.kind(chunk) !== CHUNK_FREE) {
      used++;
      continue;
    }
    const at = chunk * CHUNK_BYTES;
    if (memory.imageBuffer.compare(ZERO_CHUNK, 0, CHUNK_BYTES, at, at + CHUNK_BYTES) !== 0) {
      return `chunk ${chunk}: free, but not zero`;
    }
  }
  return used === slab.usedChunks
    ? null
    : `used chunks are ${slab.usedChunks}, the chunk table has ${used}`;
}
