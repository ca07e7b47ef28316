import { type HistoryEntry, LANDED_SINCE_BASE } from '@ingot/store';
import { describe, expect, test } from 'vitest';
import {
  type CopyOffer,
  changedChunks,
  decideResync,
  type Resync,
  selectChunks,
} from './decide.ts';

const first: HistoryEntry = { epoch: 1, generation: 1, startSeq: 1 };
const second: HistoryEntry = { epoch: 2, generation: 40, startSeq: 101 };
const other: HistoryEntry = { epoch: 3, generation: 55, startSeq: 121 };

const primary = (history: HistoryEntry[], committed: number, ringFrom: number = 1) => ({
  history,
  committed,
  ringHolds: (seq: number): boolean => seq >= ringFrom && seq <= committed + 1,
});
const copy = (seq: number, generation: number, history: HistoryEntry[]): CopyOffer => ({
  base: { epoch: history.at(-1)?.epoch ?? 0, seq, generation },
  consistent: true,
  history,
});

describe('resync decision', () => {
  test('a current copy is streamed to from the ring', () => {
    expect(decideResync(primary([first], 100, 50), copy(80, 30, [first]))).toMatchObject({
      kind: 'stream',
      sharedSeq: 80,
    });
    expect(decideResync(primary([first], 80, 81), copy(80, 30, [first])).kind).toBe('stream');
  });

  test('where the ring has moved on, what changed since the base travels', () => {
    expect(decideResync(primary([first], 100, 82), copy(80, 30, [first]))).toEqual({
      kind: 'catch-up',
      reason: 'the ring has moved past the copy',
      sharedSeq: 80,
      fromGeneration: 30,
    });
  });

  test('a copy that a bulk was cut short on is never streamed to', () => {
    const cut = { ...copy(80, 30, [first]), consistent: false };
    expect(decideResync(primary([first], 100, 1), cut)).toEqual({
      kind: 'catch-up',
      reason: 'the copy was interrupted in the middle of a bulk',
      sharedSeq: 80,
      fromGeneration: 30,
    });
  });

  test('a follower of the former primary streams on where it had all of that epoch', () => {
    expect(decideResync(primary([first, second], 150), copy(100, 39, [first]))).toMatchObject({
      kind: 'stream',
      sharedSeq: 100,
    });
  });

  test('a former primary is rewound to where the new epoch began', () => {
    expect(decideResync(primary([first, second], 150), copy(120, 45, [first]))).toEqual({
      kind: 'rewind',
      reason: 'the copy has changes of a lost primary',
      sharedSeq: 100,
      fromGeneration: 39,
    });
  });

  test('two histories that parted go back to the earlier fork', () => {
    const ours = primary([first, other], 300);
    expect(decideResync(ours, copy(130, 50, [first, second]))).toMatchObject({
      kind: 'rewind',
      sharedSeq: 100,
      fromGeneration: 39,
    });
  });

  test('the base lowers the generation where it is older than the fork', () => {
    const ours = primary([first, { epoch: 2, generation: 90, startSeq: 101 }], 150);
    expect(decideResync(ours, copy(120, 45, [first])).fromGeneration).toBe(45);
  });

  test('old entries that fell out of one history do not part it from the other', () => {
    expect(decideResync(primary([second], 150), copy(140, 50, [first, second])).kind).toBe(
      'stream',
    );
  });

  test('nothing in common, or nothing at all: full', () => {
    const resync = { kind: 'full', sharedSeq: 0, fromGeneration: 0 };
    const empty = { base: null, consistent: false, history: [] };
    expect(decideResync(primary([first], 9), empty)).toEqual({
      ...resync,
      reason: 'the copy is empty',
    });
    expect(decideResync(primary([first], 9), copy(7, 3, [other]))).toEqual({
      ...resync,
      reason: 'the histories share no epoch',
    });
  });

  test('a copy ahead of its primary in one epoch shares nothing provable', () => {
    expect(decideResync(primary([first], 50), copy(60, 9, [first])).kind).toBe('full');
  });
});

describe('chunk selection', () => {
  const from = (fromGeneration: number): Resync => ({
    kind: 'catch-up',
    reason: 'the ring has moved past the copy',
    sharedSeq: 1,
    fromGeneration,
  });
  const stamps = new Uint32Array([5, 4, 3, 0, 0]);

  test('changed on either side, or landed since the base', () => {
    expect(selectChunks(from(5), 3, stamps, new Uint32Array([1, 1, 1]))).toEqual([0]);
    expect(selectChunks(from(5), 3, stamps, new Uint32Array([1, 6, 1]))).toEqual([0, 1]);
    expect(selectChunks(from(5), 3, stamps, new Uint32Array([1, 1, LANDED_SINCE_BASE]))).toEqual([
      0, 2,
    ]);
  });

  test('chunks that only the copy ever used count, too', () => {
    expect(selectChunks(from(5), 3, stamps, new Uint32Array([0, 0, 0, 0, 9]))).toEqual([0, 4]);
  });

  test('full: all chunks ever used', () => {
    const full: Resync = { ...from(0), kind: 'full' };
    expect(selectChunks(full, 3, stamps, new Uint32Array(0))).toEqual([0, 1, 2]);
  });

  test('a further pass goes by the primary alone; untouched chunks never count', () => {
    expect(changedChunks(stamps, 4)).toEqual([0, 1]);
    expect(changedChunks(stamps, 0)).toEqual([0, 1, 2]);
  });
});
