/** Whether a healed cluster is as it should be; where it is not, what is still missing. */
import { copiesOf, nodeOf } from '../../../packages/node/src/shared/map.ts';
import type { ClusterRun } from './cluster-run.ts';

const votersOf = (nodes: number): number => (nodes >= 5 ? 5 : nodes >= 3 ? 3 : 1);

export function whySettlesNot(run: ClusterRun): string | null {
  const map = run.history.latest;
  const wanted = run.machines.filter(({ isOut }) => !isOut);
  for (const { host, node, disk, isDraining } of wanted) {
    if (isDraining) return `${host.id} hands over and stops`;
    const listed = nodeOf(map, host.id);
    if (node === null || !node.joined) return `${host.id} has not joined`;
    if (listed?.state !== 'up' || listed.incarnation !== node.life.incarnation) {
      return `the map does not list life ${node.life.incarnation} of ${host.id} as up`;
    }
    if (node.applied.version !== map.version) return `${host.id} has not applied the newest map`;
    if (listed.acceptor !== disk.id) return `the map has another acceptor of ${host.id}`;
    if (!node.hasLease) return `${host.id} has no lease`;
  }
  if (map.nodes.length !== wanted.length) return 'a node that is gone is still in the map';
  const { current, next } = map.acceptors;
  if (next !== null) return 'the acceptors are changing';
  if (current.length !== votersOf(wanted.length)) return `there are ${current.length} acceptors`;
  const strange = current.find(({ id }) => !wanted.some(({ disk }) => disk.id === id));
  if (strange !== undefined) return `the acceptor ${strange.id} is gone`;
  const holders = wanted.filter(({ isWitness }) => !isWitness);
  for (const [partition, entry] of map.placement.entries()) {
    const copies = copiesOf(entry);
    if (entry.primary === null) return `nobody leads partition ${partition}`;
    if (copies.length !== Math.min(map.copies, holders.length)) {
      return `partition ${partition} has ${copies.length} copies`;
    }
    if (entry.inSync.length !== copies.length) {
      return `of partition ${partition} ${entry.inSync.length} copies are in sync`;
    }
    const primary = run.nodes().find(({ id }) => id === entry.primary);
    const led = primary?.replication?.hub.status().find(({ id }) => id === partition);
    const behind = led?.followers.find(({ state, lagSeq }) => {
      return state !== 'streaming' || lagSeq > 20;
    });
    if (behind !== undefined) return `${behind.node} does not follow partition ${partition}`;
  }
  return null;
}
