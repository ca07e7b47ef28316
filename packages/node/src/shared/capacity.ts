/** The capacity of a running cluster: what of its images may be in use, as the map says, and what it may
 *  be set to. What it was founded with has laid out the images, and stays what they are made from.
 *  Pure. */
import {
  capacityBounds,
  CHUNK_BYTES,
  type Geometry,
  planGeometry,
  withCapacity,
} from '@ingot/store';
import { formatBytes } from './bytes.ts';
import { type IngotError, refusal } from './errors.ts';
import type { ClusterMap } from './map.ts';

/** Image bytes of all primaries that may be in use. */
export function capacityOf(map: ClusterMap): number {
  return map.capacityLimitBytes ?? map.capacityBytes;
}

/** What of it is one partition's. */
export function partitionCapacity(map: ClusterMap): number {
  return Math.floor(capacityOf(map) / map.partitions / CHUNK_BYTES) * CHUNK_BYTES;
}

/** Of the partitions of this map, with the limit that it sets. Throws a StoreError where it is not
 *  that of a cluster. */
export function geometryOf(map: ClusterMap): Geometry {
  return withCapacity(planGeometry(map), capacityOf(map));
}

/** In bytes. */
export function capacityBoundsOf(map: ClusterMap): { leastBytes: number; mostBytes: number } {
  return capacityBounds(planGeometry(map));
}

/** null: it may be set to so much. */
export function capacityRefusal(map: ClusterMap, capacityBytes: number): IngotError | null {
  const { leastBytes, mostBytes } = capacityBoundsOf(map);
  const { partitions } = map;
  const asked = `a capacity of ${formatBytes(capacityBytes)}`;
  if (capacityBytes > mostBytes) {
    return refusal(
      'CAPACITY_TOO_LARGE',
      `${asked} is more than the ${formatBytes(mostBytes)} that the ${partitions} partitions of this ` +
        `cluster are laid out for; "ingot capacity ${formatBytes(mostBytes)}" is the most, ` +
        'for more found another cluster with a larger --capacity-max',
    );
  }
  if (capacityBytes < leastBytes) {
    return refusal(
      'CAPACITY_TOO_SMALL',
      `${asked} is less than the ${formatBytes(leastBytes)} that ${partitions} partitions need, ` +
        `${formatBytes(leastBytes / partitions)} each; "ingot capacity ${formatBytes(leastBytes)}" ` +
        'is the least, for less found another cluster with fewer --partitions',
    );
  }
  return null;
}
