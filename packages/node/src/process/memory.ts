/** Whether the copies a node is asked to hold fit the machine or the container it runs in.
 *  Counted are the bytes that may come into use (capacity, redo ring, scratch); what is only laid
 *  out for a later, larger capacity costs nothing until it is touched. */

import { totalmem } from 'node:os';
import { CHUNK_BYTES, type Geometry } from '@ingot/store';
import { type IngotError, refusal } from '../shared/errors.ts';

/** used bits and access marks (1 bit each per 32 bytes) and the per-chunk tables */
const SCRATCH_SHARE = 1 / 128 + 1 / 1024;

export interface MemoryLimit {
  readonly bytes: number;
  /** what sets it, for the sentence */
  readonly of: 'machine' | 'container';
}

/** The smaller of the machine's memory and the control group's limit. */
export function memoryLimit(): MemoryLimit {
  const machineBytes = totalmem();
  const containerBytes = process.constrainedMemory();
  return containerBytes > 0 && containerBytes < machineBytes
    ? { bytes: containerBytes, of: 'container' }
    : { bytes: machineBytes, of: 'machine' };
}

export function copyBytes(geometry: Geometry): number {
  const capacityBytes = geometry.capacityChunks * CHUNK_BYTES;
  return Math.ceil(capacityBytes * (1 + SCRATCH_SHARE)) + geometry.ringBytes;
}

/** null: `copies` copies fit. */
export function memoryRefusal(
  geometry: Geometry,
  copies: number,
  limit: MemoryLimit,
): IngotError | null {
  const neededBytes = copies * copyBytes(geometry);
  if (neededBytes <= limit.bytes) return null;
  return refusal(
    'MEMORY',
    `${copies} partition copies of ${mebibytes(copyBytes(geometry))} ` +
      `need ${mebibytes(neededBytes)}, but this ${limit.of} has ${mebibytes(limit.bytes)}; ` +
      'lower --capacity or --copies, or add nodes',
  );
}

/** null: two images of every partition fit. */
export function snapshotMemoryRefusal(
  geometry: Geometry,
  partitions: number,
  limit: MemoryLimit,
): IngotError | null {
  const neededBytes = 2 * partitions * copyBytes(geometry);
  if (neededBytes <= limit.bytes) return null;
  return refusal(
    'MEMORY',
    `snapshots take two images of each of ${partitions} partitions, ${mebibytes(copyBytes(geometry))} ` +
      `each: they need ${mebibytes(neededBytes)}, but this ${limit.of} has ${mebibytes(limit.bytes)}; ` +
      'run --follow-only on a larger one, or lower the capacity of the cluster',
  );
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / (1 << 20)).toLocaleString('en-US')} MiB`;
}
