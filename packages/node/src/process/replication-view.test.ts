import { expect, test } from 'vitest';
import { firstPorts, plainEntry, plainMap, plainNode } from '../shared/map.fixture.ts';
import { replicationView } from './replication-view.ts';

const ports = { ...firstPorts, replication: 7_500 };

const map = plainMap({
  version: 9,
  nodes: [
    plainNode('n1', { incarnation: 4, advertise: 'n1.test', ports }),
    plainNode('n2', { advertise: 'n2.test', ports }),
  ],
  placement: [
    plainEntry('n1', ['n2'], { epoch: 2 }),
    plainEntry('n2', [], { epoch: 3 }),
    plainEntry(null, ['n2'], { epoch: 5 }),
  ],
});

test('replication view: partitions with a copy here, and where their primaries listen', () => {
  const { mapVersion, partitions } = replicationView(map, 'n2');
  expect(mapVersion).toBe(9);
  expect(partitions).toEqual([
    {
      id: 0,
      epoch: 2,
      primary: 'n1',
      followers: ['n2'],
      inSync: [],
      primaryAddress: { host: 'n1.test', port: 7_500 },
    },
    {
      id: 1,
      epoch: 3,
      primary: 'n2',
      followers: [],
      inSync: [],
      primaryAddress: { host: 'n2.test', port: 7_500 },
    },
    { id: 2, epoch: 5, primary: null, followers: ['n2'], inSync: [], primaryAddress: null },
  ]);
});

test('replication view: partitions of others are left out, incarnations are of all nodes', () => {
  const { partitions, incarnations } = replicationView(map, 'n1');
  expect(partitions.map(({ id }) => id)).toEqual([0]);
  expect(incarnations).toEqual({ n1: 4, n2: 1 });
});

test('replication view: an observer is told of all partitions, and everybody of the observers', () => {
  const edge = plainNode('edge', { observer: true });
  const observed = { ...map, nodes: [...map.nodes, edge] };
  expect(replicationView(observed, 'edge').partitions.map(({ id }) => id)).toEqual([0, 1, 2]);
  expect(replicationView(observed, 'n1').partitions.map(({ id }) => id)).toEqual([0]);
  expect(replicationView(observed, 'n1').observers).toEqual(['edge']);
});
