import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AckBoard, Verdict } from './ack-board.ts';
import { TestCluster, TestNode, until, untilEqual } from './cluster.fixture.ts';

const life = (node: TestNode) => ({ node: node.id, incarnation: 1 });

let cluster: TestCluster;
let board: AckBoard;
let a: TestNode;
let b: TestNode;
let c: TestNode;

beforeEach(async () => {
  cluster = new TestCluster();
  board = AckBoard.create(1, 1);
  a = new TestNode('a', { board });
  b = new TestNode('b');
  c = new TestNode('c');
  await cluster.start(a, b, c);
});

afterEach(() => cluster.stop());

const committed = (): number => a.partition.stats().seq;
const verdict = (seq = committed()): Verdict => board.verdict(0, 1, seq);
const untilInSync = (): Promise<void> => until('it is in sync', () => verdict() === Verdict.leave);

describe('in-sync set', () => {
  test('alone: what is committed is in sync; with a member: what it has acknowledged', async () => {
    cluster.lead(a, [b]);
    expect(verdict()).toBe(Verdict.leave);
    await untilEqual(a, b);
    cluster.configure(a, { inSync: [life(a), life(b)] });
    await untilInSync();
    expect(board.members(0)).toBe(2);
    cluster.configure(b, { followers: [] });
    await until('b is gone', () => a.hub.status()[0]?.followers[0]?.state === 'connecting');
    a.set('k', 'v');
    expect(verdict()).toBe(Verdict.wait);
    expect(verdict(committed() - 1)).toBe(Verdict.leave);
    cluster.configure(b);
    await untilInSync();
  });

  test('every member is waited for, in the map or about to be proposed', async () => {
    cluster.lead(a, [b, c]);
    await untilEqual(a, b);
    await untilEqual(a, c);
    cluster.configure(a, { inSync: [life(a), life(b)] });
    const joining = [{ partition: 0, epoch: 1, lives: [life(c)] }];
    expect(await a.hub.awaitMembers([], joining, 10_000)).toEqual(joining);
    cluster.configure(c, { followers: [] });
    await until('c is gone', () => a.hub.status()[0]?.followers[1]?.state === 'connecting');
    a.set('k', 'v');
    expect(await a.hub.awaitAck(0, 'b', committed(), 10_000)).toBe(true);
    expect(verdict()).toBe(Verdict.wait);
    expect(await a.hub.awaitMembers(joining, [], 0)).toEqual([]);
    expect(verdict()).toBe(Verdict.wait);
    expect(await a.hub.awaitInSync(0, committed(), 0)).toBe(false);
    await a.hub.awaitMembers([], [], 0);
    await untilInSync();
    expect(await a.hub.awaitInSync(0, committed(), 10_000)).toBe(true);
  });

  test('who has yet to acknowledge what is committed does not join', async () => {
    cluster.lead(a, [b]);
    await untilEqual(a, b);
    const joining = [{ partition: 0, epoch: 1, lives: [life(b)] }];
    a.set('k', 'v');
    expect(await a.hub.awaitMembers([], joining, 0)).toEqual([]);
    expect(verdict()).toBe(Verdict.leave);
    expect(await a.hub.awaitMembers([], joining, 10_000)).toEqual(joining);
  });

  test('who is not in step, or another life, joins nothing', async () => {
    cluster.lead(a, [b]);
    await untilEqual(a, b);
    const joining = [{ partition: 0, epoch: 1, lives: [life(c), { node: 'b', incarnation: 2 }] }];
    expect(await a.hub.awaitMembers([], joining, 0)).toEqual([]);
    expect(await a.hub.awaitMembers([], [{ ...joining[0], epoch: 2 }], 0)).toEqual([]);
    expect(verdict()).toBe(Verdict.leave);
  });

  test('a member that needs a bulk gets none before a map without it', async () => {
    cluster.lead(a, [b]);
    await untilEqual(a, b);
    cluster.configure(a, { inSync: [life(a), life(b)] });
    cluster.configure(b, { followers: [] });
    await until('b is gone', () => a.hub.status()[0]?.followers[0]?.state === 'connecting');
    a.lapRing();
    cluster.configure(b);
    await until('b asks to leave', () => a.hub.status()[0]?.followers[0]?.leaving);
    expect(b.partition.consistent()).toBe(true);
    expect(verdict()).toBe(Verdict.wait);
    cluster.configure(a, { inSync: [life(a)] });
    await untilEqual(a, b);
    expect(a.hub.status()[0]?.followers[0]?.leaving).toBe(false);
    expect(verdict()).toBe(Verdict.leave);
  });

  test('an epoch that is over: what was in sync stays so, of the rest nobody can say', async () => {
    cluster.lead(a, [b]);
    await untilEqual(a, b);
    cluster.configure(a, { inSync: [life(a), life(b)] });
    await untilInSync();
    const before = committed();
    cluster.configure(b, { followers: [] });
    await until('b is gone', () => a.hub.status()[0]?.followers[0]?.state === 'connecting');
    a.set('k', 'v');
    cluster.configure(a, { primary: 'b', epoch: 2, followers: ['a'] });
    expect(verdict(before)).toBe(Verdict.leave);
    expect(verdict()).toBe(Verdict.unknown);
    expect(board.verdict(0, 2, before)).toBe(Verdict.wait);
  });

  test('followers that have a seq are counted', async () => {
    cluster.lead(a, [b, c]);
    await untilEqual(a, b);
    await untilEqual(a, c);
    await until('both have said so', () => board.countOf(0, 1, committed()) === 2);
    cluster.configure(c, { followers: [] });
    await until('c is gone', () => board.countOf(0, 1, committed()) === 1);
    expect(board.countOf(0, 2, 0)).toBe(0);
    expect(board.countOf(0, 1, committed() + 1)).toBe(0);
  });
});
