import { attachPartition, createPartition, type Partition, PartitionMap } from '@ingot/store';
import { beforeEach, describe, expect, test } from 'vitest';
import { Checking, mutationRepairsMax } from './checking.ts';
import { type CheckAnswer, encodeAnswers } from './checks.ts';
import { smallGeometry } from './cluster.fixture.ts';
import { GateLook } from './gate-look.ts';
import { Outbox } from './outbox.ts';
import { unpaced } from './pacer.ts';
import { RedoBuffers } from './redo-buffers.ts';
import { RedoStream } from './redo-stream.ts';
import { RingReader } from './ring-reader.ts';
import type { SenderAction, SenderOptions } from './sender-steps.ts';

const chunks = [3, 4, 5];

let partition: Partition;
let checking: Checking;
let out: Outbox;
let copiedAgain: (readonly number[])[];
let actions: SenderAction[];
let nowMs: number;

beforeEach(() => {
  partition = attachPartition(createPartition(smallGeometry, 0));
  partition.promote(1, 1);
  const map = new PartitionMap(partition);
  for (let i = 0; i < 40; i++) map.set(Buffer.from(`k${i}`), Buffer.alloc(60_000, i), 1);
  const ring = new RingReader(partition, new RedoBuffers());
  const hello = { nodeId: 'b' } as SenderOptions['hello'];
  out = new Outbox(
    { partition, epoch: 1, nodeId: 'a', incarnation: 1, hello, ring },
    new RedoStream(ring),
  );
  copiedAgain = [];
  actions = [];
  nowMs = 1_000;
  checking = new Checking({
    partition,
    gate: new GateLook(partition),
    out,
    pacer: unpaced(),
    givesWay: () => false,
    copyAgain: (again) => copiedAgain.push(again),
  });
});

const seqNow = (): number => partition.stats().seq;

/** One step, after `ackedSeq` was acknowledged. */
function pursue(ackedSeq: number = seqNow()): string | null {
  out.begin(nowMs);
  const broken = checking.pursue(ackedSeq);
  actions.push(...out.end());
  return broken;
}

/** The follower answers the markers of these chunks; of `different` with another sum. */
function answer(answered: readonly number[], different: readonly number[] = []): void {
  out.begin(nowMs);
  const answers = answered.map((chunk): CheckAnswer => {
    const expected = partition.chunkCrc32(chunk);
    const actual = different.includes(chunk) ? (expected ^ 1) >>> 0 : expected;
    return { chunk, seq: seqNow(), expected, actual };
  });
  checking.receive(encodeAnswers(answers));
  actions.push(...out.end());
}

/** A pass over `asked` in which `different` differ, up to its end. */
function pass(asked: readonly number[], different: readonly number[]): string | null {
  for (let left = asked; left.length > 0; left = left.slice(8)) {
    pursue();
    answer(left.slice(0, 8), different);
  }
  return pursue();
}

const logged = (): string[] =>
  actions.flatMap((action) => (action.kind === 'log' ? [action.event.event] : []));
const counted = (kind: SenderAction['kind']): number =>
  actions.filter((action) => action.kind === kind).length;

function start(due: readonly number[]): void {
  for (const chunk of due) checking.add(chunk);
  checking.due();
}

describe('the CHECK pass of a sender', () => {
  test('chunks that differ are repaired one by one, each after the one before was acknowledged', () => {
    start(chunks);
    pass(chunks, [3, 5]);
    const before = seqNow();
    pursue();
    expect(seqNow()).toBe(before + 1);
    pursue(before);
    expect(seqNow()).toBe(before + 1);
    pursue(before + 1);
    expect(seqNow()).toBe(before + 2);
    expect(counted('repaired')).toBe(0);
    pursue();
    answer([3, 5]);
    expect(pursue()).toBeNull();
    expect(checking.pending).toBe(false);
    expect(counted('repaired')).toBe(2);
    expect(logged()).toEqual([
      ...['checkFailed', 'checkFailed'],
      ...['repaired', 'repaired'],
      'checkPassed',
    ]);
    expect(copiedAgain).toEqual([]);
  });

  test.each([
    [mutationRepairsMax, 'mutations'],
    [mutationRepairsMax + 1, 'a bulk'],
  ])('%i chunks that differ are repaired by %s', (count, how) => {
    const many = Array.from({ length: count }, (_, i) => 3 + i);
    const before = seqNow();
    start(many);
    pass(many, many);
    for (let i = 0; i < count && copiedAgain.length === 0; i++) pursue();
    expect(copiedAgain).toEqual(how === 'a bulk' ? [many] : []);
    expect(seqNow() - before).toBe(how === 'a bulk' ? 0 : count);
  });

  test('a sealed partition is repaired once it takes writes again', () => {
    start(chunks);
    pass(chunks, [4]);
    const sealedAt = partition.seal(true);
    pursue();
    pursue();
    expect(seqNow()).toBe(sealedAt);
    partition.seal(false);
    pursue();
    expect(seqNow()).toBe(sealedAt + 1);
  });

  test('what is broken here as well is refused, the copy stays unchecked, and is asked again later', () => {
    partition.imageBuffer[4 * 65_536 + 24] ^= 1;
    start(chunks);
    pass(chunks, [4]);
    const before = seqNow();
    for (let i = 0; i < 10; i++) expect(pursue()).toBeNull();
    expect(seqNow()).toBe(before);
    expect(counted('repairRefused')).toBe(1);
    expect(checking.pending).toBe(true);
    partition.imageBuffer[4 * 65_536 + 24] ^= 1;
    nowMs += 60_000;
    pass([4], [4]);
    pursue();
    expect(seqNow()).toBe(before + 1);
    pursue();
    answer([4]);
    pursue();
    expect(counted('repaired')).toBe(1);
    expect(checking.pending).toBe(false);
  });

  test('a chunk that never becomes equal is given up with its follower', () => {
    start(chunks);
    pass(chunks, [4]);
    for (let round = 1; round < 5; round++) {
      pursue();
      expect(pass([4], [4])).toBeNull();
    }
    pursue();
    expect(pass([4], [4])).toBe('chunks still differ after 5 repairs');
    expect(counted('repaired')).toBe(0);
  });

  test("another sender's markers count as well, but none from before a repair", () => {
    start([4]);
    pass([4], [4]);
    const stale = { chunk: 4, seq: seqNow(), expected: 7, actual: 7 };
    pursue();
    pursue();
    out.begin(nowMs);
    checking.receive(encodeAnswers([stale]));
    expect(pursue()).toBeNull();
    expect(checking.pending).toBe(true);
    new PartitionMap(partition).set(Buffer.from('k1'), Buffer.alloc(10), nowMs);
    answer([4]);
    pursue();
    expect(checking.pending).toBe(false);
  });

  test('a bulk in the middle of repairs begins the pass anew', () => {
    start(chunks);
    pass(chunks, [3, 5]);
    pursue();
    const before = seqNow();
    start([3, 5]);
    pursue();
    expect(seqNow()).toBe(before);
    answer([3, 5]);
    pursue();
    expect(checking.pending).toBe(false);
    expect(counted('repaired')).toBe(1);
  });
});
