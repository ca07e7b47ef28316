/** What a cluster map says about one life of a node. Pure. */
import { type IngotError, refusal } from '../shared/errors.ts';
import { type ClusterMap, type Life, nodeOf } from '../shared/map.ts';

/** ended: it is fenced. replaced: a later one is listed. removed: the node is not listed. */
export type LifeVerdict = 'goesOn' | 'ended' | 'replaced' | 'removed';

export function verdictOn(map: ClusterMap, { node, incarnation }: Life): LifeVerdict {
  const listed = nodeOf(map, node);
  if (listed === null) return 'removed';
  if (listed.incarnation > incarnation) return 'replaced';
  return listed.fencedThrough >= incarnation ? 'ended' : 'goesOn';
}

const texts: Record<Exclude<LifeVerdict, 'goesOn'>, readonly [code: string, text: string]> = {
  ended: ['FENCED', 'the others had not heard of this node and have ended this life of it'],
  replaced: ['REPLACED', 'a later start of the node replaced it'],
  removed: ['REMOVED', 'the node is not part of the cluster any more'],
};

/** What a node is told whose heartbeat is refused. */
export function beatRefusal(verdict: Exclude<LifeVerdict, 'goesOn'>): IngotError {
  return refusal(...texts[verdict]);
}
