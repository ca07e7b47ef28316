/** Geometry: how large the images of a cluster are. Fixed at creation, the same on every node, compared at
 *  HELLO. A plain object, so that it travels to worker threads and into the cluster map. */
import { StoreError } from './errors.ts';
import { CHUNK_BYTES, CHUNK_TABLE_ENTRY_BYTES, FORMAT_VERSION } from './layout.ts';

const MIB = 1_048_576;
const IMAGE_BYTES_MIN = 8 * MIB;
const IMAGE_BYTES_MAX = 2_048 * MIB;
const PARTITIONS_MAX = 4_096;
const CAPACITY_MAX_FACTOR = 8;
const VALUE_MAX_MIN = MIB;
const RING_BYTES_MIN = MIB;
const RING_BYTES_MAX = 64 * MIB;
const RING_SHARE = 0.02;

export interface Geometry {
  readonly format: number;
  /** Partitions of the cluster, a power of two. */
  readonly partitions: number;
  /** Bytes one image is laid out for; pages that are never touched cost nothing. */
  readonly imageBytes: number;
  readonly chunkCount: number;
  /** Chunks that may be in use now; at most `chunkCount`. */
  readonly capacityChunks: number;
  /** Bytes of the redo ring, a power of two; 0 = no redo is kept, so nobody can follow. */
  readonly ringBytes: number;
  readonly valueMaxBytes: number;
}

export interface GeometryRequest {
  partitions: number;
  /** Image bytes of all primaries of the cluster. */
  capacityBytes: number;
  capacityMaxBytes?: number | undefined;
  valueMaxBytes?: number | null | undefined;
  /** Whether there is a redo ring. Default: yes. */
  redo?: boolean;
}

const mib = (bytes: number): string => `${(bytes / MIB).toFixed(1)} MiB`;
const chunksOf = (bytes: number): number => Math.floor(bytes / CHUNK_BYTES);

function powerOfTwoAtLeast(bytes: number): number {
  return 2 ** Math.ceil(Math.log2(bytes));
}

/** Lays out the images of a cluster.
 *  @throws StoreError with the numbers, when images would be too small or too large. */
export function planGeometry(request: GeometryRequest): Geometry {
  const { partitions, capacityBytes } = request;
  const isPowerOfTwo = Number.isInteger(partitions) && Number.isInteger(Math.log2(partitions));
  if (!isPowerOfTwo || partitions > PARTITIONS_MAX) {
    throw new StoreError('PARTITIONS_INVALID', `${partitions} asked for`);
  }
  const capacityPerImage = capacityBytes / partitions;
  if (!(capacityPerImage >= IMAGE_BYTES_MIN)) {
    const fits = 2 ** Math.floor(Math.log2(capacityBytes / IMAGE_BYTES_MIN));
    const advice =
      fits >= 1
        ? `at most --partitions ${fits} fits`
        : `the least --capacity is ${mib(IMAGE_BYTES_MIN)}`;
    throw new StoreError(
      'IMAGE_TOO_SMALL',
      `${mib(capacityBytes)} / ${partitions} partitions = ${mib(capacityPerImage)} each; ${advice}`,
    );
  }
  if (capacityPerImage > IMAGE_BYTES_MAX) {
    throw new StoreError(
      'IMAGE_TOO_LARGE',
      `${mib(capacityBytes)} / ${partitions} partitions = ${mib(capacityPerImage)} each`,
    );
  }
  const valueMaxBytes =
    request.valueMaxBytes ?? Math.max(VALUE_MAX_MIN, Math.floor(capacityPerImage / 16));
  if (valueMaxBytes < VALUE_MAX_MIN || valueMaxBytes > capacityPerImage / 4) {
    throw new StoreError(
      'VALUE_MAX_INVALID',
      `${mib(valueMaxBytes)} of a partition of ${mib(capacityPerImage)}`,
    );
  }
  const capacityMaxBytes = request.capacityMaxBytes ?? capacityBytes * CAPACITY_MAX_FACTOR;
  const imageBytes = Math.min(
    Math.max(capacityMaxBytes, capacityBytes) / partitions,
    IMAGE_BYTES_MAX,
  );
  const ringWanted = Math.max(capacityPerImage * RING_SHARE, 2 * valueMaxBytes, RING_BYTES_MIN);
  return {
    format: FORMAT_VERSION,
    partitions,
    imageBytes: chunksOf(imageBytes) * CHUNK_BYTES,
    chunkCount: chunksOf(imageBytes),
    capacityChunks: chunksOf(capacityPerImage),
    ringBytes: request.redo === false ? 0 : Math.min(powerOfTwoAtLeast(ringWanted), RING_BYTES_MAX),
    valueMaxBytes,
  };
}

/** What the capacity of a running cluster may be set to, in bytes of all primaries: at least what each
 *  partition needs for itself and its largest value, at most what its images are laid out for. */
export function capacityBounds(geometry: Geometry): { leastBytes: number; mostBytes: number } {
  const { partitions, imageBytes, valueMaxBytes } = geometry;
  const leastPerImage = Math.max(IMAGE_BYTES_MIN, 4 * valueMaxBytes);
  return { leastBytes: partitions * leastPerImage, mostBytes: partitions * imageBytes };
}

/** The same images, of which more or less may be in use. */
export function withCapacity(geometry: Geometry, capacityBytes: number): Geometry {
  const capacityChunks = chunksOf(capacityBytes / geometry.partitions);
  return { ...geometry, capacityChunks: Math.min(capacityChunks, geometry.chunkCount) };
}

/** Chunks that hold the chunk table, behind the header chunk. */
export function tableChunks(geometry: Geometry): number {
  return Math.ceil((geometry.chunkCount * CHUNK_TABLE_ENTRY_BYTES) / CHUNK_BYTES);
}
