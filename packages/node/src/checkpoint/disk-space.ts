/** How much of a disk checkpoints leave free: what the node decides about its cluster is written to the same one. */
import { statfsSync } from 'node:fs';

const MIB = 1_048_576;
const KEPT_BYTES_MIN = 256 * MIB;
const KEPT_SHARE = 0.05;

export interface DiskSpace {
  /** For this process. */
  readonly freeBytes: number;
  readonly diskBytes: number;
}

/** Of the disk below `path`. */
export function diskSpace(path: string): DiskSpace {
  const { bsize, bavail, blocks } = statfsSync(path);
  return { freeBytes: bsize * bavail, diskBytes: bsize * blocks };
}

/** A save would leave less free than is kept. */
export class LowDisk extends Error {}

/** Throws LowDisk where `bytes` more would leave less than is kept free. */
export function mustHaveRoom(space: DiskSpace, bytes: number): void {
  const kept = keptFree(space);
  if (space.freeBytes - bytes >= kept) return;
  throw new LowDisk(
    `${mib(space.freeBytes)} of the disk are free, and ${mib(kept)} are kept free for the cluster's decisions`,
  );
}

/** What is missing for so many bytes more; null where nothing is. */
export function whyTooSmall(space: DiskSpace, bytes: number): string | null {
  const kept = keptFree(space);
  if (space.freeBytes - bytes >= kept) return null;
  return (
    `full checkpoints of the capacity may need ${mib(bytes)} more and ${mib(kept)} are kept free, ` +
    `but ${mib(space.freeBytes)} of the disk are free`
  );
}

function keptFree({ diskBytes }: DiskSpace): number {
  return Math.max(KEPT_BYTES_MIN, diskBytes * KEPT_SHARE);
}

function mib(bytes: number): string {
  return `${Math.ceil(bytes / MIB)} MiB`;
}
