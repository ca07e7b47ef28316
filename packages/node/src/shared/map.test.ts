import { describe, expect, test } from 'vitest';
import {
  addressOf,
  type ClusterMap,
  copiesOf,
  copiesOn,
  holdsCopy,
  isUp,
  ledBy,
  type MapNode,
  nodeOf,
  parseClusterMap,
  whoLeads,
} from './map.ts';

const ports = { client: 1, replication: 2, control: 3, http: 4, cluster: 5, follower: 6 };
const node = (id: string, state: MapNode['state'] = 'up'): MapNode => ({
  id,
  incarnation: 1,
  state,
  fencedThrough: 0,
  acceptor: 'a1',
  witness: false,
  advertise: '127.0.0.1',
  ports,
});
const map: ClusterMap = {
  version: 7,
  clusterId: 'c',
  acceptors: { current: [{ id: 'a1', node: 'n1' }], next: null },
  partitions: 3,
  copies: 2,
  capacityBytes: 1,
  capacityMaxBytes: 1,
  valueMaxBytes: 1,
  eviction: 'sieve',
  minIsr: 1,
  uncleanFailover: true,
  nodes: [node('a'), node('b', 'down')],
  wishes: { leaving: [], stopping: [], pins: [] },
  placement: [
    { epoch: 1, primary: 'a', followers: ['b'], lost: false, inSync: [], lossy: false },
    { epoch: 4, primary: 'b', followers: [], lost: false, inSync: [], lossy: false },
    { epoch: 2, primary: null, followers: ['a'], lost: true, inSync: [], lossy: false },
  ],
  operations: { a: 'x' },
};

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
    expect(addressOf(node('a'), 'client')).toBe('127.0.0.1:1');
    expect(addressOf({ ...node('a'), advertise: '::1' }, 'follower')).toBe('[::1]:6');
  });

  test('a sound map survives JSON', () => {
    expect(parseClusterMap(JSON.parse(JSON.stringify(map)))).toEqual(map);
  });

  test.each<[string, Partial<ClusterMap>]>([
    ['one entry per partition', { partitions: 4 }],
    ['node ids are unique', { nodes: [node('a'), node('b'), node('b')] }],
    [
      'on different nodes',
      { placement: map.placement.with(1, { ...map.placement[1], followers: ['b'] }) },
    ],
    [
      'nodes that the map lists',
      { placement: map.placement.with(1, { ...map.placement[1], followers: ['c'] }) },
    ],
    ['version', { version: -1 }],
    ['Invalid', { nodes: [node('not an id')] }],
  ])('a map that breaks a rule is refused: %s', (rule, change) => {
    expect(() => parseClusterMap({ ...map, ...change })).toThrow(rule);
  });
});
