/** How ballots compare. Pure. */
import type { Ballot } from './acceptor-calls.ts';

/** Below every ballot that anybody proposes with. */
export const noBallot: Ballot = { round: 0, proposer: '' };

export function isHigher(a: Ballot, b: Ballot): boolean {
  return a.round === b.round ? a.proposer > b.proposer : a.round > b.round;
}

export function higherOf(a: Ballot, b: Ballot): Ballot {
  return isHigher(a, b) ? a : b;
}
