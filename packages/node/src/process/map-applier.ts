/** From a cluster map to what this node does about it: a pure difference, in the order to do it.
 *
 *  Order, and why:
 *  1. `follow` and `retire` of copies that led: whoever lost a partition stops taking writes first.
 *  2. `create`, then `promote` or `follow`, then `attach`: workers never see a copy without a role.
 *  3. `publish`: the map goes to every worker only when all role words agree with it.
 *  4. `drop`: workers know the new owner before they lose the copy.
 *  Invariant: a copy that may lack writes is never promoted, nor is one that is not there; only an
 *  entry that is marked lost, or founded here, begins with an empty one. Knows nothing of memory, threads or time. */

import type { ClusterMap, PlacementEntry } from '../shared/map.ts';

export type CopyRole = 'none' | 'primary' | 'follower';

/** What this node holds of one partition. */
export interface LocalCopy {
  readonly role: CopyRole;
  readonly epoch: number;
  readonly consistent: boolean;
}

export type Step =
  /** allocate an empty copy, without a role */
  | { readonly kind: 'create'; readonly partition: number }
  | { readonly kind: 'follow'; readonly partition: number; readonly epoch: number }
  | { readonly kind: 'promote'; readonly partition: number; readonly epoch: number }
  /** hand the copy to every worker */
  | { readonly kind: 'attach'; readonly partition: number }
  /** take its role away; nobody serves it from here on */
  | { readonly kind: 'retire'; readonly partition: number }
  /** the map names this node primary, but its copy may lack writes, or is not here */
  | { readonly kind: 'refuse'; readonly partition: number; readonly epoch: number }
  | { readonly kind: 'publish' }
  /** take it from every worker and free it */
  | { readonly kind: 'drop'; readonly partition: number };

/** At which nobody has written yet. */
const FOUNDING_EPOCH = 1;

/** The steps that bring `local` (by partition id) to what `map` asks of `nodeId`. */
export function planSteps(
  map: ClusterMap,
  nodeId: string,
  local: ReadonlyMap<number, LocalCopy>,
): Step[] {
  const endings: Step[] = [];
  const beginnings: Step[] = [];
  const drops: Step[] = [];
  for (const [partition, entry] of map.placement.entries()) {
    const copy = local.get(partition);
    const role = roleOf(entry, nodeId);
    if (role === 'none') {
      if (copy === undefined) continue;
      endings.push({ kind: 'retire', partition });
      drops.push({ kind: 'drop', partition });
    } else if (role === 'primary') {
      beginnings.push(...lead(partition, entry, copy));
    } else if (copy?.role === 'primary') {
      endings.push({ kind: 'follow', partition, epoch: entry.epoch });
    } else {
      beginnings.push(...follow(partition, entry.epoch, copy));
    }
  }
  return [...endings, ...beginnings, { kind: 'publish' }, ...drops];
}

function roleOf(entry: PlacementEntry, nodeId: string): CopyRole {
  if (entry.primary === nodeId) return 'primary';
  return entry.followers.includes(nodeId) ? 'follower' : 'none';
}

function lead(partition: number, entry: PlacementEntry, copy: LocalCopy | undefined): Step[] {
  const promote: Step = { kind: 'promote', partition, epoch: entry.epoch };
  const refuse: Step = { kind: 'refuse', partition, epoch: entry.epoch };
  const fresh: Step[] = [{ kind: 'create', partition }, promote, { kind: 'attach', partition }];
  if (copy === undefined) return entry.lost || entry.epoch === FOUNDING_EPOCH ? fresh : [refuse];
  if (copy.role === 'primary') return copy.epoch === entry.epoch ? [] : [promote];
  if (copy.consistent) return [promote];
  return entry.lost ? fresh : [refuse];
}

function follow(partition: number, epoch: number, copy: LocalCopy | undefined): Step[] {
  const step: Step = { kind: 'follow', partition, epoch };
  if (copy === undefined) {
    return [{ kind: 'create', partition }, step, { kind: 'attach', partition }];
  }
  return copy.epoch === epoch && copy.role === 'follower' ? [] : [step];
}
