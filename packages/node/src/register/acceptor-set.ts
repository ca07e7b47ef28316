/** Who decides about the cluster map. A set changes in two steps: first to a joint one, of which
 *  majorities of both halves must agree to anything, then to its new half alone; so any two
 *  decisions share an acceptor.
 *  Two sets are the same when they name the same acceptors, never because somebody numbered them
 *  alike (../../../../test/sim has the run that goes wrong otherwise). Pure. */
import type { AcceptorRef, AcceptorSet } from '../shared/map.ts';

/** Each acceptor once, those of `current` first. */
export function membersOf({ current, next }: AcceptorSet): AcceptorRef[] {
  const known = new Set(current.map(({ id }) => id));
  return [...current, ...(next ?? []).filter(({ id }) => !known.has(id))];
}

/** Whether these acceptors, by id, are enough to decide. */
export function hasQuorum({ current, next }: AcceptorSet, ids: ReadonlySet<string>): boolean {
  return hasMajority(current, ids) && (next === null || hasMajority(next, ids));
}

/** One word for a set: equal for the same sets, different for others. */
export function nameOfSet(set: AcceptorSet): string {
  let name = names.get(set);
  if (name === undefined) {
    const { current, next } = set;
    name = next === null ? nameOf(current) : `${nameOf(current)}>${nameOf(next)}`;
    names.set(set, name);
  }
  return name;
}

/** Every heartbeat asks, and sets do not change in place. */
const names = new WeakMap<AcceptorSet, string>();

export function isSameSet(a: AcceptorSet, b: AcceptorSet): boolean {
  return nameOfSet(a) === nameOfSet(b);
}

/** The rule that a change of the set breaks, or null. */
export function brokenSetChange(from: AcceptorSet, to: AcceptorSet): string | null {
  const isJoining = to.next !== null && nameOf(to.current) === nameOf(from.current);
  const isSound = from.next === null ? isJoining : isNewHalf(to, from);
  return isSound || isSameSet(from, to) ? null : 'acceptors change through a joint set';
}

/** Whether `set` is what the joint set leads to. */
export function isNewHalf(set: AcceptorSet, joint: AcceptorSet): boolean {
  return joint.next !== null && set.next === null && nameOf(set.current) === nameOf(joint.next);
}

function hasMajority(acceptors: readonly AcceptorRef[], ids: ReadonlySet<string>): boolean {
  return 2 * acceptors.filter(({ id }) => ids.has(id)).length > acceptors.length;
}

function nameOf(acceptors: readonly AcceptorRef[]): string {
  return acceptors
    .map(({ id, node }) => `${node}/${id}`)
    .sort()
    .join(',');
}
