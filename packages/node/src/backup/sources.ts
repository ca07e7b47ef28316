/** From which node each partition is read: from a follower that is in step, so that primaries keep their time for
 *  clients; from the primary where there is none. Pure. */
import type { ClusterStatus } from '../control/types.ts';
import { type ClusterMap, nodeOf } from '../shared/map.ts';

export interface BackupSource {
  readonly partition: number;
  readonly epoch: number;
  readonly node: string;
  readonly host: string;
  /** Of replication. */
  readonly port: number;
  readonly led: boolean;
}

/** Sources of one partition, best first; none where nobody leads it. `load`: how many partitions each node was
 *  chosen for. */
export function sourcesOf(
  status: ClusterStatus,
  partition: number,
  load: ReadonlyMap<string, number> = new Map(),
): BackupSource[] {
  const { map } = status;
  const { epoch, primary } = map.placement[partition];
  if (primary === null) return [];
  const inStep = followersInStep(status, partition).toSorted(
    (a, b) => (load.get(a) ?? 0) - (load.get(b) ?? 0),
  );
  return [...inStep, primary].flatMap((id) => {
    const at = addressOf(map, id);
    return at === null ? [] : [{ partition, epoch, node: id, ...at, led: id === primary }];
  });
}

/** As the primary says. */
function followersInStep({ map, nodes }: ClusterStatus, partition: number): string[] {
  const { primary } = map.placement[partition];
  const said = nodes.find(({ node }) => node === primary)?.status?.partitions ?? [];
  const followers = said.find(({ id }) => id === partition)?.followers ?? [];
  return followers.filter(({ state }) => state === 'streaming').map(({ node }) => node);
}

function addressOf(map: ClusterMap, id: string): { host: string; port: number } | null {
  const node = nodeOf(map, id);
  if (node === null || node.state !== 'up') return null;
  return { host: node.advertise, port: node.ports.replication };
}
