/** The two shared memories of a partition and the typed-array views over them.
 *
 *  Owner: whoever attaches. Every view is made once; hot code indexes them with plain numbers. Views are
 *  Int32Arrays because 32-bit values are small integers in V8; u32 readers add `>>> 0`.
 *  Knows where things are, not what they mean. */
import { StoreError } from './errors.ts';
import { type Geometry, tableChunks } from './geometry.ts';
import {
  BUCKETS_MIN,
  BYTE_ORDER_MARK,
  CHUNK_BYTES,
  CHUNK_HEADER,
  CHUNK_INDEX,
  CHUNK_TABLE,
  CHUNK_TABLE_ENTRY_BYTES,
  HEADER_FIELDS,
  IMAGE_MAGIC,
  offsetOf,
  PAGES_PER_CHUNK,
  RING_MARK_BYTES,
  RING_SEGMENT_BYTES,
  SCRATCH_ARRAYS,
  SCRATCH_CAPACITY_CHUNKS_WORD,
  SCRATCH_LAST_RECORD_WORD,
  SCRATCH_POLICY_WORD,
  SCRATCH_RING_TAIL_SEQ_F64,
  SCRATCH_USED_CHUNKS_WORD,
  SLOT_BITS_PER_CHUNK_WORDS,
} from './layout.ts';

/** What a full partition does: drop what is not read, drop what has an expiry (the nearest first), or refuse. */
export type EvictionPolicy = 'sieve' | 'volatile-ttl' | 'noeviction';
export const POLICY_SIEVE = 0;
export const POLICY_NOEVICTION = 1;
export const POLICY_VOLATILE_TTL = 2;
const POLICY_WORDS: Readonly<Record<EvictionPolicy, number>> = {
  sieve: POLICY_SIEVE,
  noeviction: POLICY_NOEVICTION,
  'volatile-ttl': POLICY_VOLATILE_TTL,
};

/** What a worker needs to attach: structured-cloneable, shares the memory. */
export interface PartitionHandle {
  readonly id: number;
  readonly geometry: Geometry;
  readonly image: SharedArrayBuffer;
  readonly scratch: SharedArrayBuffer;
}

/** Per chunk in scratch, u32 each: stamp, pins, landed. */
const CHUNK_BYTES_IN_ARRAYS = 3 * 4;
/** Per page: previous, next and passed (u32), free count and hint (i16). */
const PAGE_BYTES_IN_ARRAYS = 3 * 4 + 2 * 2;
const ARRAYS_BYTES_PER_CHUNK = CHUNK_BYTES_IN_ARRAYS + PAGES_PER_CHUNK * PAGE_BYTES_IN_ARRAYS;

interface ScratchPlan {
  readonly bitmapsAt: number;
  readonly marksAt: number;
  readonly ringAt: number;
  readonly bytes: number;
}

function planScratch(geometry: Geometry): ScratchPlan {
  const bitmapsAt = SCRATCH_ARRAYS + ARRAYS_BYTES_PER_CHUNK * geometry.chunkCount;
  const end = bitmapsAt + 2 * geometry.chunkCount * SLOT_BITS_PER_CHUNK_WORDS * 4;
  const marksAt = Math.ceil(end / RING_MARK_BYTES) * RING_MARK_BYTES;
  const marksEnd = marksAt + (geometry.ringBytes / RING_SEGMENT_BYTES) * RING_MARK_BYTES;
  const ringAt = Math.ceil(marksEnd / CHUNK_BYTES) * CHUNK_BYTES;
  return { bitmapsAt, marksAt, ringAt, bytes: ringAt + geometry.ringBytes };
}

/** What the scratch of a partition is made of; `scratchBytes` is the sum. */
export function scratchLines(geometry: Geometry): {
  words: number;
  chunkArrays: number;
  bitmaps: number;
  ring: number;
  ringMarks: number;
  padding: number;
  scratchBytes: number;
} {
  const { bitmapsAt, marksAt, bytes } = planScratch(geometry);
  const bitmaps = 2 * geometry.chunkCount * SLOT_BITS_PER_CHUNK_WORDS * 4;
  const ringMarks = (geometry.ringBytes / RING_SEGMENT_BYTES) * RING_MARK_BYTES;
  return {
    words: SCRATCH_ARRAYS,
    chunkArrays: bitmapsAt - SCRATCH_ARRAYS,
    bitmaps,
    ring: geometry.ringBytes,
    ringMarks,
    padding: marksAt - bitmapsAt - bitmaps + (bytes - geometry.ringBytes - marksAt - ringMarks),
    scratchBytes: bytes,
  };
}

/** Bytes of shared memory that one partition of this geometry reserves (touched only as it fills). */
export function partitionBytes(geometry: Geometry): { image: number; scratch: number } {
  return { image: geometry.imageBytes, scratch: planScratch(geometry).bytes };
}

/** Makes an empty partition. Its image is the same, byte for byte, on every node. */
export function createPartition(
  geometry: Geometry,
  partitionId: number,
  options: { eviction?: EvictionPolicy } = {},
): PartitionHandle {
  const image = new SharedArrayBuffer(geometry.imageBytes);
  const scratch = new SharedArrayBuffer(planScratch(geometry).bytes);
  const handle = { id: partitionId, geometry, image, scratch };
  writeEmptyImage(geometry, partitionId, new Int32Array(image));
  const words = new Int32Array(scratch, 0, SCRATCH_ARRAYS / 4);
  words[SCRATCH_POLICY_WORD] = POLICY_WORDS[options.eviction ?? 'sieve'];
  words[SCRATCH_CAPACITY_CHUNKS_WORD] = geometry.capacityChunks;
  words[SCRATCH_USED_CHUNKS_WORD] = firstFreeChunk(geometry);
  words[SCRATCH_LAST_RECORD_WORD] = -1;
  new Float64Array(scratch, 0, SCRATCH_ARRAYS / 8)[SCRATCH_RING_TAIL_SEQ_F64] = 1;
  return handle;
}

/** Header, chunk table and the first index chunk are in use from the start. */
export function firstFreeChunk(geometry: Geometry): number {
  return 2 + tableChunks(geometry);
}

/** Writes the bytes of an empty image; everything else in it must be zero. */
export function writeEmptyImage(
  geometry: Geometry,
  partitionId: number,
  image32: Int32Array,
): void {
  const put = (name: string, value: number): void => {
    image32[offsetOf(HEADER_FIELDS, name) >>> 2] = value;
  };
  put('magic', IMAGE_MAGIC);
  put('format', geometry.format | (BYTE_ORDER_MARK << 16)); // and byteOrder, which follows it
  put('chunkBytes', CHUNK_BYTES);
  put('partitionId', partitionId);
  put('partitions', geometry.partitions);
  put('chunkCount', geometry.chunkCount);
  put('bucketCount', BUCKETS_MIN);
  const first = firstFreeChunk(geometry);
  put('chunksTouched', first);
  put('indexDirectory', first - 1);
  for (let chunk = 0; chunk < first; chunk++) {
    const kind = chunk === 0 ? CHUNK_HEADER : chunk === first - 1 ? CHUNK_INDEX : CHUNK_TABLE;
    image32[(CHUNK_BYTES + chunk * CHUNK_TABLE_ENTRY_BYTES) >>> 2] = kind;
  }
}

/** Views over a partition's memory, one set per attached thread. */
export class PartitionMemory {
  readonly geometry: Geometry;
  readonly imageBuffer: Buffer;
  readonly imageView: DataView;
  readonly image32: Int32Array;
  readonly scratch32: Int32Array;
  readonly scratch64: Float64Array;
  readonly stamps: Uint32Array;
  readonly pins: Int32Array;
  readonly landed: Int32Array;
  /** By page: those of a unit at its first, those of an extent at its chunk's first. */
  readonly previousFree: Int32Array;
  readonly nextFree: Int32Array;
  /** Low bits of the seq at which a hand last came to the unit, or a class took it. */
  readonly passed: Int32Array;
  readonly freeCounts: Int16Array;
  readonly freeHints: Int16Array;
  readonly usedBits: Int32Array;
  readonly accessMarks: Int32Array;
  readonly ringMarks: Float64Array;
  readonly ringBuffer: Buffer;
  readonly ring32: Int32Array;

  constructor(handle: PartitionHandle) {
    const { geometry, image, scratch } = handle;
    const plan = planScratch(geometry);
    if (image.byteLength !== geometry.imageBytes || scratch.byteLength !== plan.bytes) {
      throw new StoreError('HANDLE_INVALID', 'its sizes do not fit its geometry');
    }
    this.geometry = geometry;
    this.imageBuffer = Buffer.from(image);
    this.imageView = new DataView(image);
    this.image32 = new Int32Array(image);
    this.scratch32 = new Int32Array(scratch, 0, SCRATCH_ARRAYS / 4);
    // Asked of scratch: the image may be landing at this moment, a follower's copy from another thread.
    if (this.scratch32[SCRATCH_CAPACITY_CHUNKS_WORD] === 0) {
      throw new StoreError('HANDLE_INVALID', 'no partition was created in it');
    }
    this.scratch64 = new Float64Array(scratch, 0, SCRATCH_ARRAYS / 8);
    const { chunkCount } = geometry;
    const pageCount = chunkCount * PAGES_PER_CHUNK;
    let at = SCRATCH_ARRAYS;
    const words = (count: number): Int32Array => {
      at += count * 4;
      return new Int32Array(scratch, at - count * 4, count);
    };
    const halfWords = (count: number): Int16Array => {
      at += count * 2;
      return new Int16Array(scratch, at - count * 2, count);
    };
    this.stamps = new Uint32Array(scratch, at, chunkCount);
    at += chunkCount * 4;
    this.pins = words(chunkCount);
    this.landed = words(chunkCount);
    this.previousFree = words(pageCount);
    this.nextFree = words(pageCount);
    this.passed = words(pageCount);
    this.freeCounts = halfWords(pageCount);
    this.freeHints = halfWords(pageCount);
    const bitWords = chunkCount * SLOT_BITS_PER_CHUNK_WORDS;
    this.usedBits = new Int32Array(scratch, plan.bitmapsAt, bitWords);
    this.accessMarks = new Int32Array(scratch, plan.bitmapsAt + bitWords * 4, bitWords);
    this.ringMarks = new Float64Array(
      scratch,
      plan.marksAt,
      (geometry.ringBytes / RING_SEGMENT_BYTES) * 2,
    );
    this.ringBuffer = Buffer.from(scratch, plan.ringAt, geometry.ringBytes);
    this.ring32 = new Int32Array(scratch, plan.ringAt, geometry.ringBytes / 4);
  }

  /** u64 at a word index of the image, as a number below 2^53. */
  imageU64(word: number): number {
    return (this.image32[word] >>> 0) + this.image32[word + 1] * 4_294_967_296;
  }

  setImageU64(word: number, value: number): void {
    this.image32[word] = value | 0;
    this.image32[word + 1] = (value / 4_294_967_296) | 0;
  }
}
