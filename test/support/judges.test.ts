/** What judges a run under faults must see what is wrong. */
import { describe, expect, test } from 'vitest';
import { EpochWriters, takerOf } from './epoch-writers.ts';
import { Loss } from './loss.ts';

describe('two writers in an epoch', () => {
  const writers = (...replies: string[]): EpochWriters => {
    const seen = new EpochWriters();
    for (const taker of replies.map(takerOf)) if (taker !== null) seen.saw(taker);
    return seen;
  };

  test('one life per partition and epoch is as it must be', () => {
    const seen = writers('3 7 n1 2', '3 7 n1 2', '3 8 n2 1', '4 7 n2 1');
    expect(seen.epochs).toBe(3);
    expect(seen.split).toEqual([]);
  });

  test('another node in the same epoch is a split', () => {
    expect(writers('3 7 n1 2', '3 7 n2 1').split).toEqual([
      'partition 3 epoch 7: n1 incarnation 2, n2 incarnation 1',
    ]);
  });

  test('so is another life of the same node', () => {
    expect(writers('3 7 n1 2', '3 7 n1 3').split).toHaveLength(1);
  });

  test('a refusal names no taker', () => {
    expect(takerOf('CLUSTERDOWN the node that owns this key is down')).toBeNull();
    expect(takerOf('OK')).toBeNull();
  });
});

describe('loss', () => {
  test('what is read is not lost, nor what came before it', () => {
    const loss = new Loss();
    for (const version of [1, 2, 3]) loss.acknowledged('k', version, version);
    loss.read('k', 3);
    loss.read('k', 3);
    expect(loss).toMatchObject({ writes: 0, occasions: 0 });
  });

  test('acknowledged writes after the one that is read are lost, once', () => {
    const loss = new Loss();
    for (const version of [1, 2, 3, 4]) loss.acknowledged('k', version, 10 * version);
    loss.read('k', 2);
    loss.read('k', 2);
    expect(loss).toMatchObject({ writes: 2, occasions: 1, longestMs: 10 });
    loss.acknowledged('k', 5, 60);
    loss.read('k', 5);
    expect(loss.writes).toBe(2);
  });

  test('a key that is gone has lost what was acknowledged', () => {
    const loss = new Loss();
    loss.acknowledged('k', 1, 5);
    loss.read('k', null);
    expect(loss).toMatchObject({ writes: 1, longestMs: 0 });
  });

  test('a write without an answer that comes late hides what came after it', () => {
    const loss = new Loss();
    loss.acknowledged('k', 1, 1);
    loss.unanswered('k', 2);
    loss.acknowledged('k', 3, 3);
    loss.read('k', 2);
    expect(loss.writes).toBe(0);
  });
});
