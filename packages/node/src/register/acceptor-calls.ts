/** What a proposer says to acceptors and hears from them. Types only; a call rejects where no answer
 *  came in time, and then it may have had its effect all the same.
 *  Source: Rystsov, CASPaxos: Replicated State Machines without logs (2018). */
import type { AcceptorRef, ClusterMap, Life } from '../shared/map.ts';

/** Ordered by round, then by proposer: a name that no two processes share, since a round of one that
 *  ended may still be on its way. */
export interface Ballot {
  readonly round: number;
  readonly proposer: string;
}

export interface AcceptedMap {
  readonly ballot: Ballot;
  readonly map: ClusterMap;
}

export type PrepareAnswer =
  | { readonly kind: 'promised'; readonly accepted: AcceptedMap | null }
  | Refusal;

export type AcceptAnswer = { readonly kind: 'accepted' } | Refusal;

type Refusal =
  | { readonly kind: 'outbid'; readonly ballot: Ballot }
  /** The life that proposes is fenced: it has no say any more. */
  | { readonly kind: 'fenced' }
  /** Another acceptor lives there: the one meant lost its disk. */
  | { readonly kind: 'stranger' };

export interface AcceptorCalls {
  prepare(to: AcceptorRef, from: Life, ballot: Ballot): Promise<PrepareAnswer>;
  accept(to: AcceptorRef, from: Life, ballot: Ballot, map: ClusterMap): Promise<AcceptAnswer>;
}
