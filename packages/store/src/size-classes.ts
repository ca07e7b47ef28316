/** Size classes: the slot sizes, and what a class takes at once to cut it into slots: its *unit*.
 *
 *  Class 0 is the 64-byte overflow bucket. Sizes up to 2 KiB are listed: of those that leave little of a page unused, the
 *  ones that cost least for 62,500 records in a partition, each size of value as likely as its double (found by dynamic
 *  programming: finer steps round up less, and each class leaves half a unit empty). Small slots lie in pages of 8 KiB,
 *  those of which such a page would hold few and leave much in pages of 32 KiB. Above that a chunk is cut into 31, 30 ... 1. */
import { invariant } from './errors.ts';
import { BUCKET_BYTES, CHUNK_BYTES, CLASSES_MAX, PAGE_BYTES, PAGES_PER_CHUNK } from './layout.ts';

export const OVERFLOW_CLASS = 0;
/** Slots of this class and those below have one bit of the bitmaps each, larger ones at least two. */
export const LAST_TINY_CLASS = 4;
const SLOT_ALIGN_BYTES = 8;
const SLOT_ALIGN_MASK: number = ~(SLOT_ALIGN_BYTES - 1);
/** Pages of a unit, for those who cut chunks: small ones, large ones. */
export const SMALL_UNIT_PAGES = 1;
export const LARGE_UNIT_PAGES = 4;

const IN_SMALL_PAGES: readonly number[] = [
  ...[32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128, 136, 144, 152, 160, 168, 176, 184],
  ...[192, 208, 224, 240, 256, 272, 280, 288, 296, 312, 320, 336, 352, 368, 384, 408, 424, 448],
  ...[480, 512, 544, 584, 624, 680, 744, 816, 904, 1_024, 1_168, 1_360, 1_632, 2_048],
];
const IN_LARGE_PAGES: readonly number[] = [
  ...[712, 776, 856, 960, 1_088, 1_128, 1_208, 1_256, 1_304, 1_424, 1_488, 1_560, 1_720, 1_816],
  1_920,
];
const SLOTS_OF_CHUNK_MAX = 31;

interface SizeClass {
  readonly slotBytes: number;
  readonly unitPages: number;
}

function sizeClasses(): SizeClass[] {
  const inPages = [
    ...IN_SMALL_PAGES.map((slotBytes) => ({ slotBytes, unitPages: SMALL_UNIT_PAGES })),
    ...IN_LARGE_PAGES.map((slotBytes) => ({ slotBytes, unitPages: LARGE_UNIT_PAGES })),
  ].sort((a, b) => a.slotBytes - b.slotBytes);
  const inChunks = Array.from({ length: SLOTS_OF_CHUNK_MAX }, (_, i) => ({
    slotBytes: Math.floor(CHUNK_BYTES / (SLOTS_OF_CHUNK_MAX - i)) & SLOT_ALIGN_MASK,
    unitPages: PAGES_PER_CHUNK,
  }));
  return [{ slotBytes: BUCKET_BYTES, unitPages: PAGES_PER_CHUNK }, ...inPages, ...inChunks];
}

const CLASSES = sizeClasses();
/** Slot bytes by class. */
export const SLOT_BYTES: Int32Array = Int32Array.from(CLASSES, ({ slotBytes }) => slotBytes);
/** Pages that a class takes at once: 1, 4, or the 8 of a chunk. */
export const UNIT_PAGES: Int32Array = Int32Array.from(CLASSES, ({ unitPages }) => unitPages);
export const UNIT_BYTES: Int32Array = UNIT_PAGES.map((pages) => pages * PAGE_BYTES);
/** Slots that one unit of a class holds. */
export const SLOTS_PER_UNIT: Int32Array = SLOT_BYTES.map((bytes, sizeClass) =>
  Math.floor(UNIT_BYTES[sizeClass] / bytes),
);
export const CLASS_COUNT: number = SLOT_BYTES.length;
invariant(
  SLOT_BYTES[LAST_TINY_CLASS] < 64 && SLOT_BYTES[LAST_TINY_CLASS + 1] >= 64,
  'a slot that is not tiny starts in a pair of bits of its own',
);
invariant(CLASS_COUNT < CLASSES_MAX, 'every class has its words in scratch, and so have extents');

/** The smallest class whose slots hold 8 x i bytes, by i. */
const CLASS_BY_EIGHTH: Uint8Array = Uint8Array.from(
  { length: CHUNK_BYTES / SLOT_ALIGN_BYTES + 1 },
  (_, eighth) => {
    let sizeClass = 1;
    while (SLOT_BYTES[sizeClass] < eighth * SLOT_ALIGN_BYTES) sizeClass++;
    return sizeClass;
  },
);

/** The class of a record of `recordBytes` (header, key and value), which must be at most one chunk. */
export function classOfRecord(recordBytes: number): number {
  return CLASS_BY_EIGHTH[(recordBytes + 7) >>> 3];
}
