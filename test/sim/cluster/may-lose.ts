/** Which acceptors a cluster can do without. */
import type { ClusterMap } from '../../../packages/node/src/shared/map.ts';

/** With `left` alone every set that is in force, or may come to be, still has majorities. */
export function mayLose(maps: readonly ClusterMap[], left: readonly string[]): boolean {
  return maps.every(({ acceptors: { current, next } }) =>
    [current, next ?? []].every((half) => {
      const alive = half.filter(({ id }) => left.includes(id));
      return half.length === 0 || 2 * alive.length > half.length;
    }),
  );
}
