/** Who feeds a new copy: a pure function of what its primary knows.
 *
 *      a follower that is consistent and has room  ->  it goes there
 *      somebody makes a copy of this partition     ->  it waits: that copy will feed others
 *      otherwise                                   ->  the primary feeds it
 *
 *  So a crowd of joiners grows a tree: the primary makes the first copy, that one feeds the next, all of them those that
 *  come then. Images leave the primary once, and once more where the copy in the making is slow or those that could feed
 *  have no room.
 *  Loop-free, because only followers that the primary itself brings up to date are candidates, and whoever is fed is none.
 *  Knows nothing of sessions, clocks and the wire. */

/** What one follower takes from a node's slots at most, as far as its primary decides. */
export const feedsMax = 4;
/** A copy in the making that takes longer does not hold up the next. */
export const slowMs = 10_000;
/** Who waits longer, for sources that never take it, is fed here whatever that costs. */
const waitMaxMs = 5_000;
/** Images of a partition that leave the primary while others could do it. */
const imagesMax = 2;

export interface SeedCandidate {
  readonly node: string;
  /** The primary brings it up to date itself, and its copy is consistent. */
  readonly ready: boolean;
  /** Its copy has been compared with the primary's. */
  readonly checked: boolean;
  /** Joiners that were sent there and have not come back, of all partitions led here. */
  readonly feeds: number;
  /** It failed this joiner, or had no slot for it, a moment ago. */
  readonly avoided: boolean;
}

export interface SeedQuestion {
  readonly partition: number;
  readonly joiner: string;
  /** In the order of the map. */
  readonly candidates: readonly SeedCandidate[];
  /** Copies of the partition that the primary makes, or has in its line; and for how long the oldest has been sent. */
  readonly own: number;
  readonly ownMs: number;
  /** Copies of the partition that followers make. */
  readonly elsewhere: number;
  /** Images of it that the primary has begun to send since nobody waited any more. */
  readonly given: number;
  readonly waitedMs: number;
}

export type SeedChoice =
  | { readonly kind: 'follower'; readonly node: string }
  | { readonly kind: 'primary' }
  | { readonly kind: 'wait' };

export function chooseSeed(question: SeedQuestion): SeedChoice {
  const { joiner, own, ownMs, elsewhere, given, waitedMs } = question;
  const ready = question.candidates.filter(({ node, ready }) => ready && node !== joiner);
  const source = leastBusy(question, ready);
  if (source !== null) return { kind: 'follower', node: source };
  const isMade = own + elsewhere > 0;
  if (!isMade && (given < imagesMax || waitedMs >= waitMaxMs)) return { kind: 'primary' };
  const isFirst = ready.length > 0 && given === 0;
  const isSlow = own === 1 && ownMs >= slowMs && given < imagesMax;
  return isFirst || isSlow ? { kind: 'primary' } : { kind: 'wait' };
}

/** Of those with room: the least busy, compared before not compared; partitions begin at different ones. */
function leastBusy(
  { partition, candidates }: SeedQuestion,
  ready: readonly SeedCandidate[],
): string | null {
  const count = candidates.length;
  const turn = (candidate: SeedCandidate): number =>
    (candidates.indexOf(candidate) + partition) % count;
  const able = ready
    .filter(({ avoided, feeds }) => !avoided && feeds < feedsMax)
    .sort(
      (a, b) => a.feeds - b.feeds || Number(b.checked) - Number(a.checked) || turn(a) - turn(b),
    );
  return able[0]?.node ?? null;
}
