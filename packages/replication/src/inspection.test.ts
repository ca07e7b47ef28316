import { attachPartition, createPartition, type Partition, PartitionMap } from '@ingot/store';
import { beforeEach, describe, expect, test } from 'vitest';
import type { CheckAnswer } from './checks.ts';
import { smallGeometry } from './cluster.fixture.ts';
import {
  answerTimeoutMs,
  type Inspected,
  Inspection,
  type InspectionAction,
} from './inspection.ts';

const CHUNK = 3;

let partition: Partition;
let inspection: Inspection;
let results: Inspected[];
let events: string[];
let nowMs: number;

beforeEach(() => {
  partition = attachPartition(createPartition(smallGeometry, 0));
  partition.promote(1, 1);
  const map = new PartitionMap(partition);
  for (let i = 0; i < 500; i++) map.set(Buffer.from(`k${i}`), Buffer.alloc(200, i), 1);
  inspection = new Inspection(partition);
  results = [];
  events = [];
  nowMs = 1_000;
});

function perform(actions: readonly InspectionAction[]): void {
  for (const action of actions) {
    if (action.kind === 'inspected') results.push(action.result);
    else if (action.kind === 'log') events.push(action.event.event);
  }
}

/** The answer of a follower that is equal, or whose chunk has another sum. */
function answerOf(chunk: number, actual?: number): CheckAnswer {
  const expected = partition.chunkCrc32(chunk);
  return { chunk, seq: partition.stats().seq, expected, actual: actual ?? expected };
}

const inspect = (followers: readonly string[], chunk: number = CHUNK): void =>
  perform(inspection.inspect(chunk, followers, nowMs));
const answer = (node: string, actual?: number, chunk: number = CHUNK): void =>
  perform(inspection.answered(node, answerOf(chunk, actual), nowMs));
const breakPrimary = (): void => {
  partition.imageBuffer[CHUNK * 65_536 + 24] ^= 1; // a key
};

describe('inspection', () => {
  test('done once all followers have answered; equal copies need nothing', () => {
    const { seq } = partition.stats();
    inspect(['b', 'c']);
    answer('b');
    expect(results).toEqual([]);
    answer('c');
    expect(results).toMatchObject([{ chunk: CHUNK, equal: ['b', 'c'], different: [], why: '' }]);
    expect(partition.stats().seq).toBe(seq);
    expect(inspection.underWay).toBe(0);
  });

  test('a difference is repaired by a mutation, and counts as repaired once it was checked again', () => {
    const { seq } = partition.stats();
    inspect(['b', 'c']);
    answer('c');
    answer('b', 77);
    expect(partition.stats().seq).toBe(seq + 1);
    expect(results).toEqual([]);
    answer('c'); // sees the second marker as well, and is not asked
    answer('b');
    expect(results).toMatchObject([
      {
        equal: ['c'],
        different: [{ node: 'b', seq, actual: 77 }],
        repaired: ['b'],
        refused: false,
      },
    ]);
    expect(events).toEqual(['repaired']);
  });

  test('answers to other markers do not count: older ones, and those of other bytes', () => {
    inspect(['b']);
    const { seq, expected } = answerOf(CHUNK);
    for (const other of [
      { chunk: CHUNK, seq: seq - 1, expected, actual: 1 },
      { chunk: CHUNK, seq: seq + 1, expected: expected ^ 1, actual: 1 },
      { chunk: CHUNK + 1, seq, expected, actual: 1 },
    ])
      perform(inspection.answered('b', other, nowMs));
    expect([results, events]).toEqual([[], []]);
    answer('b');
    expect(results).toMatchObject([{ equal: ['b'] }]);
  });

  test('an outvoted primary is alarmed and repairs nothing', () => {
    const { seq } = partition.stats();
    inspect(['b', 'c']);
    answer('b', 77);
    answer('c', 77);
    expect(results).toMatchObject([{ refused: true, repaired: [] }]);
    expect(results[0]?.why).toMatch(/2 followers agree/);
    expect(events).toEqual(['repairRefused']);
    expect(partition.stats().seq).toBe(seq);
  });

  test('a primary whose own chunk is broken is believed only with a third copy', () => {
    breakPrimary();
    inspect(['b']);
    answer('b', 77);
    expect(results).toMatchObject([{ refused: true }]);
    expect(results[0]?.why).toMatch(/the primary's own chunk is broken: record/);
    inspect(['b', 'c']);
    answer('b', 77);
    answer('c');
    answer('b');
    expect(results[1]).toMatchObject({ refused: false, repaired: ['b'] });
  });

  test('a repair that does not help is an alarm', () => {
    inspect(['b']);
    answer('b', 77);
    answer('b', 78);
    expect(results).toMatchObject([
      { refused: true, repaired: [], why: 'it still differs after its repair' },
    ]);
  });

  test('repairs go one after the other', () => {
    const { seq } = partition.stats();
    inspect(['b'], 2);
    inspect(['b'], 3);
    answer('b', 77, 2);
    answer('b', 77, 3);
    expect(partition.stats().seq).toBe(seq + 1);
    answer('b', undefined, 2);
    expect(partition.stats().seq).toBe(seq + 2);
    answer('b', undefined, 3);
    expect(results.map(({ chunk, repaired }) => [chunk, repaired])).toEqual([
      [2, ['b']],
      [3, ['b']],
    ]);
  });

  test('a follower that is lost is left out, before and after its repair', () => {
    inspect(['b', 'c']);
    answer('b', 77);
    perform(inspection.lost('c', 'the connection was lost', nowMs));
    perform(inspection.lost('b', 'the connection was lost', nowMs));
    expect(results).toMatchObject([
      { repaired: [], refused: false, why: 'the follower was lost before its repair was checked' },
    ]);
    expect([...(results[0]?.lost.keys() ?? [])].sort()).toEqual(['b', 'c']);
  });

  test('silence is given up after a while, and then the next repair has its turn', () => {
    inspect(['b'], 2);
    inspect(['c'], 3);
    answer('b', 77, 2);
    answer('c', 77, 3);
    perform(inspection.tick(nowMs + answerTimeoutMs - 1));
    expect(results).toEqual([]);
    nowMs += answerTimeoutMs;
    perform(inspection.tick(nowMs));
    expect(results).toMatchObject([{ chunk: 2, repaired: [] }]);
    answer('c', undefined, 3);
    expect(results[1]).toMatchObject({ chunk: 3, repaired: ['c'] });
  });

  test('a sealed partition is not written to, and nobody is alarmed', () => {
    inspect(['b']);
    partition.seal(true);
    answer('b', 77);
    expect(results).toMatchObject([{ refused: false, why: 'the primary takes no writes now' }]);
    expect(events).toEqual([]);
  });

  test('ends with all that is under way, in whatever stage', () => {
    for (const chunk of [2, 3, 4]) inspect(['b', 'c'], chunk);
    for (const chunk of [2, 3]) {
      answer('b', undefined, chunk);
      answer('c', 77, chunk);
    }
    perform(inspection.close('the primary has moved', nowMs));
    expect(results.map(({ chunk, why }) => [chunk, why])).toEqual([
      [2, 'the primary has moved'],
      [3, 'the primary has moved'],
      [4, ''],
    ]);
    expect(inspection.underWay).toBe(0);
  });
});
