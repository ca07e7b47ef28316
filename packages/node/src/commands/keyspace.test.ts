import { describe, expect, it } from 'vitest';
import { SingleNode } from './single-node.fixture.ts';

describe('commands over the keyspace', () => {
  it('DBSIZE counts over all partitions', () => {
    const node = new SingleNode({ partitions: 4 });
    expect(node.ask('DBSIZE')).toBe(0);
    for (let i = 0; i < 100; i++) node.ask('SET', `k${i}`, 'v');
    expect(node.ask('DBSIZE')).toBe(100);
  });

  it.each([['FLUSHALL'], ['FLUSHDB'], ['FLUSHALL', 'ASYNC'], ['FLUSHDB', 'sync']])(
    '%s %s leaves nothing, and new keys live',
    (...words) => {
      const node = new SingleNode({ partitions: 4 });
      for (let i = 0; i < 100; i++) node.ask('SET', `k${i}`, 'v');
      expect(node.ask(...words)).toBe('OK');
      expect(node.ask('DBSIZE')).toBe(0);
      expect(node.ask('GET', 'k5')).toBeNull();
      expect(node.ask('SET', 'k5', 'new', 'NX')).toBe('OK');
      expect(node.ask('INCR', 'k6')).toBe(1);
      expect(node.ask('KEYS', '*')).toEqual(expect.arrayContaining(['k5', 'k6']));
    },
  );

  it('FLUSHALL with other words is a syntax error and deletes nothing', () => {
    const node = new SingleNode();
    node.ask('SET', 'a', '1');
    expect(node.ask('FLUSHALL', 'now')).toEqual({ error: 'ERR syntax error' });
    expect(node.ask('FLUSHALL', 'SYNC', 'ASYNC')).toEqual({ error: 'ERR syntax error' });
    expect(node.ask('DBSIZE')).toBe(1);
  });

  it('FLUSHALL while a partition changes its owner says so instead of OK', () => {
    const node = new SingleNode({ partitions: 2 });
    node.partitions[1].seal(true);
    expect(node.ask('FLUSHALL')).toEqual({ error: expect.stringMatching(/^TRYAGAIN/) });
  });

  it('RANDOMKEY is nil on an empty node and reaches every key otherwise', () => {
    const node = new SingleNode({ partitions: 4 });
    expect(node.ask('RANDOMKEY')).toBeNull();
    const keys = Array.from({ length: 8 }, (_, i) => `k${i}`);
    for (const key of keys) node.ask('SET', key, 'v');
    const seen = new Set(Array.from({ length: 2_000 }, () => node.ask('RANDOMKEY')));
    expect(seen).toEqual(new Set(keys));
  });

  it('RANDOMKEY passes over keys past their time', () => {
    const node = new SingleNode({ partitions: 2 });
    for (let i = 0; i < 20; i++) node.ask('SET', `k${i}`, 'v', 'PX', '1');
    node.ask('SET', 'lives', 'v');
    node.nowMs += 1;
    expect(node.ask('RANDOMKEY')).toBe('lives');
  });
});
