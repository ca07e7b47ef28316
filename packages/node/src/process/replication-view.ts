/** What the replication worker is told of a cluster map: who leads and who follows, and where the
 *  primaries listen. Pure; only partitions with a copy here are named. */

import type { ReplicationView } from '@ingot/replication';
import { type ClusterMap, holdsCopy, nodeOf } from '../shared/map.ts';

export function replicationView(map: ClusterMap, nodeId: string): ReplicationView {
  const partitions: ReplicationView['partitions'][number][] = [];
  for (const [id, entry] of map.placement.entries()) {
    if (!holdsCopy(entry, nodeId)) continue;
    partitions.push({
      id,
      epoch: entry.epoch,
      primary: entry.primary,
      followers: entry.followers,
      inSync: entry.inSync,
      primaryAddress: addressOfPrimary(map, entry.primary),
    });
  }
  const incarnations = Object.fromEntries(map.nodes.map((node) => [node.id, node.incarnation]));
  return { mapVersion: map.version, partitions, incarnations };
}

function addressOfPrimary(
  map: ClusterMap,
  primary: string | null,
): { host: string; port: number } | null {
  const node = primary === null ? null : nodeOf(map, primary);
  return node === null ? null : { host: node.advertise, port: node.ports.replication };
}
