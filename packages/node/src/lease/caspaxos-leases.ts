/** Leases from the acceptors of the cluster map, and fences by a majority of them.
 *  A majority is asked first whether it would, so that a life that is merely slow is not half ended
 *  by the few who do not hear it. */
import { hasQuorum, membersOf } from '../register/acceptor-set.ts';
import { refusal } from '../shared/errors.ts';
import type { AcceptorRef, AcceptorSet, Life } from '../shared/map.ts';
import { type LeaseAuthority, NotDeadYet } from './authority.ts';
import type { FenceCalls, FenceQuestion } from './fence-calls.ts';
import type { LeaseHolder } from './lease-holder.ts';

export interface CasPaxosLeasesOptions {
  readonly calls: FenceCalls;
  /** The acceptors of the newest map that is known to be chosen. */
  readonly acceptors: () => AcceptorSet;
  /** Of this node's own life: the only one that it can renew. */
  readonly holder: LeaseHolder;
  /** Sends a beat of this node to every acceptor; their answers go to `holder`. Returns its
   *  number. */
  readonly beat: () => number;
}

export class CasPaxosLeases implements LeaseAuthority {
  readonly #options: CasPaxosLeasesOptions;

  constructor(options: CasPaxosLeasesOptions) {
    this.#options = options;
  }

  async renew(_life: Life): Promise<{ untilMs: number }> {
    const { holder, beat } = this.#options;
    await holder.renewed(beat());
    return { untilMs: holder.until().nowMs };
  }

  async fence(life: Life, byOwner = false): Promise<AcceptorSet> {
    const set = this.#options.acceptors();
    if (!byOwner) await this.#agreed(set, { life, askOnly: true, byOwner });
    await this.#agreed(set, { life, askOnly: false, byOwner });
    return set;
  }

  /** Resolves as soon as enough acceptors agree; rejects once all have answered and they were too
   *  few. */
  async #agreed(set: AcceptorSet, question: FenceQuestion): Promise<void> {
    const agreed = new Set<string>();
    const enough = Promise.withResolvers<void>();
    const asked = membersOf(set).map(async (member) => {
      const doubt = await this.#doubtOf(member, question);
      if (doubt === null) agreed.add(member.id);
      if (hasQuorum(set, agreed)) enough.resolve();
      return doubt === null ? [] : [doubt];
    });
    const doubts = await Promise.race([enough.promise, Promise.all(asked)]);
    if (doubts !== undefined) throw refusalOf(question.life, set, agreed, doubts.flat());
  }

  /** null: the acceptor agrees. */
  async #doubtOf(member: AcceptorRef, question: FenceQuestion): Promise<Doubt | null> {
    const never = (why: string): Doubt => ({ member, why, waitMs: Number.POSITIVE_INFINITY });
    try {
      const answer = await this.#options.calls.fence(member, question);
      if (answer.kind === 'agreed') return null;
      if (answer.kind === 'stranger') return never('its acceptor is gone');
      const { waitMs } = answer;
      return { member, why: 'it has heard of it', waitMs };
    } catch (error) {
      return never((error as Error).message);
    }
  }
}

/** Why an acceptor does not agree; infinite where waiting is no help. */
interface Doubt {
  readonly member: AcceptorRef;
  readonly why: string;
  readonly waitMs: number;
}

/** Says when enough may agree, or that too few could be asked. */
function refusalOf(
  life: Life,
  set: AcceptorSet,
  agreed: ReadonlySet<string>,
  doubts: readonly Doubt[],
): Error {
  const ids = new Set(agreed);
  for (const { member, waitMs } of doubts.toSorted((a, b) => a.waitMs - b.waitMs)) {
    if (waitMs === Number.POSITIVE_INFINITY) break;
    ids.add(member.id);
    if (hasQuorum(set, ids)) return new NotDeadYet(life, waitMs);
  }
  const reasons = doubts.map(({ member, why }) => `${member.node}: ${why}`).join('; ');
  return refusal('NO_MAJORITY', `too few acceptors could be asked to end a life (${reasons})`);
}
