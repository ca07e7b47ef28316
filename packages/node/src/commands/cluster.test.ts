import { describe, expect, it } from 'vitest';
import type { ClusterMap, MapNode } from '../shared/map.ts';
import { slotMapOf, redisNodeId } from './slot-map.ts';
import { mapOfOne, SingleNode } from './single-node.fixture.ts';

function mapNode(i: number, state: MapNode['state'] = 'up'): MapNode {
  const port = (base: number): number => base + i;
  return {
    id: `n${i}`,
    incarnation: i,
    state,
    fencedThrough: 0,
    joinId: '',
    acceptor: 'a1',
    witness: false,
    observer: false,
    advertise: `10.0.0.${i}`,
    ports: {
      client: port(7400),
      replication: port(7500),
      control: port(7600),
      http: port(7700),
      cluster: port(7800),
      follower: port(7900),
    },
  };
}

/** Eight partitions of 2,048 slots; each row is primary, then followers. */
function mapOf(copies: (string | null)[][], nodes: MapNode[]): ClusterMap {
  const placement = copies.map(([primary, ...followers]) => ({
    epoch: 3,
    primary,
    followers: followers as string[],
    lost: false,
    // Every node's life has its number.
    inSync: [primary, ...followers].flatMap((node) =>
      node === null ? [] : [{ node, incarnation: Number(node.slice(1)) }],
    ),
    lossy: false,
  }));
  return { ...mapOfOne(8, 8 * 2 ** 23, 'sieve'), nodes, placement };
}

function times(count: number, copies: string[]): string[][] {
  return Array.from({ length: count }, () => copies);
}

const THREE = [mapNode(1), mapNode(2), mapNode(3)];
const map = mapOf(
  [
    ['n1', 'n2'],
    ['n1', 'n2'],
    ['n1', 'n3'],
    ['n2', 'n3'],
    ['n2', 'n3'],
    ['n3', 'n1'],
    ['n3', 'n1'],
    ['n1', 'n2'],
  ],
  THREE,
);

function nodeOn(clusterMap: ClusterMap): SingleNode {
  return new SingleNode({ partitions: 8, map: clusterMap, listener: 'cluster' });
}

const idOf = (nodeId: string): string => redisNodeId(map, nodeId);

describe('CLUSTER SLOTS', () => {
  it('merges neighbours; primaries at cluster ports, followers at follower ports', () => {
    const at = (i: number, port: number) => [`10.0.0.${i}`, port, idOf(`n${i}`), []];
    expect(nodeOn(map).ask('CLUSTER', 'SLOTS')).toEqual([
      [0, 4095, at(1, 7801), at(2, 7902)],
      [4096, 6143, at(1, 7801), at(3, 7903)],
      [6144, 10239, at(2, 7802), at(3, 7903)],
      [10240, 14335, at(3, 7803), at(1, 7901)],
      [14336, 16383, at(1, 7801), at(2, 7902)],
    ]);
  });

  it('leaves out followers that are down or not in sync, and partitions that nobody leads', () => {
    const broken = notInSync(
      mapOf(
        [['n1', 'n2'], ['n1', 'n3'], [null], ['n1', 'n2'], ...times(4, ['n1', 'n3'])],
        [mapNode(1), mapNode(2), mapNode(3, 'down')],
      ),
      3,
    );
    const ranges = (nodeOn(broken).ask('CLUSTER', 'SLOTS') as unknown[][]).map((entry) => [
      entry[0],
      entry[1],
      entry.length - 2,
    ]);
    expect(ranges).toEqual([
      [0, 2047, 2],
      [2048, 4095, 1],
      [6144, 16383, 1],
    ]);
  });
});

/** Only the primary of this partition is in sync. */
function notInSync(clusterMap: ClusterMap, partition: number): ClusterMap {
  const placement = clusterMap.placement.map((entry, id) =>
    id === partition ? { ...entry, inSync: entry.inSync.slice(0, 1) } : entry,
  );
  return { ...clusterMap, placement };
}

describe('CLUSTER SHARDS', () => {
  it('lists every copy with its health, those of partitions that nobody leads, too', () => {
    const broken = notInSync(
      mapOf(
        [['n1', 'n2'], ['n1', 'n2'], ['n1', 'n3'], [null, 'n2', 'n3'], ...times(4, ['n1'])],
        [mapNode(1), mapNode(2), mapNode(3, 'down')],
      ),
      1,
    );
    const node = nodeOn(broken);
    node.session.protocol = 3;
    const shards = node.ask('CLUSTER', 'SHARDS') as Map<string, Map<string, string>[]>[];
    const told = shards.map((shard) => [
      shard.get('slots'),
      shard
        .get('nodes')
        ?.map((each) => `${each.get('port')} ${each.get('role')} ${each.get('health')}`),
    ]);
    expect(told).toEqual([
      [
        [0, 2047],
        ['7801 master online', '7902 replica online'],
      ],
      [
        [2048, 4095],
        ['7801 master online', '7902 replica loading'],
      ],
      [
        [4096, 6143],
        ['7801 master online', '7903 replica fail'],
      ],
      [
        [6144, 8191],
        ['7902 replica online', '7903 replica fail'],
      ],
      [[8192, 16383], ['7801 master online']],
    ]);
  });

  it('groups the ranges that have the same copies', () => {
    const node = nodeOn(map);
    node.session.protocol = 3;
    const shards = node.ask('CLUSTER', 'SHARDS') as Map<string, unknown>[];
    expect(shards.map((shard) => shard.get('slots'))).toEqual([
      [0, 4095, 14336, 16383],
      [4096, 6143],
      [6144, 10239],
      [10240, 14335],
    ]);
    expect(shards[0].get('nodes')).toEqual([
      new Map<string, unknown>([
        ['id', idOf('n1')],
        ['port', 7801],
        ['ip', '10.0.0.1'],
        ['endpoint', '10.0.0.1'],
        ['role', 'master'],
        ['replication-offset', 0],
        ['health', 'online'],
      ]),
      expect.any(Map),
    ]);
  });
});

describe('CLUSTER NODES', () => {
  it('lists each node once, as a master at its cluster port, with all its ranges', () => {
    expect(nodeOn(map).ask('CLUSTER', 'NODES')).toBe(
      `${idOf('n1')} 10.0.0.1:7801@7601 myself,master - 0 0 1 connected 0-6143 14336-16383\n` +
        `${idOf('n2')} 10.0.0.2:7802@7602 master - 0 0 2 connected 6144-10239\n` +
        `${idOf('n3')} 10.0.0.3:7803@7603 master - 0 0 3 connected 10240-14335\n`,
    );
  });

  it('marks nodes that are down', () => {
    const down = mapOf(
      map.placement.map(() => ['n1']),
      [mapNode(1), mapNode(2, 'down')],
    );
    expect(nodeOn(down).ask('CLUSTER', 'NODES')).toMatch(
      /10\.0\.0\.2:7802@7602 master,fail - 0 0 2 disconnected\n$/,
    );
  });

  it('node ids are 40 hex digits, the same on every node, different between clusters', () => {
    expect(idOf('n1')).toMatch(/^[0-9a-f]{40}$/);
    expect(redisNodeId({ ...map, clusterId: 'other' }, 'n1')).not.toBe(idOf('n1'));
    expect(nodeOn(map).ask('CLUSTER', 'MYID')).toBe(idOf('n1'));
  });
});

describe('CLUSTER INFO', () => {
  it('is ok while every slot has a primary that is up', () => {
    const info = nodeOn(map).ask('CLUSTER', 'INFO');
    expect(info).toContain('cluster_state:ok\r\n');
    expect(info).toContain('cluster_slots_assigned:16384\r\n');
    expect(info).toContain('cluster_known_nodes:3\r\ncluster_size:3\r\ncluster_current_epoch:3');
  });

  it('is fail when the primary of some slots is down', () => {
    const down = { ...map, nodes: [mapNode(1), mapNode(2, 'down'), mapNode(3)] };
    const info = nodeOn(down).ask('CLUSTER', 'INFO');
    expect(info).toContain('cluster_state:fail\r\n');
    expect(info).toContain('cluster_slots_ok:12288\r\n');
    expect(info).toContain('cluster_slots_fail:4096\r\n');
  });

  it('is fail while nobody leads some slots', () => {
    const info = nodeOn(mapOf([[null, 'n2'], ...times(7, ['n1'])], THREE)).ask('CLUSTER', 'INFO');
    expect(info).toContain('cluster_state:fail\r\ncluster_slots_assigned:16384\r\n');
    expect(info).toContain('cluster_slots_ok:14336\r\n');
    expect(info).toContain('cluster_slots_fail:2048\r\n');
  });

  it('is fail on a node that is cut off: others may serve by now what it led', () => {
    const node = new SingleNode({ partitions: 8, map, hasLease: false });
    const info = node.ask('CLUSTER', 'INFO');
    expect(info).toContain('cluster_state:fail\r\n');
    expect(info).toContain('cluster_slots_ok:8192\r\ncluster_slots_pfail:8192\r\n');
  });
});

describe('slots of keys', () => {
  it('KEYSLOT follows the tag rule', () => {
    const node = nodeOn(map);
    expect(node.ask('CLUSTER', 'KEYSLOT', '123456789')).toBe(12_739);
    expect(node.ask('CLUSTER', 'KEYSLOT', 'a{user1}b')).toBe(
      node.ask('CLUSTER', 'KEYSLOT', 'user1') as number,
    );
  });

  it('COUNTKEYSINSLOT counts live keys of that slot alone, GETKEYSINSLOT names them', () => {
    const node = nodeOn(map);
    for (let i = 0; i < 50; i++) node.ask('SET', `{tag}${i}`, 'v');
    for (let i = 0; i < 50; i++) node.ask('SET', `k${i}`, 'v');
    node.ask('SET', '{tag}gone', 'v', 'PX', '1');
    node.nowMs += 1;
    const slot = (node.ask('CLUSTER', 'KEYSLOT', 'tag') as number).toString();
    expect(node.ask('CLUSTER', 'COUNTKEYSINSLOT', slot)).toBe(50);
    const some = node.ask('CLUSTER', 'GETKEYSINSLOT', slot, '7') as string[];
    expect(new Set(some).size).toBe(7);
    expect(node.ask('CLUSTER', 'GETKEYSINSLOT', slot, '1000')).toHaveLength(50);
    expect(node.ask('CLUSTER', 'GETKEYSINSLOT', slot, '-1')).toEqual({
      error: 'ERR Invalid slot or number of keys',
    });
    expect(node.ask('CLUSTER', 'COUNTKEYSINSLOT', '16384')).toEqual({ error: 'ERR Invalid slot' });
    expect(node.ask('CLUSTER', 'COUNTKEYSINSLOT', 'x')).toEqual({ error: 'ERR Invalid slot' });
  });

  it('a map is read once, whoever asks', () => {
    expect(slotMapOf(map)).toBe(slotMapOf(map));
  });
});
