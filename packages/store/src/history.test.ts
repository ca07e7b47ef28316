import { describe, expect, test } from 'vitest';
import { HISTORY_MAX, PartitionMap, ROLE_FOLLOWER } from './index.ts';
import { bytesOf, newFollower, newPrimary, Pair, RingReader } from './pair.fixture.ts';

describe('store: history', () => {
  test('every promotion adds who began which epoch at which seq and generation', () => {
    const primary = newPrimary();
    const map = new PartitionMap(primary);
    for (let i = 0; i < 5; i++) map.set(bytesOf('k'), bytesOf('v'), 2);
    primary.promote(4, 3);
    expect(primary.history()).toEqual([
      { epoch: 1, generation: 1, startSeq: 1 },
      { epoch: 4, generation: 2, startSeq: 7 },
    ]);
    expect(primary.verify()).toBeNull();
  });

  test('a promoted follower goes on where its primary was, above every generation it has seen', () => {
    const pair = new Pair();
    for (let i = 0; i < 50; i++) pair.map.set(bytesOf(`k${i}`), bytesOf('v'), i * 150);
    pair.stream();
    const { seq } = pair.primary.stats();
    const generation = Math.max(...pair.primary.stamps);
    expect(generation).toBeGreaterThan(40);
    pair.follower.promote(2, 10);
    expect(pair.follower.history().at(-1)).toEqual({
      epoch: 2,
      generation: generation + 1,
      startSeq: seq + 1,
    });
    new PartitionMap(pair.follower).set(bytesOf('k1'), bytesOf('w'), 11);
    expect(pair.follower.verify()).toBeNull();
    // Its ring holds what it received: a peer that was as far can be streamed to.
    const reader = new RingReader(pair.follower, 20);
    expect(reader.read()).toBeGreaterThan(0);
  });

  test('keeps the newest entries when it is full, and they travel as any other byte', () => {
    const primary = newPrimary();
    const follower = newFollower();
    follower.becomeConsistent(0);
    const reader = new RingReader(primary, 1);
    for (let epoch = 2; epoch <= HISTORY_MAX + 10; epoch++) primary.promote(epoch, epoch);
    reader.feed(follower);
    expect(follower.history()).toEqual(primary.history());
    expect(primary.history().length).toBe(HISTORY_MAX);
    expect(primary.history()[0].epoch).toBe(11);
    expect(follower.verify()).toBeNull();
  });

  test('a copy whose bulk was cut still knows the history of its base', () => {
    const pair = new Pair();
    pair.stream();
    pair.follower.beginBulk(pair.primary.stats().seq);
    pair.primary.promote(2, 5);
    pair.follower.chunkLands(0);
    pair.primary.chunkBytesView(0, 0, 65_536).copy(pair.follower.chunkBytesView(0, 0, 65_536));
    pair.follower.chunkLanded(0, 2);
    expect(pair.follower.history().length).toBe(2);
    expect(pair.follower.offer().history).toEqual([{ epoch: 1, generation: 1, startSeq: 1 }]);
  });

  test('only a consistent copy, or a new one, is promoted', () => {
    const pair = new Pair();
    pair.stream();
    pair.follower.beginBulk(1);
    expect(() => pair.follower.promote(2, 5)).toThrow('only a consistent copy is promoted');
    pair.follower.reset();
    pair.follower.setRole(ROLE_FOLLOWER, 2);
    pair.follower.promote(3, 5);
    expect(pair.follower.verify()).toBeNull();
  });
});
