/** What the replication worker is told of a cluster map: who leads and who follows, and where the
 *  primaries listen. Pure; only partitions with a copy here are named, to an observer all. */

import type { NodeAddress, ReplicationView } from '@ingot/replication';
import { type ClusterMap, holdsCopy, nodeOf, observersOf } from '../shared/map.ts';

export function replicationView(map: ClusterMap, nodeId: string): ReplicationView {
  const observers = observersOf(map);
  const observes = observers.includes(nodeId);
  const partitions: ReplicationView['partitions'][number][] = [];
  for (const [id, entry] of map.placement.entries()) {
    if (!observes && !holdsCopy(entry, nodeId)) continue;
    partitions.push({
      id,
      epoch: entry.epoch,
      primary: entry.primary,
      followers: entry.followers,
      inSync: entry.inSync,
      primaryAddress: addressOf(map, entry.primary),
    });
  }
  const incarnations = Object.fromEntries(map.nodes.map((node) => [node.id, node.incarnation]));
  const addresses = Object.fromEntries(
    map.nodes.map(({ id, advertise, ports }) => [id, { host: advertise, port: ports.replication }]),
  );
  return { mapVersion: map.version, partitions, incarnations, addresses, observers };
}

function addressOf(map: ClusterMap, id: string | null): NodeAddress | null {
  const node = id === null ? null : nodeOf(map, id);
  return node === null ? null : { host: node.advertise, port: node.ports.replication };
}
