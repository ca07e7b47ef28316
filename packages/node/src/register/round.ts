/** One phase of one round, asked of all acceptors of a set at once: how it ends. It ends with the
 *  first quorum, with the first acceptor that has promised a higher ballot, or when no quorum can
 *  come about any more. Answers that come later change nothing. */
import type { AcceptorRef, AcceptorSet } from '../shared/map.ts';
import type { Later } from '../shared/later.ts';
import type { Ballot } from './acceptor-calls.ts';
import { hasQuorum, membersOf } from './acceptor-set.ts';

export type PhaseEnd<Answer> =
  | { readonly kind: 'quorum'; readonly answers: readonly Answer[] }
  | { readonly kind: 'outbid'; readonly ballot: Ballot }
  /** So many know the proposer's life to be over that the others are no quorum. */
  | { readonly kind: 'fenced' }
  | { readonly kind: 'silence'; readonly why: string };

type AnyAnswer =
  | { readonly kind: 'promised' | 'accepted' | 'fenced' | 'stranger' }
  | { readonly kind: 'outbid'; readonly ballot: Ballot };

export interface Phase<Answer> {
  readonly set: AcceptorSet;
  readonly ask: (to: AcceptorRef) => Promise<Answer>;
  readonly later: Later;
  readonly timeoutMs: number;
}

export function runPhase<Answer extends AnyAnswer>({
  set,
  ask,
  later,
  timeoutMs,
}: Phase<Answer>): Promise<PhaseEnd<Exclude<Answer, { kind: 'outbid' | 'fenced' | 'stranger' }>>> {
  type Yes = Exclude<Answer, { kind: 'outbid' | 'fenced' | 'stranger' }>;
  const members = membersOf(set);
  const agreed = new Map<string, Yes>();
  const fenced = new Set<string>();
  const troubles = new Map<string, string>();
  const end = Promise.withResolvers<PhaseEnd<Yes>>();
  const callOff = later(timeoutMs, () => end.resolve(silence()));

  const silence = (): PhaseEnd<Yes> => ({
    kind: 'silence',
    why: members
      .filter(({ id }) => !agreed.has(id))
      .map(({ id, node }) => `${node}: ${troubles.get(id) ?? 'no answer'}`)
      .join(', '),
  });

  const isPossible = (without: (id: string) => boolean): boolean =>
    hasQuorum(set, new Set(members.map(({ id }) => id).filter((id) => !without(id))));

  const hear = ({ id }: AcceptorRef, answer: Answer): void => {
    if (answer.kind === 'outbid') return end.resolve({ kind: 'outbid', ballot: answer.ballot });
    if (answer.kind === 'fenced') {
      fenced.add(id);
      troubles.set(id, 'says that this life is over');
    } else if (answer.kind === 'stranger') {
      troubles.set(id, 'another acceptor is there');
    } else {
      agreed.set(id, answer as Yes);
    }
  };

  const settle = (): void => {
    if (hasQuorum(set, new Set(agreed.keys()))) {
      end.resolve({ kind: 'quorum', answers: [...agreed.values()] });
    } else if (!isPossible((id) => fenced.has(id))) {
      end.resolve({ kind: 'fenced' });
    } else if (!isPossible((id) => troubles.has(id))) {
      end.resolve(silence());
    }
  };

  for (const member of members) {
    ask(member)
      .then(
        (answer) => hear(member, answer),
        (error: Error) => troubles.set(member.id, error.message),
      )
      .then(settle, end.reject);
  }
  return end.promise.finally(callOff);
}
