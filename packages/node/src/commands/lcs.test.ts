/** Replies are those of redis-server 7.0. */
import { beforeEach, describe, expect, it } from 'vitest';
import { SingleNode } from './single-node.fixture.ts';

let node: SingleNode;
beforeEach(() => {
  node = new SingleNode();
  node.ask('MSET', 'a', 'ohmytext', 'b', 'mynewtext');
});

const ask = (command: string) => node.ask(...command.split(' '));

describe('LCS', () => {
  it('returns the subsequence, its length, or where it lies', () => {
    expect(ask('LCS a b')).toBe('mytext');
    expect(ask('LCS a b LEN')).toBe(6);
    const [last, first] = [
      [
        [4, 7],
        [5, 8],
      ],
      [
        [2, 3],
        [0, 1],
      ],
    ];
    expect(ask('LCS a b IDX')).toEqual(['matches', [last, first], 'len', 6]);
    expect(ask('LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN')).toEqual([
      'matches',
      [[...last, 4]],
      'len',
      6,
    ]);
    expect(ask('lcs a b withmatchlen minmatchlen -3')).toBe('mytext');
  });

  it('an absent key is an empty value', () => {
    expect(ask('LCS a none')).toBe('');
    expect(ask('LCS none none LEN')).toBe(0);
    expect(ask('LCS a none IDX')).toEqual(['matches', [], 'len', 0]);
  });

  it('is a map in RESP3', () => {
    node.session.protocol = 3;
    expect((ask('LCS a b IDX') as ReadonlyMap<string, number>).get('len')).toBe(6);
  });

  it('refuses words that make no sense, and values that would hold everybody up', () => {
    expect(ask('LCS a b zz')).toEqual({ error: 'ERR syntax error' });
    expect(ask('LCS a b MINMATCHLEN')).toEqual({ error: 'ERR syntax error' });
    expect(ask('LCS a b MINMATCHLEN x')).toEqual({
      error: 'ERR value is not an integer or out of range',
    });
    expect(ask('LCS a b IDX LEN')).toEqual({
      error: 'ERR If you want both the length and indexes, please just use IDX.',
    });
    node.ask('SET', 'long', 'x'.repeat(2_047));
    expect(ask('LCS long long LEN')).toBe(2_047);
    node.ask('APPEND', 'long', 'x');
    expect(ask('LCS long long LEN')).toEqual({
      error: expect.stringMatching(/^ERR Insufficient memory, transient memory for LCS exceeds/),
    });
  });
});
