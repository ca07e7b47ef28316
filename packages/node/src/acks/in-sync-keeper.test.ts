import type { PartitionReplicationStatus, PendingMembers } from '@ingot/replication';
import { ROLE_PRIMARY } from '@ingot/store';
import { describe, expect, test } from 'vitest';
import type { MapChange } from '../register/map-proposer.ts';
import { plainEntry, plainMap, plainNode } from '../shared/map.fixture.ts';
import type { ClusterMap, Life } from '../shared/map.ts';
import { goneMs, InSyncKeeper } from './in-sync-keeper.ts';

type Follower = PartitionReplicationStatus['followers'][number];

/** Two partitions led by a, followed by b and c; only a is in sync. */
function mapOf(): ClusterMap {
  const inSync = [{ node: 'a', incarnation: 1 }];
  const entry = plainEntry('a', ['b', 'c'], { epoch: 3, inSync });
  const nodes = ['a', 'b', 'c'].map((id) => plainNode(id));
  return plainMap({ copies: 3, nodes, placement: [entry, entry] });
}

function follower(id: string, change: Partial<Follower> = {}): Follower {
  return {
    ...{ node: id, incarnation: 1, state: 'streaming', leaving: false, stalled: false },
    ...{ ackedSeq: 10, lagSeq: 0, lagSeconds: 0, sync: null, source: null, ...change },
  };
}

/** The world around a keeper: what it was told to await, and what it proposed, in order. */
class World {
  map = mapOf();
  nowMs = 0;
  readonly steps: string[] = [];
  readonly proposed: ClusterMap[] = [];
  /** Members that do not catch up. */
  readonly slow = new Set<string>();
  registerFails = false;
  answersWhen: Promise<void> = Promise.resolve();
  /** The proposal is chosen although its proposer hears of a failure. */
  answerIsLost = false;
  /** The map that was chosen is told to the node by hand. */
  mapIsLate = false;
  readonly timers: { atMs: number; run: () => void }[] = [];
  readonly keeper: InSyncKeeper = new InSyncKeeper({
    self: () => ({ node: 'a', incarnation: 1 }),
    map: () => this.map,
    nowMs: () => this.nowMs,
    later: (delayMs, then) => {
      const timer = { atMs: this.nowMs + delayMs, run: then };
      this.timers.push(timer);
      return () => void this.timers.splice(this.timers.indexOf(timer) >>> 0, 1);
    },
    awaitMembers: async (kept, joining) => {
      this.steps.push(`await ${namesOf([...kept, ...joining])}`);
      return joining
        .map((each) => ({
          ...each,
          lives: each.lives.filter(({ node: id }) => !this.slow.has(id)),
        }))
        .filter(({ lives }) => lives.length > 0);
    },
    propose: (change) => this.#propose(change),
    failed: () => this.steps.push('failed'),
  });

  async #propose(change: MapChange): Promise<ClusterMap> {
    if (this.registerFails) throw new Error('nobody answers');
    await this.answersWhen;
    const next = change(this.map);
    if (next === this.map) {
      this.steps.push('read');
      return next;
    }
    const chosen = { ...next, version: this.map.version + 1 };
    this.proposed.push(chosen);
    this.steps.push(`propose ${setsOf(chosen)}`);
    if (!this.mapIsLate) this.map = chosen;
    if (this.answerIsLost) throw new Error('no answer came');
    return chosen;
  }

  /** What the replication worker says of both partitions. */
  async heard(...followers: Follower[]): Promise<void> {
    const status = { role: ROLE_PRIMARY, epoch: 3, seq: 10, consistent: true, checked: true };
    this.keeper.heard([0, 1].map((id) => ({ id, ...status, followers, feeds: [] })));
    await settle();
  }

  async pass(ms: number): Promise<void> {
    this.nowMs += ms;
    for (const timer of this.timers.splice(0)) {
      if (timer.atMs > this.nowMs) this.timers.push(timer);
      else timer.run();
    }
    await settle();
  }
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const lifeName = ({ node: id, incarnation }: Life): string => `${id}${incarnation}`;
const setsOf = ({ placement }: ClusterMap): string =>
  placement.map(({ inSync }) => inSync.map(lifeName).join('')).join(' ');
const namesOf = (members: readonly PendingMembers[]): string =>
  members.map(({ lives }) => lives.map(lifeName).join('')).join(' ');

describe('in-sync keeper', () => {
  test('members are awaited before they are proposed, all partitions at once', async () => {
    const world = new World();
    await world.heard(follower('b'), follower('c'));
    expect(world.steps).toEqual(['await b1c1 b1c1', 'propose a1b1c1 a1b1c1', 'await ']);
    expect(world.keeper.changes).toEqual({ added: 4, removed: 0 });
    await world.heard(follower('b'), follower('c'));
    expect(world.proposed).toHaveLength(1);
  });

  test('who has not caught up is not proposed, and asked again later', async () => {
    const world = new World();
    world.slow.add('b');
    await world.heard(follower('b'), follower('c', { state: 'checking' }));
    expect(world.proposed).toEqual([]);
    world.slow.clear();
    await world.heard(follower('b'), follower('c', { lagSeconds: 2 }));
    expect(world.proposed).toEqual([]);
    await world.pass(1_000);
    expect(world.steps.at(-2)).toBe('propose a1b1 a1b1');
  });

  test('a member that is gone is removed after a while, one that stalls or needs a bulk at once', async () => {
    const world = new World();
    await world.heard(follower('b'), follower('c'));
    await world.heard(follower('b', { state: 'connecting', incarnation: 0 }), follower('c'));
    expect(world.proposed).toHaveLength(1);
    await world.pass(goneMs);
    expect(world.steps.at(-1)).toBe('propose a1c1 a1c1');
    const gone = follower('b', { state: 'connecting', incarnation: 0 });
    await world.heard(gone, follower('c', { stalled: true }));
    expect(world.steps.at(-1)).toBe('propose a1 a1');
    const other = new World();
    await other.heard(follower('b'));
    await other.heard(follower('b', { state: 'bulk', leaving: true }));
    expect(other.steps.at(-1)).toBe('propose a1 a1');
  });

  test('who is back before the time is over stays', async () => {
    const world = new World();
    await world.heard(follower('b'));
    await world.heard(follower('b', { state: 'connecting', incarnation: 0 }));
    await world.pass(goneMs - 1);
    await world.heard(follower('b'));
    await world.pass(goneMs);
    expect(world.proposed).toHaveLength(1);
  });

  test('a removed member that catches up again is added again', async () => {
    const world = new World();
    await world.heard(follower('b'));
    await world.heard(follower('b', { stalled: true }));
    expect(world.steps.at(-1)).toBe('propose a1 a1');
    await world.heard(follower('b', { lagSeconds: 0.6 }));
    expect(world.steps.at(-1)).toBe('propose a1 a1');
    await world.heard(follower('b'));
    expect(world.steps.at(-2)).toBe('propose a1b1 a1b1');
  });

  test('a set is not shrunk below --min-isr for the sake of who is away, only of who is over', async () => {
    const world = new World();
    world.map = { ...world.map, minIsr: 2 };
    await world.heard(follower('b'), follower('c'));
    await world.heard(follower('b', { stalled: true }), follower('c', { stalled: true }));
    expect(world.steps.at(-1)).toBe('propose a1c1 a1c1');
    await world.heard(follower('b', { stalled: true }), follower('c', { state: 'connecting' }));
    await world.pass(goneMs);
    expect(world.steps.at(-1)).toBe('propose a1c1 a1c1');
    await world.heard(follower('b', { stalled: true }), follower('c', { leaving: true }));
    expect(world.steps.at(-1)).toBe('propose a1 a1');
  });

  test('who is about to stop leaves the set at once, unless --min-isr needs it, and stays out', async () => {
    const world = new World();
    await world.heard(follower('b'), follower('c'));
    const stopping = [{ node: 'b', incarnation: 1, sinceMs: 0 }];
    world.map = { ...world.map, wishes: { ...world.map.wishes, stopping } };
    await world.heard(follower('b'), follower('c'));
    expect(world.steps.at(-1)).toBe('propose a1c1 a1c1');
    await world.heard(follower('b'), follower('c'));
    expect(world.proposed).toHaveLength(2);
    const strict = new World();
    strict.map = { ...strict.map, minIsr: 2 };
    await strict.heard(follower('b'));
    strict.map = { ...strict.map, wishes: { ...strict.map.wishes, stopping } };
    await strict.heard(follower('b'));
    expect(strict.proposed).toHaveLength(1);
  });

  test('who is back before the register has answered stays', async () => {
    const world = new World();
    await world.heard(follower('b'));
    const answered = Promise.withResolvers<void>();
    world.answersWhen = answered.promise;
    await world.heard(follower('b', { stalled: true }));
    await world.heard(follower('b'));
    answered.resolve();
    await settle();
    expect(world.proposed).toHaveLength(1);
    expect(world.steps.at(-1)).toBe('read');
  });

  test('another life of a node is another member', async () => {
    const world = new World();
    await world.heard(follower('b'));
    world.map = {
      ...world.map,
      version: 9,
      nodes: [plainNode('a'), plainNode('b', { incarnation: 2 }), plainNode('c')],
    };
    await world.heard(follower('b'));
    expect(world.steps.at(-1)).toBe('propose a1 a1');
    await world.heard(follower('b', { incarnation: 2 }));
    expect(world.steps.at(-2)).toBe('propose a1b2 a1b2');
  });

  test('an outcome that is unknown: the member goes on being awaited until the register was read', async () => {
    const world = new World();
    world.answerIsLost = true;
    await world.heard(follower('b'));
    expect(world.steps).toEqual(['await b1 b1', 'propose a1b1 a1b1', 'failed']);
    world.answerIsLost = false;
    world.registerFails = true;
    await world.pass(300);
    // That it failed again is nothing new.
    expect(world.steps.slice(3)).toEqual(['await b1 b1']);
    world.registerFails = false;
    await world.pass(300);
    expect(world.steps.slice(4)).toEqual(['await b1 b1', 'read', 'await ']);
  });

  test('a chosen set that this node has not heard of yet: its members go on being awaited', async () => {
    const world = new World();
    world.mapIsLate = true;
    await world.heard(follower('b'));
    expect(world.steps).toEqual(['await b1 b1', 'propose a1b1 a1b1']);
    world.map = world.proposed[0];
    world.keeper.look();
    await settle();
    expect(world.steps.at(-1)).toBe('await ');
  });

  test('nothing is changed by who no longer leads, or at another epoch', async () => {
    const world = new World();
    const [entry] = world.map.placement;
    world.map = {
      ...world.map,
      placement: [
        { ...entry, epoch: 4 },
        { ...entry, primary: 'b' },
      ],
    };
    await world.heard(follower('b'), follower('c'));
    expect(world.steps).toEqual([]);
  });

  test('a primary that its set does not name is added to it', async () => {
    const world = new World();
    const placement = world.map.placement.map((entry) => ({ ...entry, inSync: [] }));
    world.map = { ...world.map, placement };
    await world.heard();
    expect(world.steps).toEqual(['propose a1 a1']);
  });
});
