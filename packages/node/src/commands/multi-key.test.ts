import { beforeEach, describe, expect, it } from 'vitest';
import { SingleNode } from './single-node.fixture.ts';

let node: SingleNode;
beforeEach(() => {
  node = new SingleNode();
  node.ask('MSET', 'a', '1', 'b', '2', 'c', '3');
});

describe('commands over several keys', () => {
  it('MGET answers in the order of the keys, nil for absent ones', () => {
    expect(node.ask('MGET', 'c', 'x', 'a', 'a')).toEqual(['3', null, '1', '1']);
  });

  it('MSET of a key twice keeps the last value and drops expiries', () => {
    node.ask('EXPIRE', 'a', '100');
    expect(node.ask('MSET', 'a', '7', 'a', '8')).toBe('OK');
    expect(node.ask('GET', 'a')).toBe('8');
    expect(node.ask('TTL', 'a')).toBe(-1);
  });

  it('MSET without a value for its last key is a wrong number of arguments', () => {
    const wrong = { error: "ERR wrong number of arguments for 'mset' command" };
    expect(node.ask('MSET', 'a', '7', 'b')).toEqual(wrong);
    expect(node.ask('MSET', 'a')).toEqual(wrong);
    expect(node.ask('GET', 'a')).toBe('1');
  });

  it('MSETNX sets all, or none where one is there', () => {
    expect(node.ask('MSETNX', 'x', '7', 'a', '8')).toBe(0);
    expect(node.ask('MGET', 'x', 'a')).toEqual([null, '1']);
    expect(node.ask('MSETNX', 'x', '7', 'y', '8', 'x', '9')).toBe(1);
    expect(node.ask('MGET', 'x', 'y')).toEqual(['9', '8']);
    const wrong = { error: "ERR wrong number of arguments for 'msetnx' command" };
    expect(node.ask('MSETNX', 'z', '7', 'b')).toEqual(wrong);
  });

  it('MSETNX that is refused in the middle leaves nothing behind', () => {
    const small = new SingleNode({ eviction: 'noeviction' });
    const value = 'x'.repeat(60_000);
    const pairs = Array.from({ length: 200 }, (_, i) => [`key${i}`, value]).flat();
    expect(small.ask('MSETNX', ...pairs)).toEqual({ error: expect.stringMatching(/^OOM /) });
    expect(small.ask('DBSIZE')).toBe(0);
  });

  it.each(['DEL', 'UNLINK'])('%s counts what it removed, a key named twice once', (name) => {
    expect(node.ask(name, 'a', 'x', 'b', 'a')).toBe(2);
    expect(node.ask('MGET', 'a', 'b', 'c')).toEqual([null, null, '3']);
  });

  it.each(['EXISTS', 'TOUCH'])('%s counts what is there, a key named twice twice', (name) => {
    expect(node.ask(name, 'a', 'x', 'b', 'a')).toBe(3);
  });

  it('keys past their time are absent to all of them', () => {
    node.ask('PEXPIRE', 'a', '10');
    node.nowMs += 10;
    expect(node.ask('MGET', 'a', 'b')).toEqual([null, '2']);
    expect(node.ask('EXISTS', 'a', 'b')).toBe(1);
    expect(node.ask('DEL', 'a', 'b')).toBe(1);
  });
});
