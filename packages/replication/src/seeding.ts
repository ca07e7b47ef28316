/** New copies of the partitions led here, from the moment that they need a bulk until they have one: which wait, which are
 *  fed here, and which were sent to a follower.
 *
 *      waiting -> fed here: a slot, a bulk
 *         |^
 *         |+------------------ it came back without a copy: that source is avoided for a while
 *         v                  |
 *       sent to a follower --+-> it came back with a copy, and is brought up to date here
 *
 *  Owner: `Leading`. `seed-choice.ts` decides; here is what it decides by. A joiner that is sent away is forgotten
 *  once it is back, once the map does not name it any more, or after `awayMaxMs`.
 *  Whoever was sent away and is awaited by nobody is in no in-sync set: only copies that the primary brings up to date are. */
import { chooseSeed, type SeedCandidate } from './seed-choice.ts';
import type { NodeState } from './node-state.ts';
import type { SenderSession } from './sender-session.ts';

/** Who feeds a copy for longer is taken for one with room again: it says itself whether it has. */
const awayMaxMs = 60_000;
const avoidFirstMs = 500;
const avoidMaxMs = 30_000;

/** A joiner that a follower feeds. */
export interface Away {
  readonly partition: number;
  readonly joiner: string;
  readonly incarnation: number;
  readonly source: string;
  readonly sinceMs: number;
}

interface Joining {
  readonly session: SenderSession;
  readonly sinceMs: number;
}

/** A source that did not make a copy whole. */
interface Failing {
  readonly untilMs: number;
  readonly pauseMs: number;
}

export interface SeedingHost {
  readonly state: NodeState;
  /** Sessions of a partition. */
  sessionsOf(partition: number): readonly SenderSession[];
  /** The joiner waits for one of the node's slots. */
  feed(session: SenderSession): void;
}

export class Seeding {
  readonly #host: SeedingHost;
  readonly #waiting = new Map<number, Joining[]>();
  /** Fed here, from the request on; since when they are sent to, or 0. */
  readonly #own = new Map<SenderSession, number>();
  readonly #away = new Map<string, Away>();
  readonly #failing = new Map<string, Map<string, Failing>>();
  readonly #given = new Map<number, number>();

  constructor(host: SeedingHost) {
    this.#host = host;
  }

  /** A session needs a bulk that others could give it. */
  joins(session: SenderSession): void {
    const { id } = session.partition;
    const waiting = this.#waiting.get(id) ?? [];
    this.#waiting.set(id, [...waiting, { session, sinceMs: this.#nowMs() }]);
    this.look(id);
  }

  /** Its bulk begins. */
  began(session: SenderSession): void {
    if (this.#own.has(session)) this.#own.set(session, this.#nowMs());
  }

  /** Its copy is whole. */
  made(session: SenderSession): void {
    this.#own.delete(session);
    this.look(session.partition.id);
  }

  /** The session is over, its copy whole or not. */
  ended(session: SenderSession): void {
    const { id } = session.partition;
    const waiting = this.#waiting.get(id)?.filter((each) => each.session !== session) ?? [];
    if (waiting.length > 0) this.#waiting.set(id, waiting);
    else this.#waiting.delete(id);
    this.#own.delete(session);
    this.look(id);
  }

  /** A follower has connected: perhaps it was away. */
  returned(partition: number, node: string, hasCopy: boolean): void {
    const key = keyOf(partition, node);
    const away = this.#away.get(key);
    if (away === undefined) return;
    this.#away.delete(key);
    if (hasCopy) {
      this.#failing.delete(key);
      this.#host.state.counters.seedsDone++;
      return;
    }
    const failing = this.#failing.get(key) ?? new Map<string, Failing>();
    const pauseMs = Math.min(
      avoidMaxMs,
      (failing.get(away.source)?.pauseMs ?? avoidFirstMs / 2) * 2,
    );
    failing.set(away.source, { untilMs: this.#nowMs() + pauseMs, pauseMs });
    this.#failing.set(key, failing);
    this.#host.state.counters.seedsFailed++;
  }

  /** Who is fed by a follower, and by which. */
  awayOf(partition: number, node: string): Away | undefined {
    return this.#away.get(keyOf(partition, node));
  }

  get waiting(): number {
    let count = 0;
    for (const waiting of this.#waiting.values()) count += waiting.length;
    return count;
  }

  tick(): void {
    const nowMs = this.#nowMs();
    for (const [key, { sinceMs }] of this.#away) {
      if (Math.abs(nowMs - sinceMs) > awayMaxMs) this.#away.delete(key);
    }
    for (const id of this.#waiting.keys()) this.look(id);
    for (const id of this.#given.keys()) if (this.#isQuiet(id)) this.#given.delete(id);
  }

  /** Forgets what the map does not name any more. */
  update(): void {
    const { views, incarnations } = this.#host.state;
    const isNamed = (partition: number, node: string): boolean =>
      this.#host.state.leads(partition) && views.get(partition)?.followers.includes(node) === true;
    for (const [key, { partition, joiner, incarnation }] of this.#away) {
      if (isNamed(partition, joiner) && incarnations[joiner] === incarnation) continue;
      this.#away.delete(key);
    }
    for (const key of this.#failing.keys()) {
      const [partition, node] = partsOf(key);
      if (!isNamed(partition, node)) this.#failing.delete(key);
    }
    for (const id of this.#given.keys()) if (!this.#host.state.leads(id)) this.#given.delete(id);
  }

  /** Something has changed that those who wait for a copy of the partition may wait for. */
  look(partition: number): void {
    for (const joining of this.#waiting.get(partition) ?? []) this.#choose(partition, joining);
  }

  #choose(partition: number, joining: Joining): void {
    const { session, sinceMs } = joining;
    const nowMs = this.#nowMs();
    const own = [...this.#own].filter(([each]) => each.partition.id === partition);
    const ownMs = Math.max(0, ...own.map(([, began]) => (began === 0 ? 0 : nowMs - began)));
    const choice = chooseSeed({
      ...{ partition, joiner: session.node, own: own.length, ownMs },
      candidates: this.#candidates(partition, session.node, nowMs),
      elsewhere: this.#count((away) => away.partition === partition),
      given: this.#given.get(partition) ?? 0,
      waitedMs: nowMs - sinceMs,
    });
    if (choice.kind === 'wait') return;
    const left = this.#waiting.get(partition)?.filter((each) => each !== joining) ?? [];
    if (left.length > 0) this.#waiting.set(partition, left);
    else this.#waiting.delete(partition);
    if (choice.kind === 'primary') this.#feed(session);
    else this.#send(session, choice.node);
  }

  #feed(session: SenderSession): void {
    const { id } = session.partition;
    this.#own.set(session, 0);
    this.#given.set(id, (this.#given.get(id) ?? 0) + 1);
    this.#host.feed(session);
  }

  #send(session: SenderSession, source: string): void {
    const { node: joiner, incarnation } = session;
    const partition = session.partition.id;
    const sinceMs = this.#nowMs();
    const away = { partition, joiner, incarnation, source, sinceMs };
    this.#away.set(keyOf(partition, joiner), away);
    this.#host.state.counters.seedsSent++;
    session.step({ kind: 'seedAt', node: source });
  }

  /** Followers that this node brings up to date itself. */
  #candidates(partition: number, joiner: string, nowMs: number): SeedCandidate[] {
    const failing = this.#failing.get(keyOf(partition, joiner));
    return this.#host.sessionsOf(partition).map(({ node, followerState, canFeed }) => ({
      node,
      ready: canFeed && (followerState === 'streaming' || followerState === 'checking'),
      checked: followerState === 'streaming',
      feeds: this.#count((away) => away.source === node),
      avoided: (failing?.get(node)?.untilMs ?? 0) > nowMs,
    }));
  }

  #count(holds: (away: Away) => boolean): number {
    let count = 0;
    for (const away of this.#away.values()) if (holds(away)) count++;
    return count;
  }

  /** Nobody joins the partition. */
  #isQuiet(partition: number): boolean {
    if (this.#waiting.has(partition)) return false;
    for (const session of this.#own.keys()) if (session.partition.id === partition) return false;
    return this.#count((away) => away.partition === partition) === 0;
  }

  #nowMs(): number {
    return this.#host.state.identity.nowMs();
  }
}

const keyOf = (partition: number, node: string): string => `${partition}/${node}`;

function partsOf(key: string): [partition: number, node: string] {
  const at = key.indexOf('/');
  return [Number(key.slice(0, at)), key.slice(at + 1)];
}
