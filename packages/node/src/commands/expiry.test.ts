import { beforeEach, describe, expect, it } from 'vitest';
import { SingleNode, START_MS } from './single-node.fixture.ts';

let node: SingleNode;
beforeEach(() => {
  node = new SingleNode();
  node.ask('SET', 'a', '1');
});

const notAlone = { error: 'ERR NX and XX, GT or LT options at the same time are not compatible' };

describe('EXPIRE in its four spellings', () => {
  it.each([
    ['EXPIRE', '100', START_MS + 100_000],
    ['PEXPIRE', '100', START_MS + 100],
    ['EXPIREAT', '1800000000', 1_800_000_000_000],
    ['PEXPIREAT', '1800000000123', 1_800_000_000_123],
  ])('%s %s sets an absolute time', (name, time, expected) => {
    expect(node.ask(name, 'a', time)).toBe(1);
    expect(node.ask('PEXPIRETIME', 'a')).toBe(expected);
    expect(node.ask(name, 'absent', time)).toBe(0);
  });

  it.each([
    ['EXPIRE', '0'],
    ['EXPIRE', '-1'],
    ['PEXPIRE', '-5'],
    ['EXPIREAT', '0'],
    ['EXPIREAT', '1'],
    ['PEXPIREAT', '-1'],
  ])('%s %s is past: it deletes the key and replies 1', (name, time) => {
    expect(node.ask(name, 'a', time)).toBe(1);
    expect(node.ask('EXISTS', 'a')).toBe(0);
    expect(node.ask('DBSIZE')).toBe(0);
  });

  it('refuses what is no time, or a time beyond 64 bits of ms', () => {
    const outOfRange = { error: 'ERR value is not an integer or out of range' };
    const invalid = (name: string) => ({ error: `ERR invalid expire time in '${name}' command` });
    expect(node.ask('EXPIRE', 'a', 'x')).toEqual(outOfRange);
    expect(node.ask('EXPIRE', 'a', '1.5')).toEqual(outOfRange);
    expect(node.ask('EXPIRE', 'a', '9223372036854775808')).toEqual(outOfRange);
    expect(node.ask('EXPIRE', 'a', '9223372036854775807')).toEqual(invalid('expire'));
    expect(node.ask('PEXPIRE', 'a', '9223372036854775807')).toEqual(invalid('pexpire'));
    expect(node.ask('EXPIRE', 'a', '-9223372036854775807')).toEqual(invalid('expire'));
    expect(node.ask('TTL', 'a')).toBe(-1);
    expect(node.ask('EXPIREAT', 'a', '9223372036854775')).toBe(1);
    expect(node.ask('PEXPIREAT', 'a', '9223372036854775807')).toBe(1);
    expect(node.ask('PEXPIRETIME', 'a')).toBe(2n ** 63n - 1024n);
  });
});

describe('conditions of EXPIRE', () => {
  it('NX passes where there is no expiry, XX where there is one', () => {
    expect(node.ask('EXPIRE', 'a', '100', 'XX')).toBe(0);
    expect(node.ask('EXPIRE', 'a', '100', 'NX')).toBe(1);
    expect(node.ask('EXPIRE', 'a', '200', 'nx')).toBe(0);
    expect(node.ask('EXPIRE', 'a', '300', 'XX')).toBe(1);
    expect(node.ask('TTL', 'a')).toBe(300);
  });

  it('a key without expiry counts as living for ever: GT never passes, LT always', () => {
    expect(node.ask('EXPIRE', 'a', '100', 'GT')).toBe(0);
    expect(node.ask('EXPIRE', 'a', '100', 'LT')).toBe(1);
    expect(node.ask('EXPIRE', 'a', '100', 'GT')).toBe(0);
    expect(node.ask('EXPIRE', 'a', '100', 'LT')).toBe(0);
    expect(node.ask('EXPIRE', 'a', '101', 'GT')).toBe(1);
    expect(node.ask('EXPIRE', 'a', '50', 'LT')).toBe(1);
    expect(node.ask('TTL', 'a')).toBe(50);
  });

  it('XX stands together with GT and LT', () => {
    expect(node.ask('EXPIRE', 'a', '100', 'XX', 'LT')).toBe(0);
    node.ask('EXPIRE', 'a', '100');
    expect(node.ask('EXPIRE', 'a', '50', 'XX', 'LT')).toBe(1);
    expect(node.ask('EXPIRE', 'a', '60', 'GT', 'XX')).toBe(1);
  });

  it('a past time deletes only where its condition holds', () => {
    expect(node.ask('EXPIRE', 'a', '-1', 'XX')).toBe(0);
    expect(node.ask('EXISTS', 'a')).toBe(1);
    expect(node.ask('EXPIRE', 'a', '-1', 'LT')).toBe(1);
    expect(node.ask('EXISTS', 'a')).toBe(0);
  });

  it('contradictions and unknown words are errors, before the key is looked at', () => {
    expect(node.ask('EXPIRE', 'x', '1', 'NX', 'XX')).toEqual(notAlone);
    expect(node.ask('EXPIRE', 'x', '1', 'GT', 'NX')).toEqual(notAlone);
    expect(node.ask('EXPIRE', 'x', '1', 'GT', 'LT')).toEqual({
      error: 'ERR GT and LT options at the same time are not compatible',
    });
    expect(node.ask('EXPIRE', 'x', '1', 'YX')).toEqual({ error: 'ERR Unsupported option YX' });
  });
});

describe('TTL and kin', () => {
  it.each(['TTL', 'PTTL', 'EXPIRETIME', 'PEXPIRETIME'])(
    '%s is -2 without the key and -1 without an expiry',
    (name) => {
      expect(node.ask(name, 'absent')).toBe(-2);
      expect(node.ask(name, 'a')).toBe(-1);
    },
  );

  it('seconds are rounded to the nearest', () => {
    node.ask('PEXPIREAT', 'a', String(START_MS + 1_499));
    expect(node.ask('TTL', 'a')).toBe(1);
    expect(node.ask('EXPIRETIME', 'a')).toBe(START_MS / 1000 + 1);
    node.ask('PEXPIREAT', 'a', String(START_MS + 1_500));
    expect(node.ask('TTL', 'a')).toBe(2);
    expect(node.ask('PTTL', 'a')).toBe(1_500);
    expect(node.ask('EXPIRETIME', 'a')).toBe(START_MS / 1000 + 2);
  });

  it('time passes: the key lives to its last millisecond', () => {
    node.ask('PEXPIRE', 'a', '1000');
    node.nowMs += 999;
    expect(node.ask('PTTL', 'a')).toBe(1);
    expect(node.ask('TYPE', 'a')).toBe('string');
    node.nowMs += 1;
    expect(node.ask('PTTL', 'a')).toBe(-2);
    expect(node.ask('TYPE', 'a')).toBe('none');
    expect(node.ask('PERSIST', 'a')).toBe(0);
  });

  it('PERSIST removes an expiry and replies whether there was one', () => {
    expect(node.ask('PERSIST', 'a')).toBe(0);
    node.ask('EXPIRE', 'a', '100');
    expect(node.ask('PERSIST', 'a')).toBe(1);
    expect(node.ask('TTL', 'a')).toBe(-1);
    expect(node.ask('PERSIST', 'absent')).toBe(0);
  });
});
