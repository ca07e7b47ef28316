import { describe, expect, it } from 'vitest';
import { SingleNode } from './single-node.fixture.ts';

/** Walks to the end; `between` runs after each call. */
function scanAll(node: SingleNode, words: string[] = [], between: () => void = () => {}): string[] {
  const found: string[] = [];
  let cursor = '0';
  do {
    const [next, keys] = node.ask('SCAN', cursor, ...words) as [string, string[]];
    found.push(...keys);
    cursor = next;
    between();
  } while (cursor !== '0');
  return found;
}

function fill(node: SingleNode, prefix: string, count: number): string[] {
  const keys = Array.from({ length: count }, (_, i) => `${prefix}${i}`);
  for (const key of keys) node.ask('SET', key, 'v');
  return keys;
}

describe('SCAN', () => {
  it('returns every key once over several partitions, while nothing changes', () => {
    const node = new SingleNode({ partitions: 4 });
    const keys = fill(node, 'key:', 5_000);
    expect(scanAll(node).sort()).toEqual(keys.sort());
  });

  it('returns every key that was there all along, while the index grows under it', () => {
    const node = new SingleNode({ partitions: 2 });
    const keys = fill(node, 'old:', 16_000);
    const bucketsBefore = node.partitions[0].bucketCount();
    let round = 0;
    const found = scanAll(node, ['COUNT', '200'], () => fill(node, `new:${round++}:`, 100));
    expect(node.partitions[0].bucketCount()).toBeGreaterThan(bucketsBefore + 500);
    expect(node.partitions[0].stats().evictions).toBe(0);
    expect(new Set(found.filter((key) => key.startsWith('old:')))).toEqual(new Set(keys));
  });

  it('an empty node answers in few calls', () => {
    let calls = 0;
    scanAll(new SingleNode({ partitions: 64 }), [], () => calls++);
    expect(calls).toBeLessThan(12);
  });

  it('COUNT bounds a call, whatever MATCH keeps', () => {
    const node = new SingleNode();
    fill(node, 'k', 1_000);
    const [cursor, keys] = node.ask('SCAN', '0', 'COUNT', '50', 'MATCH', 'none*') as string[];
    expect([cursor === '0', keys]).toEqual([false, []]);
    const [, some] = node.ask('SCAN', '0', 'COUNT', '50') as [string, string[]];
    expect(some.length).toBeGreaterThanOrEqual(50);
    expect(some.length).toBeLessThan(80);
  });

  it('MATCH filters bytes, TYPE knows strings and nothing else', () => {
    const node = new SingleNode();
    fill(node, 'user:', 20);
    node.ask('SET', Buffer.from([0xff, 0x00, 0x0d]), 'v');
    expect(scanAll(node, ['MATCH', 'user:1?']).length).toBe(10);
    expect(node.ask('KEYS', Buffer.from([0xff, 0x2a]))).toEqual(['\xff\x00\r']);
    expect(scanAll(node, ['TYPE', 'STRING']).length).toBe(21);
    expect(scanAll(node, ['TYPE', 'hash', 'COUNT', '1000'])).toEqual([]);
  });

  it('keys past their time, deleted and flushed keys do not appear', () => {
    const node = new SingleNode();
    fill(node, 'k', 30);
    node.ask('PEXPIRE', 'k1', '5');
    node.ask('DEL', 'k2');
    node.nowMs += 5;
    expect(scanAll(node).length).toBe(28);
    node.ask('FLUSHALL');
    expect(scanAll(node)).toEqual([]);
    node.ask('SET', 'after', 'v');
    expect(scanAll(node)).toEqual(['after']);
  });

  it('wrong cursors and options are errors, a cursor past the end is the end', () => {
    const node = new SingleNode();
    expect(node.ask('SCAN', 'x')).toEqual({ error: 'ERR invalid cursor' });
    expect(node.ask('SCAN', '-1')).toEqual({ error: 'ERR invalid cursor' });
    expect(node.ask('SCAN', '0', 'COUNT', '0')).toEqual({ error: 'ERR syntax error' });
    expect(node.ask('SCAN', '0', 'COUNT', 'x')).toEqual({
      error: 'ERR value is not an integer or out of range',
    });
    expect(node.ask('SCAN', '0', 'MATCH')).toEqual({ error: 'ERR syntax error' });
    expect(node.ask('SCAN', '0', 'WHERE', 'x')).toEqual({ error: 'ERR syntax error' });
    expect(node.ask('SCAN', String(2 ** 45))).toEqual(['0', []]);
    expect(node.ask('SCAN', String(2 ** 31))).toEqual(['0', []]);
  });
});

describe('SCAN where other nodes lead some partitions', () => {
  function halfLed(listener: 'client' | 'cluster'): SingleNode {
    const node = new SingleNode({ partitions: 4, listener });
    fill(node, 'k', 400);
    for (const id of [1, 2]) node.execution.worker.map.placement[id].primary = 'n2';
    return node;
  }

  it('on the cluster port the walk passes over them', () => {
    const node = halfLed('cluster');
    const local = node.partitions[0].stats().keys + node.partitions[3].stats().keys;
    expect(scanAll(node).length).toBe(local);
    expect(node.ask('DBSIZE')).toBe(local);
    expect((node.ask('KEYS', '*') as string[]).length).toBe(local);
  });

  it('over the whole cluster the cursor stops at the border, for its leader to go on', () => {
    const node = halfLed('client');
    const [cursor, keys] = node.ask('INGOT.SCAN', '0', 'COUNT', '100000') as [string, string[]];
    expect(cursor).toBe(String(2 ** 32));
    expect(keys.length).toBe(node.partitions[0].stats().keys);
    expect(node.ask('INGOT.SCAN', cursor)).toEqual({ error: expect.stringMatching(/^TRYAGAIN/) });
  });
});
