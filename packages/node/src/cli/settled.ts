/** Whether a cluster that has just been started has also spread its partitions over its nodes: what
 *  `ingot up` waits for before it says that all is ready. Pure. */
import type { ClusterStatus } from '../control/types.ts';
import { viewOf } from './cluster-view.ts';

/** Every node leads and holds its share, every copy is in sync. Where `copies` is more than there
 *  are nodes, each node holds one. */
export function isSettled(status: ClusterStatus): boolean {
  const { nodes, partitions } = viewOf(status);
  const copies = Math.min(status.map.copies, nodes.length);
  const arePlaced = partitions.every(
    ({ primary, followers }) =>
      primary !== null &&
      followers.length === copies - 1 &&
      followers.every(({ state }) => state === 'streaming'),
  );
  return (
    arePlaced &&
    isEven(nodes.map(({ leads }) => leads)) &&
    isEven(nodes.map(({ leads, follows }) => leads + follows))
  );
}

function isEven(counts: readonly number[]): boolean {
  return Math.max(...counts) - Math.min(...counts) <= 1;
}
