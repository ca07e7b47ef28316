/** Leases from the acceptors of the cluster map, and fences by a majority of them.
 *  A majority is asked first whether it would, so that a life that is merely slow is not half ended
 *  by the few who do not hear it. Nobody waits for an acceptor that does not answer, least of all
 *  for that of the node that is to be ended, once enough others have said when they would agree. */
import { hasQuorum, membersOf } from '../register/acceptor-set.ts';
import { refusal } from '../shared/errors.ts';
import type { Later } from '../shared/later.ts';
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
  readonly later: Later;
}

/** Those who might agree at once are waited for so long after enough others have said when they
 *  would: where one acceptor still hears a life and the rest do not, the rest decide. */
export const stragglersMs = 100;

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

  /** Resolves as soon as enough acceptors agree. */
  async #agreed(set: AcceptorSet, question: FenceQuestion): Promise<void> {
    const agreed = new Set<string>();
    const doubts: Doubt[] = [];
    const ended = Promise.withResolvers<void>();
    const timers: (() => void)[] = [];
    let waitedMs = 0;
    const giveUpSoon = (): void => {
      if (timers.length > 0) return;
      const callOff = this.#options.later(stragglersMs, () => {
        waitedMs = stragglersMs;
        ended.resolve();
      });
      timers.push(callOff);
    };
    const asked = membersOf(set).map(async (member) => {
      const doubt = await this.#doubtOf(member, question);
      if (doubt === null) agreed.add(member.id);
      else doubts.push(doubt);
      if (hasQuorum(set, agreed)) ended.resolve();
      else if (waitOf(set, agreed, doubts) !== null) giveUpSoon();
    });
    await Promise.race([ended.promise, Promise.all(asked)]);
    for (const callOff of timers) callOff();
    if (hasQuorum(set, agreed)) return;
    const waitMs = waitOf(set, agreed, doubts);
    if (waitMs !== null) throw new NotDeadYet(question.life, Math.max(0, waitMs - waitedMs));
    const reasons = doubts.map(({ member, why }) => `${member.node}: ${why}`).join('; ');
    throw refusal('NO_MAJORITY', `too few acceptors could be asked to end a life (${reasons})`);
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

/** After how long enough may agree; null: whoever knows has not answered. */
function waitOf(
  set: AcceptorSet,
  agreed: ReadonlySet<string>,
  doubts: readonly Doubt[],
): number | null {
  const ids = new Set(agreed);
  for (const { member, waitMs } of doubts.toSorted((a, b) => a.waitMs - b.waitMs)) {
    if (waitMs === Number.POSITIVE_INFINITY) return null;
    ids.add(member.id);
    if (hasQuorum(set, ids)) return waitMs;
  }
  return null;
}
