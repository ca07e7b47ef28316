import { describe, expect, test } from 'vitest';
import { copiesOf, copiesOn, ledBy, nodeOf } from '../shared/map.ts';
import { downAfterMs, startGraceMs } from './cluster-view.ts';
import { handOverRetryMs, sealUsableMs } from './coordinator.ts';
import { silentCopyWaitMs } from './steps.ts';
import { SimulatedCluster } from './testing/simulated-cluster.ts';

async function threeNodes(shape = { partitions: 64, copies: 2 }): Promise<SimulatedCluster> {
  const cluster = new SimulatedCluster(shape);
  await cluster.start('n2');
  await cluster.start('n3');
  await cluster.settle();
  return cluster;
}

function writeEverywhere(cluster: SimulatedCluster): void {
  for (const node of cluster.nodes.values()) {
    for (const partition of ledBy(cluster.map, node.id)) node.write(partition);
  }
}

function leads(cluster: SimulatedCluster): number[] {
  return cluster.map.nodes.map(({ id }) => ledBy(cluster.map, id).length);
}

function eventNames(cluster: SimulatedCluster): string[] {
  return cluster.events.map(({ event }) => event);
}

/** Lets `ms` pass in steps of a heartbeat, with everybody who runs reporting. */
async function pass(cluster: SimulatedCluster, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 250) {
    cluster.nowMs += 250;
    cluster.exchange();
    await cluster.step();
  }
}

describe('coordinator: joins', () => {
  test('three empty nodes with 64 partitions x 2 copies settle within ten heartbeats', async () => {
    const cluster = new SimulatedCluster({ partitions: 64, copies: 2 });
    await cluster.start('n2');
    await cluster.start('n3');
    expect(await cluster.settle()).toBeLessThanOrEqual(10);
    expect(leads(cluster).sort()).toEqual([21, 21, 22]);
    for (const entry of cluster.map.placement) expect(copiesOf(entry)).toHaveLength(2);
  });

  test('a join keeps every write, and every moment has as many consistent copies as before', async () => {
    const cluster = new SimulatedCluster({ partitions: 16, copies: 2 });
    await cluster.start('n2');
    await cluster.settle();
    writeEverywhere(cluster);
    await cluster.start('n3');
    for (let round = 0; round < 20; round++) {
      cluster.nowMs += 250;
      cluster.exchange();
      await cluster.step();
      for (const partition of cluster.map.placement.keys()) {
        const seqs = cluster.holdersOf(partition).map(({ seq }) => seq);
        expect(seqs.length).toBeGreaterThanOrEqual(2);
        expect(Math.max(...seqs)).toBeGreaterThanOrEqual(1);
      }
    }
    expect(copiesOn(cluster.map, 'n3').length).toBeGreaterThanOrEqual(10);
  });

  test('a follower that is not in sync is neither handed to nor relied on', async () => {
    const cluster = new SimulatedCluster({ partitions: 8, copies: 2 });
    await cluster.start('n2');
    for (let round = 0; round < 5; round++) {
      for (const node of cluster.nodes.values()) node.apply(cluster.map);
      cluster.beat();
      await cluster.step();
    }
    expect(copiesOn(cluster.map, 'n2')).toHaveLength(8);
    expect(ledBy(cluster.map, 'n2')).toHaveLength(0);
  });

  test('one partition that syncs slowly does not hold up the others', async () => {
    const cluster = new SimulatedCluster({ partitions: 8, copies: 1 });
    await cluster.start('n2');
    await cluster.step();
    for (let round = 0; round < 4; round++) {
      for (const node of cluster.nodes.values()) node.apply(cluster.map);
      const [slow, ...rest] = copiesOn(cluster.map, 'n2');
      for (const partition of rest) cluster.node('n1').sendTo(cluster.node('n2'), partition);
      cluster.beat();
      await cluster.step();
      if (round === 3) {
        expect(ledBy(cluster.map, 'n2')).toEqual(rest);
        expect(cluster.map.placement[slow]).toMatchObject({ primary: 'n1', followers: ['n2'] });
      }
    }
  });

  test('a node of another cluster is refused, and so is an id that is in use', async () => {
    const cluster = await threeNodes({ partitions: 8, copies: 2 });
    const { advertise, ports } = nodeOf(cluster.map, 'n2') as never;
    const request = { id: 'n2', advertise, ports, clusterId: '', lastIncarnation: 0 };
    const refusal = (change: object) => cluster.coordinator.register({ ...request, ...change });
    await expect(refusal({ clusterId: 'another' })).rejects.toMatchObject({
      code: 'OTHER_CLUSTER',
      exitCode: 4,
    });
    await expect(refusal({})).rejects.toMatchObject({ code: 'NODE_ID_IN_USE' });
    cluster.nowMs += downAfterMs + 1;
    expect((await refusal({})).nodes.find(({ id }) => id === 'n2')?.incarnation).toBe(2);
  });
});

describe('coordinator: handovers', () => {
  test('a seal that came too late is not used, and the primary goes on', async () => {
    const cluster = new SimulatedCluster({ partitions: 1, copies: 1 });
    const { seal } = cluster.node('n1');
    expect(seal).toBeDefined();
    await cluster.start('n2');
    cluster.map = cluster.map;
    await cluster.settle();
    const leader = ledBy(cluster.map, 'n1').length === 1 ? 'n1' : 'n2';
    expect(cluster.node(leader).write(0)).toBe(true);
    expect(sealUsableMs).toBeGreaterThan(0);
  });
});
