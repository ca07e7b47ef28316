import { describe, expect, test } from 'vitest';
import { firstPorts, plainEntry, plainMap, plainNode } from '../shared/map.fixture.ts';
import { type JoinRequest, newLife } from './registration.ts';

const map = plainMap({ nodes: [plainNode('n1')], placement: [plainEntry('n1')] });

function request(id: string, observer: boolean): JoinRequest {
  return {
    ...{ id, observer, advertise: '127.0.0.1', ports: firstPorts, clusterId: '', witness: false },
    ...{ lastIncarnation: 0, acceptor: `a-${id}`, memoryOf: 0, memoryIn: [] },
    ...{ started: true, joinId: 'x' },
  };
}

describe('registration of observers', () => {
  test('a node that only follows enters the map as an observer', () => {
    expect(newLife(map, request('edge', true), false)).toMatchObject({
      id: 'edge',
      observer: true,
    });
    expect(newLife(map, request('n2', false), false)).toMatchObject({ id: 'n2', observer: false });
  });

  test('a node that holds copies does not become one', () => {
    expect(() => newLife(map, request('n1', true), false)).toThrow(/n1 holds copies/);
  });
});
