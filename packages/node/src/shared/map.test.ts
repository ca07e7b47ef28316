import { describe, expect, test } from 'vitest';
import {
  addressOf,
  type ClusterMap,
  copiesOf,
  copiesOn,
  holdsCopy,
  isUp,
  ledBy,
  nodeOf,
  parseClusterMap,
  whoLeads,
} from './map.ts';
import { plainEntry, plainMap, plainNode } from './map.fixture.ts';

const map = plainMap({
  version: 7,
  nodes: [plainNode('a'), plainNode('b', { state: 'down' })],
  placement: [
    plainEntry('a', ['b']),
    plainEntry('b', [], { epoch: 4 }),
    plainEntry(null, ['a'], { epoch: 2, lost: true }),
  ],
  operations: { a: 'x' },
});

describe('cluster map', () => {
  test('answers who leads, who holds and who is up', () => {
    expect([0, 1, 2].map((partition) => whoLeads(map, partition))).toEqual(['a', 'b', null]);
    expect(map.placement.map(copiesOf)).toEqual([['a', 'b'], ['b'], ['a']]);
    expect(copiesOn(map, 'a')).toEqual([0, 2]);
    expect(ledBy(map, 'b')).toEqual([1]);
    expect(holdsCopy(map.placement[0], 'b')).toBe(true);
    expect([isUp(map, 'a'), isUp(map, 'b'), isUp(map, 'c')]).toEqual([true, false, false]);
    expect(nodeOf(map, 'c')).toBe(null);
  });

  test('addresses put IPv6 hosts in brackets', () => {
    expect(addressOf(plainNode('a'), 'client')).toBe('127.0.0.1:7401');
    expect(addressOf(plainNode('a', { advertise: '::1' }), 'follower')).toBe('[::1]:7901');
  });

  test('a sound map survives JSON', () => {
    expect(parseClusterMap(JSON.parse(JSON.stringify(map)))).toEqual(map);
  });

  test.each<[string, Partial<ClusterMap>]>([
    ['one entry per partition', { partitions: 4 }],
    ['node ids are unique', { nodes: [plainNode('a'), plainNode('b'), plainNode('b')] }],
    [
      'on different nodes',
      { placement: map.placement.with(1, { ...map.placement[1], followers: ['b'] }) },
    ],
    [
      'nodes that the map lists',
      { placement: map.placement.with(1, { ...map.placement[1], followers: ['c'] }) },
    ],
    ['version', { version: -1 }],
    ['Invalid', { nodes: [plainNode('not an id')] }],
  ])('a map that breaks a rule is refused: %s', (rule, change) => {
    expect(() => parseClusterMap({ ...map, ...change })).toThrow(rule);
  });
});
