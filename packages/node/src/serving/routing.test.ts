import {
  createPartition,
  attachPartition,
  type Partition,
  planGeometry,
  ROLE_FOLLOWER,
} from '@ingot/store';
import { describe, expect, it } from 'vitest';
import { plainEntry, plainMap, plainNode } from '../shared/map.fixture.ts';
import type { ClusterMap } from '../shared/map.ts';
import { type RouteQuestion, route, routeOnSnapshot, type SnapshotQuestion } from './routing.ts';

const ports = { client: 1, replication: 2, control: 3, http: 4, cluster: 7802, follower: 6 };

function mapWith(primary: string | null, state: 'up' | 'down' = 'up'): ClusterMap {
  const place = { advertise: 'host', ports };
  const nodes = [plainNode('me', place), plainNode('other', { ...place, state })];
  return plainMap({ nodes, placement: [plainEntry(primary)] });
}

function partitionThat(prepare: (partition: Partition) => void): Partition {
  const geometry = planGeometry({ partitions: 1, capacityBytes: 8 * 2 ** 20 });
  const partition = attachPartition(createPartition(geometry, 0));
  prepare(partition);
  return partition;
}

const led = partitionThat((p) => p.promote(1, 1));
const sealed = partitionThat((p) => {
  p.promote(1, 1);
  p.seal(true);
});
const copy = partitionThat((p) => {
  p.promote(1, 1);
  p.setRole(ROLE_FOLLOWER, 1);
});
const emptyCopy = partitionThat((p) => p.setRole(ROLE_FOLLOWER, 1));

function ask(question: Partial<RouteQuestion>): ReturnType<typeof route> {
  return route({
    map: mapWith('other'),
    nodeId: 'me',
    partition: null,
    partitionId: 0,
    slot: 42,
    hasLease: true,
    listener: 'client',
    copyWillDo: false,
    isFresh: true,
    ...question,
  });
}

describe('routing', () => {
  it('the role word decides before the map does', () => {
    expect(ask({ partition: led, map: mapWith('other') }).to).toBe('here');
  });

  it('without a lease what is led here parks, and copies are read', () => {
    expect(ask({ partition: led, hasLease: false, map: mapWith('me') }).to).toBe('park');
    expect(ask({ partition: led, hasLease: false, map: mapWith('other') }).to).toBe('park');
    expect(ask({ partition: copy, hasLease: false, copyWillDo: true }).to).toBe('copy');
    expect(ask({ hasLease: false }).to).toBe('peer');
  });

  it('a sealed partition parks, whatever the map says', () => {
    expect(ask({ partition: sealed, map: mapWith('me') }).to).toBe('park');
    expect(ask({ partition: sealed, map: mapWith('other') }).to).toBe('park');
  });

  it('named by the map before the role word says so: parks', () => {
    expect(ask({ partition: copy, map: mapWith('me') }).to).toBe('park');
    expect(ask({ partition: null, map: mapWith('me') }).to).toBe('park');
  });

  it('the client port forwards to the owner', () => {
    expect(ask({})).toMatchObject({ to: 'peer', node: { id: 'other' } });
  });

  it('the cluster and follower ports redirect to the owner, slot and cluster port named', () => {
    const moved = { to: 'refuse', text: 'MOVED 42 host:7802' };
    expect(ask({ listener: 'cluster' })).toEqual(moved);
    expect(ask({ listener: 'follower', partition: copy })).toEqual(moved);
  });

  it('a READONLY read is answered from a consistent copy and from no other', () => {
    const question = { listener: 'follower', copyWillDo: true } as const;
    expect(ask({ ...question, partition: copy }).to).toBe('copy');
    expect(ask({ ...question, partition: emptyCopy }).to).toBe('refuse');
  });

  it('an owner that is down, or none at all: plain clients wait, others get CLUSTERDOWN', () => {
    expect(ask({ map: mapWith('other', 'down') }).to).toBe('park');
    expect(ask({ map: mapWith(null) }).to).toBe('park');
    for (const listener of ['cluster', 'follower'] as const) {
      for (const map of [mapWith('other', 'down'), mapWith(null)]) {
        const answer = ask({ listener, map });
        expect(answer).toMatchObject({ to: 'refuse' });
        expect(answer.to === 'refuse' && answer.text.startsWith('CLUSTERDOWN ')).toBe(true);
      }
    }
  });
});

describe('a node that takes snapshots', () => {
  const asked = (question: Partial<SnapshotQuestion>): string => {
    const place = { partitionId: 0, slot: 7, listener: 'client' as const };
    const to = routeOnSnapshot({
      ...{ map: mapWith('other'), ...place, read: true, isReadable: true },
      ...question,
    });
    return to.to === 'refuse' ? to.text.split(':')[0] : to.to;
  };

  it('answers reads from what it has, on every port', () => {
    expect(asked({})).toBe('copy');
    expect(asked({ listener: 'cluster' })).toBe('copy');
    expect(asked({ listener: 'follower' })).toBe('copy');
    expect(asked({ map: mapWith(null) })).toBe('copy');
  });

  it('sends no write on: READONLY for plain clients, MOVED for those of a cluster', () => {
    expect(asked({ read: false })).toMatch(/^READONLY/);
    expect(asked({ read: false, listener: 'cluster' })).toBe('MOVED 7 host');
    expect(asked({ read: false, listener: 'cluster', map: mapWith(null) })).toMatch(/^CLUSTERDOWN/);
  });

  it('says that it is loading before the first round of a partition has ended', () => {
    expect(asked({ isReadable: false })).toMatch(/^LOADING/);
    expect(asked({ isReadable: false, listener: 'follower' })).toBe('MOVED 7 host');
  });
});
