/** How a follower's copy becomes equal to the primary's: a pure function of what both sides know.
 *
 *  A history is a list of (epoch, generation, startSeq): who was primary from which seq on. Up to d, the last
 *  seq that both histories share, both copies went through the same mutations.
 *    base is d, the copy is exactly its base, the ring holds d+1   -> stream from d+1
 *    the copy has a base                                            -> bulk of the chunks that changed after d on
 *                                                                      either side, and of all that landed since
 *    otherwise                                                      -> full
 *  Chunks carry the generation of their last change, so "changed after d" is "stamp >= generation of d" or, where
 *  the histories part, the generation that the side which went on first had seen at d.
 *  Invariant: a copy that a bulk was cut short on is never streamed to. */
import type { HistoryEntry } from '@ingot/store';
import type { Position } from './hello.ts';
import type { SyncKind, SyncReason } from './welcome.ts';

/** A stamp of 0 means: never changed, the same on every node. */
const FIRST_GENERATION = 1;

export interface PrimaryPosition {
  readonly history: readonly HistoryEntry[];
  readonly committed: number;
  /** Whether the redo ring holds everything from `seq` on. */
  ringHolds(seq: number): boolean;
}

export interface CopyOffer {
  readonly base: Position | null;
  readonly consistent: boolean;
  readonly history: readonly HistoryEntry[];
}

export interface Resync {
  readonly kind: SyncKind;
  readonly reason: SyncReason;
  /** d: last seq that both histories share, 0 for none. */
  readonly sharedSeq: number;
  /** Chunks with a stamp of this generation or later are sent; 0 for all. */
  readonly fromGeneration: number;
}

interface Fork {
  readonly sharedSeq: number;
  /** Generation of `sharedSeq`, or a lower bound of it. */
  readonly generation: number;
}

export function decideResync(primary: PrimaryPosition, offer: CopyOffer): Resync {
  const { base } = offer;
  if (base === null) return full('the copy is empty');
  const fork = lastShared(primary, offer.history, base);
  if (fork === null) return full('the histories share no epoch');
  const { sharedSeq, generation } = fork;
  if (sharedSeq < base.seq) {
    return {
      kind: 'rewind',
      reason: 'the copy has changes of a lost primary',
      sharedSeq,
      fromGeneration: generation,
    };
  }
  const catchUp = (reason: SyncReason): Resync => ({
    kind: 'catch-up',
    reason,
    sharedSeq,
    fromGeneration: generation,
  });
  if (!offer.consistent) return catchUp('the copy was interrupted in the middle of a bulk');
  if (!primary.ringHolds(sharedSeq + 1)) return catchUp('the ring has moved past the copy');
  return {
    kind: 'stream',
    reason: 'the copy is current and the ring holds what follows',
    sharedSeq,
    fromGeneration: generation,
  };
}

function full(reason: SyncReason): Resync {
  return { kind: 'full', reason, sharedSeq: 0, fromGeneration: 0 };
}

/** The point after which the two histories differ; null when they share no epoch. */
function lastShared(
  primary: PrimaryPosition,
  offered: readonly HistoryEntry[],
  base: Position,
): Fork | null {
  const ours = primary.history;
  const ourLast = ours.findLastIndex((entry) => offered.some((other) => isSame(entry, other)));
  if (ourLast === -1) return null;
  const theirLast = offered.findIndex((other) => isSame(ours[ourLast], other));
  const next = [ours[ourLast + 1], offered[theirLast + 1]].filter((entry) => entry !== undefined);
  const sharedSeq = Math.min(
    base.seq,
    primary.committed,
    ...next.map(({ startSeq }) => startSeq - 1),
  );
  if (sharedSeq === base.seq) return { sharedSeq, generation: base.generation };
  // Whoever began an epoch right behind d started one generation above all that it had seen by then.
  const began = next.filter(({ startSeq }) => startSeq - 1 === sharedSeq);
  if (began.length === 0) return null;
  const seen = Math.min(...began.map(({ generation }) => generation - 1));
  return { sharedSeq, generation: Math.min(seen, base.generation) };
}

function isSame(a: HistoryEntry, b: HistoryEntry): boolean {
  return a.epoch === b.epoch && a.startSeq === b.startSeq && a.generation === b.generation;
}

/** Chunks of the first pass, ascending: changed since on either side, or landed.
 *  A full sync goes to an empty image and takes all chunks ever used. LANDED_SINCE_BASE is above every stamp. */
export function selectChunks(
  resync: Resync,
  chunksTouched: number,
  stamps: Uint32Array,
  offered: Uint32Array,
): number[] {
  const fromGeneration = Math.max(resync.fromGeneration, FIRST_GENERATION);
  const everything = resync.kind === 'full';
  const selected: number[] = [];
  for (let chunk = 0; chunk < stamps.length; chunk++) {
    const theirs = chunk < offered.length ? offered[chunk] : 0;
    const changed = everything
      ? chunk < chunksTouched
      : stamps[chunk] >= fromGeneration || theirs >= fromGeneration;
    if (changed) selected.push(chunk);
  }
  return selected;
}

/** Chunks of a further pass: changed in `fromGeneration` or later. */
export function changedChunks(stamps: Uint32Array, fromGeneration: number): number[] {
  const from = Math.max(fromGeneration, FIRST_GENERATION);
  const selected: number[] = [];
  for (let chunk = 0; chunk < stamps.length; chunk++) {
    if (stamps[chunk] >= from) selected.push(chunk);
  }
  return selected;
}
