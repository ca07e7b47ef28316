import { describe, expect, test } from 'vitest';
import type { AcceptorRef, AcceptorSet } from '../shared/map.ts';
import { brokenSetChange, hasQuorum, isSameSet, membersOf } from './acceptor-set.ts';

const refs = (names: string): AcceptorRef[] => Array.from(names, (id) => ({ id, node: `n-${id}` }));

/** `abc` or, joint, `abc>cd`. */
function setOf(text: string): AcceptorSet {
  const [current, next] = text.split('>');
  return { current: refs(current), next: next === undefined ? null : refs(next) };
}

describe('acceptor set', () => {
  test.each([
    ['a', 'a', true],
    ['a', '', false],
    ['ab', 'a', false],
    ['abc', 'ab', true],
    ['abc', 'c', false],
    ['abcd', 'ab', false],
    ['abcde', 'ace', true],
    ['abcde', 'ac', false],
    ['a>abc', 'ab', true],
    ['a>abc', 'bc', false],
    ['a>abc', 'a', false],
    ['abc>def', 'abde', true],
    ['abc>def', 'abcd', false],
    ['abc>cde', 'bcd', true],
    ['abc>cde', 'abd', false],
  ])('of %s, is %s a quorum: %s', (set, ids, enough) => {
    expect(hasQuorum(setOf(set), new Set(ids))).toBe(enough);
  });

  test('a joint set has each member once', () => {
    expect(membersOf(setOf('abc>cde')).map(({ id }) => id)).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  test('a set is what it names, in whatever order', () => {
    expect(isSameSet(setOf('abc'), setOf('cab'))).toBe(true);
    expect(isSameSet(setOf('abc'), setOf('abd'))).toBe(false);
    expect(isSameSet(setOf('a>abc'), setOf('abc'))).toBe(false);
    expect(isSameSet(setOf('a>b'), setOf('b>a'))).toBe(false);
  });

  test.each([
    ['abc', 'abc', true],
    ['abc', 'abc>cde', true],
    ['abc>cde', 'cde', true],
    ['abc>cde', 'abc>cde', true],
    ['abc', 'cde', false],
    ['abc', 'cde>abc', false],
    ['abc>cde', 'abc', false],
    ['abc>cde', 'abc>def', false],
  ])('from %s to %s: allowed %s', (from, to, allowed) => {
    expect(brokenSetChange(setOf(from), setOf(to)) === null).toBe(allowed);
  });
});
