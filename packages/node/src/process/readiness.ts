/** Why a node is not ready yet; no reasons = ready. Pure. */

import type { PartitionStatus } from '../control/types.ts';
import { type ClusterMap, ledBy } from '../shared/map.ts';

/** So many partitions are named; the rest are counted. */
const NAMED_MAX = 5;

export function reasonsNotReady(
  map: ClusterMap | null,
  nodeId: string,
  copies: readonly PartitionStatus[],
  refusal: string | null,
  hasLease: boolean,
): string[] {
  if (map === null) return ['no cluster map yet'];
  const reasons: string[] = refusal === null ? [] : [refusal];
  if (!hasLease) reasons.push('no lease: too few acceptors have answered its heartbeats');
  const leading = new Set(copies.filter(({ role }) => role === 'primary').map(({ id }) => id));
  const idle = ledBy(map, nodeId).filter((partition) => !leading.has(partition));
  if (idle.length > 0) reasons.push(`not leading ${listed(idle)}, as the cluster map asks`);
  const syncing = copies.filter(({ consistent }) => !consistent).map(({ id }) => id);
  if (syncing.length > 0) reasons.push(`still syncing ${listed(syncing)}`);
  return reasons;
}

function listed(partitions: readonly number[]): string {
  const named = partitions.slice(0, NAMED_MAX).join(', ');
  const more = partitions.length - NAMED_MAX;
  const noun = partitions.length === 1 ? 'partition' : 'partitions';
  return `${noun} ${named}${more > 0 ? ` and ${more} more` : ''}`;
}
