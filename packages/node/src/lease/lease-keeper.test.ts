import { beforeEach, describe, expect, test } from 'vitest';
import { mapFoundedBy } from '../control/simulated-cluster.fixture.ts';
import { nameOfSet } from '../register/acceptor-set.ts';
import type { AcceptorSet, ClusterMap, Life } from '../shared/map.ts';
import type { FenceQuestion } from './fence-calls.ts';
import { fenceWaitMs, LeaseKeeper } from './lease-keeper.ts';

const founded = mapFoundedBy('n1', { partitions: 1, copies: 1 });
const life: Life = { node: 'n1', incarnation: 1 };
const ask: FenceQuestion = { life, askOnly: true, byOwner: false };
const fence: FenceQuestion = { life, askOnly: false, byOwner: false };

const others: AcceptorSet = { current: [{ id: 'b', node: 'n2' }], next: null };
const jointWithMe: AcceptorSet = { current: others.current, next: [{ id: 'a', node: 'n1' }] };
const mine: AcceptorSet = { current: [{ id: 'a', node: 'n1' }], next: null };

let nowMs: number;
let accepted: ClusterMap | null;
let onDisk: Set<string>;
let disk: (() => Promise<void>) | null;

const keyOf = ({ node, incarnation }: Life): string => `${node}:${incarnation}`;
const keeperNow = (): LeaseKeeper =>
  new LeaseKeeper({
    acceptor: 'a',
    accepted: () => accepted,
    nowMs: () => nowMs,
    fences: {
      has: (asked) => onDisk.has(keyOf(asked)),
      add: async (added) => {
        await disk?.();
        onDisk.add(keyOf(added));
      },
    },
  });
const accept = (keeper: LeaseKeeper, change: Partial<ClusterMap>): void => {
  const before = accepted ?? founded;
  accepted = { ...before, ...change, version: before.version + 1 };
  keeper.look();
};
const waits = async (keeper: LeaseKeeper): Promise<number> => {
  const answer = await keeper.fence(ask);
  return answer.kind === 'notYet' ? answer.waitMs : 0;
};

beforeEach(() => {
  nowMs = 50_000;
  accepted = { ...founded, acceptors: mine };
  onDisk = new Set();
  disk = null;
});

describe('lease keeper: heartbeats', () => {
  test('an answer names the beat, the acceptor, and what that has accepted', () => {
    const keeper = keeperNow();
    const acceptorSet = nameOfSet(mine);
    const answer = { kind: 'acked', beat: 7, acceptor: 'a', mapVersion: 1, acceptorSet };
    expect(keeper.hear(life, 7)).toEqual(answer);
    accept(keeper, { acceptors: jointWithMe });
    expect(keeper.hear(life, 8)).toMatchObject({
      mapVersion: 2,
      acceptorSet: nameOfSet(jointWithMe),
    });
  });

  test('a life is refused once a later one, or none, is in the map', () => {
    const keeper = keeperNow();
    const [node] = founded.nodes;
    accept(keeper, { nodes: [{ ...node, incarnation: 2 }] });
    expect(keeper.hear(life, 1)).toEqual({ kind: 'replaced' });
    expect(keeper.hear({ ...life, incarnation: 2 }, 1)).toMatchObject({ kind: 'acked' });
    accept(keeper, { nodes: [{ ...node, id: 'n2' }] });
    expect(keeper.hear({ ...life, incarnation: 2 }, 2)).toEqual({ kind: 'removed' });
  });

  test('a fence in the map counts like one of its own', async () => {
    const keeper = keeperNow();
    keeper.hear(life, 1);
    accept(keeper, { nodes: [{ ...founded.nodes[0], fencedThrough: 1 }] });
    expect(keeper.hear(life, 2)).toEqual({ kind: 'fenced' });
    expect(await keeper.fence(fence)).toEqual({ kind: 'agreed' });
  });
});

describe('lease keeper: fences', () => {
  test('no earlier than after its own start, and after the last heartbeat it answered', async () => {
    const keeper = keeperNow();
    nowMs += 1_000;
    expect(await waits(keeper)).toBe(fenceWaitMs - 1_000);
    nowMs += 4_000;
    expect(await waits(keeper)).toBe(0);
    keeper.hear(life, 1);
    expect(await waits(keeper)).toBe(fenceWaitMs);
    nowMs += fenceWaitMs;
    expect(await waits(keeper)).toBe(0);
  });

  test('a question stores nothing', async () => {
    const keeper = keeperNow();
    nowMs += fenceWaitMs;
    expect(await keeper.fence(ask)).toEqual({ kind: 'agreed' });
    expect(onDisk.size).toBe(0);
    expect(keeper.hear(life, 1)).toMatchObject({ kind: 'acked' });
  });

  test('no heartbeat is answered from the decision on, and no agreement before it is on disk', async () => {
    const keeper = keeperNow();
    nowMs += fenceWaitMs;
    const flushed = Promise.withResolvers<void>();
    disk = () => flushed.promise;
    let answered = false;
    const answer = keeper.fence(fence).then((given) => {
      answered = true;
      return given;
    });
    expect(keeper.hear(life, 1)).toEqual({ kind: 'fenced' });
    await Promise.resolve();
    expect(answered).toBe(false);
    flushed.resolve();
    expect(await answer).toEqual({ kind: 'agreed' });
  });

  test('a disk that refuses leaves the life without answers, and may be asked again', async () => {
    const keeper = keeperNow();
    nowMs += fenceWaitMs;
    disk = () => Promise.reject(new Error('disk full'));
    await expect(keeper.fence(fence)).rejects.toThrow('disk full');
    expect(keeper.hear(life, 1)).toEqual({ kind: 'fenced' });
    disk = null;
    expect(await keeper.fence(fence)).toEqual({ kind: 'agreed' });
    expect(onDisk).toEqual(new Set(['n1:1']));
  });

  test('the owner of the data dir need not wait', async () => {
    const keeper = keeperNow();
    keeper.hear(life, 1);
    expect(await keeper.fence({ ...fence, byOwner: true })).toEqual({ kind: 'agreed' });
  });

  test('it waits anew once others decide: those before may have given leases without it', async () => {
    const three = ['a', 'b', 'c'].map((id) => ({ id, node: `n-${id}` }));
    accepted = { ...founded, acceptors: { current: three, next: null } };
    const keeper = keeperNow();
    nowMs += fenceWaitMs;
    accept(keeper, { acceptors: { current: three, next: mine.current } });
    expect(await waits(keeper)).toBe(0);
    accept(keeper, { acceptors: mine });
    expect(await waits(keeper)).toBe(fenceWaitMs);
  });

  test('who does not decide yet ends nobody, and waits once it does', async () => {
    accepted = null;
    const keeper = keeperNow();
    nowMs += 10 * fenceWaitMs;
    expect(await waits(keeper)).toBe(fenceWaitMs);
    accept(keeper, { acceptors: jointWithMe });
    nowMs += 10 * fenceWaitMs;
    expect(await waits(keeper)).toBe(fenceWaitMs);
    accept(keeper, { acceptors: mine });
    nowMs += 100;
    expect(await waits(keeper)).toBe(fenceWaitMs - 100);
    accept(keeper, { acceptors: { current: mine.current, next: others.current } });
    expect(await waits(keeper)).toBe(fenceWaitMs - 100);
    accept(keeper, { acceptors: others });
    accept(keeper, { acceptors: mine });
    expect(await waits(keeper)).toBe(fenceWaitMs);
  });

  test('lives that are long silent are forgotten', async () => {
    const keeper = keeperNow();
    keeper.hear(life, 1);
    nowMs += 5 * fenceWaitMs;
    keeper.hear({ node: 'n2', incarnation: 1 }, 1);
    expect(await waits(keeper)).toBe(0);
  });
});
