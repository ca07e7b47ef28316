/** What is asked of acceptors about lives of nodes, and what they answer. Types only. */
import type { AcceptorRef, Life } from '../shared/map.ts';

export interface FenceQuestion {
  readonly life: Life;
  /** Whether it would; nothing is stored. */
  readonly askOnly: boolean;
  /** The caller holds the lock of the life's data dir: it is dead, whatever was heard of it. */
  readonly byOwner: boolean;
}

export type FenceAnswer =
  | { readonly kind: 'agreed' }
  /** It may be asked again after `waitMs`. */
  | { readonly kind: 'notYet'; readonly waitMs: number }
  /** Another acceptor lives there: the one meant lost its disk. */
  | { readonly kind: 'stranger' };

export interface FenceCalls {
  /** Rejects where no answer came in time, and then it may have had its effect all the same. */
  fence(to: AcceptorRef, question: FenceQuestion): Promise<FenceAnswer>;
}

/** What an acceptor makes of one heartbeat. */
export type BeatAnswer =
  | {
      readonly kind: 'acked';
      readonly beat: number;
      /** Id of the acceptor that answers. */
      readonly acceptor: string;
      /** The newest map that it has accepted, chosen or not; 0: none. */
      readonly mapVersion: number;
      /** The name of the acceptors in that map: see `nameOfSet`. Empty where there is none. */
      readonly acceptorSet: string;
    }
  | BeatRefusal;

/** fenced: the life is over for good. replaced: a later one is in the map. removed: the map does not
 *  list the node. */
export interface BeatRefusal {
  readonly kind: 'fenced' | 'replaced' | 'removed';
}
