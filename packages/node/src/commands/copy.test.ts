/** Replies are those of redis-server 7.0 with one database. */
import { hashKey } from '@ingot/store';
import { describe, expect, it } from 'vitest';
import type { Reply } from './reply.fixture.ts';
import { SingleNode } from './single-node.fixture.ts';

type Vector = readonly [command: string, reply: Reply];

const SYNTAX = { error: 'ERR syntax error' };

function replies(vectors: readonly Vector[]): void {
  const node = new SingleNode();
  for (const [command, reply] of vectors) {
    expect(node.ask(...command.split(' ')), command).toEqual(reply);
  }
  expect(node.partitions[0].verify()).toBeNull();
}

describe('COPY, RENAME, RENAMENX', () => {
  it('COPY takes value and expiry along, and replaces only if told to', () =>
    replies([
      ['SET a one PX 5000', 'OK'],
      ['COPY a b', 1],
      ['GET b', 'one'],
      ['PTTL b', 5_000],
      ['SET a two', 'OK'],
      ['COPY a b', 0],
      ['COPY a b DB 0 REPLACE', 1],
      ['GET b', 'two'],
      ['TTL b', -1],
      ['COPY none b REPLACE', 0],
      ['COPY a a', { error: 'ERR source and destination objects are the same' }],
      ['COPY a b DB 1', { error: 'ERR DB index is out of range' }],
      ['COPY a b DB x', { error: 'ERR value is not an integer or out of range' }],
      ['COPY a b DB', SYNTAX],
      ['COPY a b zz', SYNTAX],
    ]));

  it('RENAME moves value and expiry, over what was there', () =>
    replies([
      ['SET a one PX 5000', 'OK'],
      ['SET b two', 'OK'],
      ['RENAME a b', 'OK'],
      ['EXISTS a', 0],
      ['GET b', 'one'],
      ['PTTL b', 5_000],
      ['RENAME b b', 'OK'],
      ['RENAME none b', { error: 'ERR no such key' }],
      ['RENAME none none', { error: 'ERR no such key' }],
    ]));

  it('RENAMENX refuses a key that is there', () =>
    replies([
      ['SET a one', 'OK'],
      ['SET b two', 'OK'],
      ['RENAMENX a b', 0],
      ['RENAMENX a a', 0],
      ['RENAMENX a c', 1],
      ['MGET a b c', [null, 'two', 'one']],
      ['RENAMENX a b', { error: 'ERR no such key' }],
    ]));
});

describe('values that are structs', () => {
  it('stay structs when copied or renamed, and become plain when changed in part', () => {
    const node = new SingleNode();
    const [partition] = node.partitions;
    const value = Buffer.from([1, 2, 3, 4, 5, 6, 7, 8]);
    const key = Buffer.from('s');
    const hash = hashKey(key, 0, 1);
    partition.enter();
    partition.structs.set(hash, key, 0, 1, 77, value, 0, 8, 0, node.nowMs);
    partition.leave();
    const fingerprintOf = (name: string): number => {
      const bytes = Buffer.from(name);
      const of = hashKey(bytes, 0, bytes.length);
      return partition.fingerprint(partition.find(of, bytes, 0, bytes.length, node.nowMs));
    };
    expect(node.ask('COPY', 's', 'copied')).toBe(1);
    expect(node.ask('RENAME', 's', 'renamed')).toBe('OK');
    for (const name of ['copied', 'renamed']) {
      expect(fingerprintOf(name)).toBe(77);
      expect(node.ask('GET', name)).toBe(value.toString('latin1'));
    }
    expect(node.ask('BITCOUNT', 'copied')).toBe(13);
    expect(node.ask('SETBIT', 'copied', '0', '1')).toBe(0);
    expect(node.ask('BITFIELD', 'renamed', 'SET', 'u8', '#7', '9')).toEqual([8]);
    for (const name of ['copied', 'renamed']) expect(fingerprintOf(name)).toBe(0);
    expect(node.ask('GET', 'copied')).toBe('\x81\x02\x03\x04\x05\x06\x07\x08');
    expect(node.ask('GET', 'renamed')).toBe('\x01\x02\x03\x04\x05\x06\x07\x09');
    expect(partition.verify()).toBeNull();
  });
});

describe('OBJECT and MEMORY', () => {
  it.each([
    ['12', 'int'],
    ['-9223372036854775808', 'int'],
    ['9223372036854775808', 'embstr'],
    ['007', 'embstr'],
    ['1.5', 'embstr'],
    ['', 'embstr'],
    ['x'.repeat(44), 'embstr'],
    ['x'.repeat(45), 'raw'],
  ])('OBJECT ENCODING of %j is %s', (value, encoding) => {
    const node = new SingleNode();
    node.ask('SET', 'a', value);
    expect(node.ask('OBJECT', 'ENCODING', 'a')).toBe(encoding);
  });

  it('OBJECT answers nil without the key, and refuses words that it does not know', () =>
    replies([
      ['SET a x', 'OK'],
      ['OBJECT IDLETIME a', 0],
      ['OBJECT REFCOUNT a', 1],
      ['object freq a', { error: expect.stringMatching(/^ERR An LFU maxmemory policy is not/) }],
      ['OBJECT FREQ none', null],
      ['OBJECT ENCODING none', null],
      ['OBJECT zz a', { error: "ERR unknown subcommand 'zz'. Try OBJECT HELP." }],
      ['OBJECT ENCODING', { error: "ERR wrong number of arguments for 'object|encoding' command" }],
      ['OBJECT', { error: "ERR wrong number of arguments for 'object' command" }],
    ] as unknown as Vector[]));

  it('MEMORY USAGE counts slot, extents and entry', () => {
    const node = new SingleNode();
    node.ask('SET', 'small', 'x'.repeat(8));
    node.ask('SET', 'large', 'x'.repeat(10_000));
    expect(node.ask('MEMORY', 'USAGE', 'small')).toBeLessThan(64);
    const large = node.ask('MEMORY', 'USAGE', 'large', 'SAMPLES', '0') as number;
    expect(large).toBeGreaterThan(10_000);
    expect(large).toBeLessThan(12_000);
    expect(node.ask('MEMORY', 'USAGE', 'none')).toBeNull();
    expect(node.ask('MEMORY', 'USAGE', 'small', 'SAMPLES', '-1')).toEqual(SYNTAX);
    expect(node.ask('MEMORY', 'USAGE', 'small', 'zz', '1')).toEqual(SYNTAX);
  });

  it('MEMORY STATS, DOCTOR, PURGE and MALLOC-STATS answer', () => {
    const node = new SingleNode();
    node.session.protocol = 3;
    node.ask('SET', 'a', 'x');
    const stats = node.ask('MEMORY', 'STATS') as ReadonlyMap<string, number>;
    expect(stats.get('keys.count')).toBe(1);
    expect(stats.get('total.allocated')).toBeGreaterThan(65_536);
    expect(node.ask('MEMORY', 'DOCTOR')).toMatch(/^No problem|hold no record/);
    expect(node.ask('MEMORY', 'PURGE')).toBe('OK');
    expect(node.ask('MEMORY', 'MALLOC-STATS')).toMatch(/^Stats not supported/);
  });
});
