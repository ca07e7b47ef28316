/** Who leads a partition whose primary is gone: a pure choice among copies that have refused its
 *  last epoch, so that what they say of themselves stays true.
 *
 *  1. A copy in sync has every write that acks=isr has answered. The one that got furthest leads,
 *     and those in sync that answered stay in sync: what one of them lacks, nobody was told of.
 *     But a copy that was only read from a disk (`recovered`) leads no sooner than every member of the
 *     set has answered, for one that comes back may have more: it may have been stopped later.
 *  2. Where a life in sync may yet answer, it is waited for.
 *  3. Where none is left, and the cluster allows it (`uncleanFailover`), the best consistent copy
 *     leads, and the partition is marked lossy. Where all of those were only read from disks, every
 *     node that holds a copy is waited for.
 *  4. Where no consistent copy is left either, the partition begins again, empty, marked lost; but a
 *     copy whose node may come back with it is waited for.
 *  How long, where what is missing may be on a disk, is `returnPatienceMs`.
 *  Invariant: a copy that is not consistent, or of another life than the one asked, never leads. */
import {
  type ClusterMap,
  isSameLife,
  isStopping,
  isUp,
  type Life,
  nameOfLife,
  type NodeId,
  nodeOf,
  type PlacementEntry,
} from '../shared/map.ts';
import type { SealedCopy } from './types.ts';

/** What one life said of its copies, by partition; one that is missing is not there. */
export interface SealAnswer {
  readonly incarnation: number;
  readonly copies: ReadonlyMap<number, SealedCopy>;
}

export type SealAnswers = ReadonlyMap<NodeId, SealAnswer>;

export type Succession =
  | { readonly kind: 'inSync' | 'lossy'; readonly leader: NodeId; readonly inSync: Life[] }
  | { readonly kind: 'lost'; readonly leader: NodeId }
  /** No primary for now. */
  | { readonly kind: 'wait'; readonly why: string };

/** full: waits for all. disks: a life that goes on would have answered by now, a process that starts again may yet.
 *  none: has waited long enough. */
export type Patience = 'full' | 'disks' | 'none';

/** A partition without a primary waits so long for a life that may go on. */
export const vacancyPatienceMs = 5_000;
/** And for a process that may start again with what its disk holds. */
export const returnPatienceMs = 30_000;

/** `savesCopies`: nodes that start again may bring back what they had. */
export function patienceAfter(vacantMs: number, savesCopies: boolean): Patience {
  if (vacantMs < vacancyPatienceMs) return 'full';
  return savesCopies && vacantMs < returnPatienceMs ? 'disks' : 'none';
}

export interface SuccessionQuestion {
  readonly partition: number;
  /** The life that led; null where that is settled and the partition has had no primary since. */
  readonly former: Life | null;
  readonly answers: SealAnswers;
  /** Breaks ties: how many partitions a node leads. */
  readonly leads: (node: NodeId) => number;
  /** How patient it still is with those who do not answer. */
  readonly patience: Patience;
  /** Who begins again where every copy is lost. */
  readonly preferred: NodeId;
}

export function successionOf(map: ClusterMap, question: SuccessionQuestion): Succession {
  const { partition, former, answers, leads, patience } = question;
  const entry = map.placement[partition];
  const awaited = awaitedLives(map, entry, former);
  const words = candidatesIn(map, question);
  const survivors = words.filter(({ life }) => awaited.some((other) => isSameLife(life, other)));
  if (survivors.length > 0) {
    const missing = missingIn(
      map,
      entry.inSync.map(({ node }) => node),
      survivors,
      question,
    );
    if (missing !== null) return { kind: 'wait', why: mayHaveMore(missing) };
    const inSync = survivors.map(({ life }) => life);
    return { kind: 'inSync', leader: furthest(survivors, leads), inSync };
  }
  const silent = awaited.filter(({ node }) => !answers.has(node));
  if (silent.length > 0 && !(map.uncleanFailover && patience !== 'full')) {
    return { kind: 'wait', why: `${silent[0].node} is in sync and does not answer yet` };
  }
  if (!map.uncleanFailover) return { kind: 'wait', why: 'no copy in sync is left' };
  if (words.length > 0) {
    // Who was told to stop left the set before it did, and comes back when somebody wants it to.
    const holders = entry.followers.filter((node) => isUp(map, node) || !isStopping(map, node));
    holders.push(...entry.inSync.map(({ node }) => node));
    const missing = missingIn(map, holders, words, question);
    if (missing !== null) return { kind: 'wait', why: mayHaveMore(missing) };
    const leader = furthest(words, leads);
    const inSync = words.filter(({ life }) => life.node === leader).map(({ life }) => life);
    return { kind: 'lossy', leader, inSync };
  }
  return lostOrWaiting(map, entry, question);
}

/** Where all candidates were only read from disks: a node that has not said yet what it has. */
function missingIn(
  map: ClusterMap,
  nodes: readonly NodeId[],
  candidates: readonly Candidate[],
  { answers, patience }: SuccessionQuestion,
): NodeId | null {
  if (patience === 'none' || candidates.some(({ copy }) => !copy.recovered)) return null;
  return nodes.find((node) => nodeOf(map, node) !== null && !answers.has(node)) ?? null;
}

function mayHaveMore(node: NodeId): string {
  return `what ${node} comes back with may be newer than what others have read from their disks`;
}

/** The lives in sync that are not known to be over. */
function awaitedLives(
  map: ClusterMap,
  entry: PlacementEntry,
  former: Life | null,
): readonly Life[] {
  return entry.inSync.filter((life) => {
    if (former !== null && isSameLife(life, former)) return false;
    const node = nodeOf(map, life.node);
    return node?.incarnation === life.incarnation && node.state === 'up';
  });
}

/** Whose word may decide: the lives in sync, or where there are none everybody who is up. */
export function decidersOf(map: ClusterMap, partition: number, former: Life | null): NodeId[] {
  const entry = map.placement[partition];
  const awaited = awaitedLives(map, entry, former).map(({ node }) => node);
  if (awaited.length > 0) return awaited;
  return entry.followers.filter((node) => node !== former?.node && isUp(map, node));
}

/** A choice made for one of them holds for the other. */
export function isSameCase(a: PlacementEntry, b: PlacementEntry): boolean {
  if (a === b) return true;
  return (
    a.epoch === b.epoch &&
    a.primary === b.primary &&
    isSameList(a.followers, b.followers) &&
    isSameList(a.inSync.map(nameOfLife), b.inSync.map(nameOfLife))
  );
}

interface Candidate {
  readonly life: Life;
  readonly copy: SealedCopy;
}

function candidatesIn(map: ClusterMap, question: SuccessionQuestion): Candidate[] {
  const { partition, former, answers } = question;
  return map.placement[partition].followers.flatMap((node): Candidate[] => {
    const answer = answers.get(node);
    const copy = answer?.copies.get(partition);
    if (answer === undefined || copy?.consistent !== true || node === former?.node) return [];
    const listed = nodeOf(map, node);
    if (listed?.incarnation !== answer.incarnation || listed.state !== 'up') return [];
    return [{ life: { node, incarnation: answer.incarnation }, copy }];
  });
}

function furthest(candidates: readonly Candidate[], leads: SuccessionQuestion['leads']): NodeId {
  const best = candidates.reduce((a, b) => {
    const ahead = b.copy.epoch - a.copy.epoch || b.copy.applied - a.copy.applied;
    return ahead > 0 || (ahead === 0 && leads(b.life.node) < leads(a.life.node)) ? b : a;
  });
  return best.life.node;
}

function lostOrWaiting(
  map: ClusterMap,
  { followers }: PlacementEntry,
  { answers, patience, preferred, former }: SuccessionQuestion,
): Succession {
  const silent = followers.find((node) => nodeOf(map, node) !== null && !answers.has(node));
  const formerMayReturn = former !== null && nodeOf(map, former.node) !== null;
  if (patience !== 'none' && (silent !== undefined || formerMayReturn)) {
    return { kind: 'wait', why: `the copy on ${silent ?? former?.node} may come back` };
  }
  const able = followers.length === 0 ? [preferred] : followers;
  const leader = [preferred, ...able].find((node) => able.includes(node) && isUp(map, node));
  if (leader === undefined) return { kind: 'wait', why: 'no node that holds a copy is up' };
  return { kind: 'lost', leader };
}

function isSameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item) => b.includes(item));
}
