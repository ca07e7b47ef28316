import { describe, expect, test } from 'vitest';
import type { ClusterMap } from '../shared/map.ts';
import { type QueryContext, verifyCluster } from './cluster-queries.ts';
import { withNewLife, withNodeState, withPrimary } from './map-changes.ts';
import { PLAIN_ACCESS } from './peer-credentials.ts';
import { Peers } from './peers.ts';
import { mapFoundedBy } from './simulated-cluster.fixture.ts';
import { SimulatedNode } from './simulated-node.fixture.ts';
import type { VerifyReport } from './types.ts';

const founded = mapFoundedBy('n1', { partitions: 20, copies: 2 });

/** n1 alone answers; `verify` may change the map while it is asked. */
async function verifyAll(
  verify: (partitions: number[], map: { now: ClusterMap }) => VerifyReport,
  first: ClusterMap = founded,
): Promise<{ done: number[]; chunks: number; missed: number[] }> {
  const map = { now: first };
  const node = new SimulatedNode('n1', 1);
  node.verify = async (partitions) => verify(partitions, map);
  const peers = new Peers(founded.clusterId, PLAIN_ACCESS);
  const context: QueryContext = { self: 'n1', node, peers, map: () => map.now };
  const seen = { done: [] as number[], chunks: 0, missed: [] as number[] };
  for await (const { progress, found } of verifyCluster(context)) {
    seen.done.push(progress.partitionsDone);
    seen.chunks += found.chunksChecked;
    seen.missed.push(...found.notChecked.map(({ partition }) => partition));
  }
  peers.close();
  return seen;
}

function allChecked(partitions: number[]): VerifyReport {
  return { chunksChecked: partitions.length, differences: [], notChecked: [] };
}

function noneChecked(partitions: number[]): VerifyReport {
  const why = 'not led here';
  return {
    chunksChecked: 0,
    differences: [],
    notChecked: partitions.map((partition) => ({ partition, node: 'n1', why })),
  };
}

describe('verify: the whole cluster', () => {
  test('goes through the partitions in groups', async () => {
    expect(await verifyAll(allChecked)).toEqual({ done: [8, 16, 20], chunks: 20, missed: [] });
  });

  test('a partition whose primary changed meanwhile is asked for again', async () => {
    let calls = 0;
    const seen = await verifyAll((partitions, map) => {
      if (calls++ > 0) return allChecked(partitions);
      map.now = withPrimary(map.now, 3, 'n1');
      return noneChecked([3]);
    });
    expect(seen.missed).toEqual([]);
    expect(seen.done.at(-1)).toBe(20);
  });

  test('a partition that keeps moving is given up and named', async () => {
    const seen = await verifyAll((partitions, map) => {
      if (!partitions.includes(3)) return allChecked(partitions);
      map.now = withPrimary(map.now, 3, 'n1');
      return noneChecked([3]);
    });
    expect(seen.missed).toEqual([3]);
    expect(seen.done.at(-1)).toBe(20);
  });

  test('what cannot be asked is named with its reason', async () => {
    const down = withNodeState(founded, 'n1', 'down');
    expect((await verifyAll(allChecked, down)).missed).toHaveLength(20);
    const vacant = withNewLife(founded, { ...founded.nodes[0], incarnation: 2 });
    expect((await verifyAll(allChecked, vacant)).missed).toHaveLength(20);
    const failing = verifyAll(() => {
      throw new Error('the node is still starting');
    });
    expect((await failing).missed).toHaveLength(20);
  });
});
