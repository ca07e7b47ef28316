import { beforeEach, describe, expect, it } from 'vitest';
import { SingleNode } from './single-node.fixture.ts';

const MAX = 2n ** 63n - 1n;
const MIN = -(2n ** 63n);
const notAnInteger = { error: 'ERR value is not an integer or out of range' };
const wouldOverflow = { error: 'ERR increment or decrement would overflow' };

describe('INCR and its kin', () => {
  let node: SingleNode;
  beforeEach(() => {
    node = new SingleNode();
  });

  it('an absent key counts from 0', () => {
    expect(node.ask('INCR', 'a')).toBe(1);
    expect(node.ask('DECR', 'b')).toBe(-1);
    expect(node.ask('INCRBY', 'c', '40')).toBe(40);
    expect(node.ask('DECRBY', 'c', '50')).toBe(-10);
    expect(node.ask('GET', 'c')).toBe('-10');
  });

  it('counts exactly between 2^53 and 2^63', () => {
    node.ask('SET', 'a', '9007199254740991');
    expect(node.ask('INCR', 'a')).toBe(9_007_199_254_740_992n);
    expect(node.ask('INCR', 'a')).toBe(9_007_199_254_740_993n);
    expect(node.ask('GET', 'a')).toBe('9007199254740993');
    expect(node.ask('DECRBY', 'a', '9007199254740993')).toBe(0);
  });

  it('refuses to pass either end of 64 bits and changes nothing', () => {
    node.ask('SET', 'max', MAX.toString());
    expect(node.ask('INCR', 'max')).toEqual(wouldOverflow);
    expect(node.ask('DECR', 'max')).toBe(MAX - 1n);
    node.ask('SET', 'min', MIN.toString());
    expect(node.ask('DECR', 'min')).toEqual(wouldOverflow);
    expect(node.ask('INCRBY', 'min', '-1')).toEqual(wouldOverflow);
    expect(node.ask('GET', 'min')).toBe(MIN.toString());
    expect(node.ask('DECRBY', 'a', MIN.toString())).toEqual({
      error: 'ERR decrement would overflow',
    });
  });

  it.each(['abc', ' 1', '1.5', '', '9223372036854775808', '007'])('%j does not count', (value) => {
    node.ask('SET', 'a', value);
    expect(node.ask('INCR', 'a')).toEqual(notAnInteger);
    expect(node.ask('INCRBY', 'b', value)).toEqual(notAnInteger);
    expect(node.ask('GET', 'a')).toBe(value);
  });

  it('keeps the expiry', () => {
    node.ask('SET', 'a', '1', 'EX', '100');
    node.ask('INCR', 'a');
    expect(node.ask('TTL', 'a')).toBe(100);
    node.nowMs += 100_000;
    expect(node.ask('INCR', 'a')).toBe(1);
    expect(node.ask('TTL', 'a')).toBe(-1);
  });
});
