/** Size classes: the slot sizes a chunk can be cut into.
 *
 *  Class 0 is the 64-byte overflow bucket. Record classes step by about 1/16, by 16 bytes at least, each snapped above
 *  1 KiB to floor(chunk / n) so that a chunk's tail is not wasted, up to one chunk. Finer steps would round up less and
 *  leave more chunks half empty: with a few MB of records in a partition, 1/16 costs least of both. */
import { invariant } from './errors.ts';
import { BUCKET_BYTES, CHUNK_BYTES, CLASSES_MAX } from './layout.ts';

export const OVERFLOW_CLASS = 0;
/** Slots of this class and those below have one bit of the bitmaps each, larger ones at least two. */
export const LAST_TINY_CLASS = 2;
const RECORD_SLOT_BYTES_MIN = 32;
const FINE_STEP_BYTES = 16;
const STEP_SHARE = 1 / 16;
const SNAPPED_BYTES_MIN = 1_024;
const SLOT_ALIGN_MASK = ~15;

function slotSizes(): number[] {
  const sizes = [BUCKET_BYTES];
  for (let bytes = RECORD_SLOT_BYTES_MIN; ; bytes = nextSize(bytes)) {
    sizes.push(bytes);
    if (bytes === CHUNK_BYTES) return sizes;
  }
}

function nextSize(bytes: number): number {
  const steps = Math.max(Math.round((bytes * STEP_SHARE) / FINE_STEP_BYTES), 1);
  const target = Math.min(bytes + steps * FINE_STEP_BYTES, CHUNK_BYTES);
  if (target <= SNAPPED_BYTES_MIN) return target;
  const count = Math.floor(CHUNK_BYTES / target);
  const snapped = snap(count);
  return snapped > bytes ? snapped : snap(count - 1);
}

/** The largest slot of which a chunk holds `count`. */
function snap(count: number): number {
  return Math.floor(CHUNK_BYTES / count) & SLOT_ALIGN_MASK;
}

/** Slot bytes by class. */
export const SLOT_BYTES: Int32Array = Int32Array.from(slotSizes());
/** Slots that one chunk of a class holds. */
export const SLOTS_PER_CHUNK: Int32Array = SLOT_BYTES.map((bytes) =>
  Math.floor(CHUNK_BYTES / bytes),
);
export const CLASS_COUNT: number = SLOT_BYTES.length;
invariant(
  SLOT_BYTES[LAST_TINY_CLASS] < 64 && SLOT_BYTES[LAST_TINY_CLASS + 1] >= 64,
  'a slot that is not tiny starts in a pair of bits of its own',
);
invariant(CLASS_COUNT < CLASSES_MAX, 'every class has its words in scratch, and so have extents');

/** The smallest class whose slots hold 16 x i bytes, by i. */
const CLASS_BY_SIXTEENTH: Uint8Array = Uint8Array.from(
  { length: CHUNK_BYTES / FINE_STEP_BYTES + 1 },
  (_, sixteenth) => {
    let sizeClass = 1;
    while (SLOT_BYTES[sizeClass] < sixteenth * FINE_STEP_BYTES) sizeClass++;
    return sizeClass;
  },
);

/** The class of a record of `recordBytes` (header, key and value), which must be at most one chunk. */
export function classOfRecord(recordBytes: number): number {
  return CLASS_BY_SIXTEENTH[(recordBytes + 15) >>> 4];
}
