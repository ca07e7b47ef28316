import { describe, expect, test, vi } from 'vitest';
import { copiesOf, copiesOn, ledBy, nodeOf } from '../shared/map.ts';
import { downAfterMs, smallSeqMax } from './cluster-view.ts';
import { eventNames, leads, pass, threeNodes, writeEverywhere } from './coordinator.fixture.ts';
import { handOverRetryMs, sealUsableMs } from './handovers.ts';
import { requestOf, SimulatedCluster } from './simulated-cluster.fixture.ts';

describe('coordinator: joins', () => {
  test('three empty nodes with 64 partitions x 2 copies settle within ten heartbeats', async () => {
    const cluster = new SimulatedCluster({ partitions: 64, copies: 2 });
    await cluster.start('n2');
    await cluster.start('n3');
    expect(await cluster.settle()).toBeLessThanOrEqual(10);
    expect(leads(cluster).toSorted((a, b) => a - b)).toEqual([21, 21, 22]);
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

  test('a node that joins takes one partition that holds data at a time', async () => {
    const cluster = new SimulatedCluster({ partitions: 16, copies: 2 });
    await cluster.start('n2');
    await cluster.settle();
    writeEverywhere(cluster, smallSeqMax + 1);
    cluster.exchange();
    await cluster.start('n3');
    let arrived = 0;
    for (let round = 0; round < 60; round++) {
      cluster.nowMs += 250;
      cluster.exchange();
      await cluster.step();
      const surplus = cluster.map.placement.filter((entry) => copiesOf(entry).length > 2);
      expect(surplus.length).toBeLessThanOrEqual(1);
      arrived = Math.max(arrived, copiesOn(cluster.map, 'n3').length);
    }
    expect(arrived).toBeGreaterThanOrEqual(10);
  });

  test('where nothing has changed nothing is planned again', async () => {
    const cluster = await threeNodes({ partitions: 16, copies: 2 });
    await pass(cluster, 2_000);
    const { plans } = cluster;
    await pass(cluster, 3_000);
    expect(cluster.plans).toBe(plans);
    writeEverywhere(cluster, smallSeqMax + 1);
    await pass(cluster, 1_000);
    expect(cluster.plans).toBeGreaterThan(plans);
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

  test('a copy is given up only once the one in its place is in sync', async () => {
    const cluster = new SimulatedCluster({ partitions: 8, copies: 2 });
    await cluster.start('n2');
    await cluster.settle();
    await cluster.start('n3');
    for (let round = 0; round < 8; round++) {
      cluster.nowMs += 250;
      for (const node of cluster.nodes.values()) node.apply(cluster.map);
      for (const partition of copiesOn(cluster.map, 'n2')) {
        cluster.node('n1').sendTo(cluster.node('n2'), partition);
        cluster.node('n2').sendTo(cluster.node('n1'), partition);
      }
      cluster.beat();
      await cluster.step();
    }
    expect(copiesOn(cluster.map, 'n3').length).toBeGreaterThanOrEqual(5);
    expect(copiesOn(cluster.map, 'n1')).toHaveLength(8);
    expect(copiesOn(cluster.map, 'n2')).toHaveLength(8);
  });

  test('one partition that syncs slowly does not hold up the others', async () => {
    const cluster = new SimulatedCluster({ partitions: 8, copies: 1 });
    await cluster.start('n2');
    cluster.exchange();
    await cluster.step();
    const [slow, ...others] = copiesOn(cluster.map, 'n2');
    for (let round = 0; round < 4; round++) {
      for (const node of cluster.nodes.values()) node.apply(cluster.map);
      for (const partition of others) cluster.node('n1').sendTo(cluster.node('n2'), partition);
      cluster.beat();
      await cluster.step();
    }
    expect(ledBy(cluster.map, 'n2')).toEqual(others);
    expect(cluster.map.placement[slow]).toMatchObject({ primary: 'n1', followers: ['n2'] });
  });

  test('a node of another cluster is refused, and so is an id that is in use', async () => {
    const cluster = await threeNodes({ partitions: 8, copies: 2 });
    const request = { ...requestOf('n2', 0), acceptor: 'another' };
    const refusal = (change: object) => cluster.coordinator.register({ ...request, ...change });
    await expect(refusal({ clusterId: 'another' })).rejects.toMatchObject({
      code: 'OTHER_CLUSTER',
      exitCode: 4,
    });
    await expect(refusal({})).rejects.toMatchObject({ code: 'NODE_ID_IN_USE' });
  });

  test('whoever takes the name of a dead node without its data dir waits until that is fenced', async () => {
    const cluster = await threeNodes({ partitions: 8, copies: 2 });
    cluster.kill('n2');
    await pass(cluster, downAfterMs + 250);
    const entered = cluster.coordinator.register({ ...requestOf('n2', 0), acceptor: 'another' });
    await cluster.step();
    expect(nodeOf(cluster.map, 'n2')).toMatchObject({ incarnation: 1, fencedThrough: 0 });
    await pass(cluster, 1_500);
    expect(nodeOf(await entered, 'n2')).toMatchObject({ incarnation: 2, fencedThrough: 1 });
  });
});

describe('coordinator: handovers', () => {
  /** n2 has joined and is in sync; the next step asks for seals. */
  async function readyToHandOver(): Promise<SimulatedCluster> {
    const cluster = new SimulatedCluster({ partitions: 2, copies: 2 });
    await cluster.start('n2');
    await cluster.step();
    cluster.exchange();
    return cluster;
  }

  function sealedOn(cluster: SimulatedCluster, node: string): number[] {
    return [...cluster.node(node).copies].flatMap(([id, { sealed }]) => (sealed ? [id] : []));
  }

  test('a primary is sealed before the map names the next one, at the next epoch', async () => {
    const cluster = await readyToHandOver();
    await cluster.step();
    const [partition] = sealedOn(cluster, 'n1');
    expect(cluster.map.placement[partition]).toMatchObject({ primary: 'n1', epoch: 1 });
    await cluster.step();
    expect(cluster.map.placement[partition]).toEqual({
      primary: 'n2',
      followers: ['n1'],
      epoch: 2,
      inSync: [
        { node: 'n1', incarnation: 1 },
        { node: 'n2', incarnation: 1 },
      ],
      lost: false,
      lossy: false,
    });
  });

  test('a seal that is too old is not used: the primary goes on, and it is tried again', async () => {
    const cluster = await readyToHandOver();
    await cluster.step();
    const [partition] = sealedOn(cluster, 'n1');
    cluster.nowMs += sealUsableMs;
    cluster.exchange();
    await cluster.step();
    expect(cluster.map.placement[partition].primary).toBe('n1');
    expect(cluster.node('n1').write(partition)).toBe(true);
    expect(eventNames(cluster)).toContain('partition.handOverFailed');
    await pass(cluster, handOverRetryMs + 500);
    expect(cluster.map.placement[partition].primary).toBe('n2');
  });

  test('who streams and is not in the set is neither sealed for nor named', async () => {
    const cluster = new SimulatedCluster({ partitions: 2, copies: 2 });
    cluster.tendsByHand = true;
    await cluster.start('n2');
    await pass(cluster, 2_000);
    expect(copiesOn(cluster.map, 'n2')).toHaveLength(2);
    expect(ledBy(cluster.map, 'n1')).toHaveLength(2);
    expect(sealedOn(cluster, 'n1')).toEqual([]);
    await cluster.tend('n1');
    await pass(cluster, 1_000);
    expect(ledBy(cluster.map, 'n2')).toHaveLength(1);
  });

  test('a next primary that left the set after the seal is not named', async () => {
    const cluster = await readyToHandOver();
    await cluster.step();
    const [partition] = sealedOn(cluster, 'n1');
    cluster.tendsByHand = true;
    const { map, version } = await cluster.store.read();
    const inSync = [{ node: 'n1', incarnation: 1 }];
    const entry = { ...map.placement[partition], inSync };
    const next = {
      ...map,
      version: map.version + 1,
      placement: map.placement.with(partition, entry),
      operations: { n9: 'removal' },
    };
    expect(await cluster.store.compareAndSet(version, next, 'removal')).toBe('ok');
    await cluster.step();
    expect(cluster.map.placement[partition]).toMatchObject({ primary: 'n1', epoch: 1, inSync });
  });

  test('a next primary that lost its memory after the seal is not named', async () => {
    const cluster = await readyToHandOver();
    await cluster.step();
    cluster.kill('n2');
    await cluster.start('n2');
    await cluster.step();
    expect(ledBy(cluster.map, 'n1')).toHaveLength(2);
    await cluster.settle();
    expect(cluster.map.placement.some(({ lost }) => lost)).toBe(false);
  });

  test('a handover waits for a store that fails', async () => {
    const cluster = await readyToHandOver();
    await cluster.step();
    const [partition] = sealedOn(cluster, 'n1');
    const failing = vi
      .spyOn(cluster.store, 'read')
      .mockRejectedValue(new Error('the disk is full'));
    await expect(cluster.coordinator.step()).rejects.toThrow('the disk is full');
    failing.mockRestore();
    await cluster.step();
    expect(cluster.map.placement[partition]).toMatchObject({ primary: 'n2', epoch: 2 });
  });

  test('a follower that fell behind keeps its primary where it is, unsealed', async () => {
    const cluster = await readyToHandOver();
    for (const copy of cluster.node('n1').copies.values()) copy.followers.set('n2', 'bulk');
    await cluster.step();
    await cluster.step();
    expect(ledBy(cluster.map, 'n1')).toHaveLength(2);
    expect(sealedOn(cluster, 'n1')).toEqual([]);
  });

  test('a change whose answer is lost is found in the map and not made twice', async () => {
    const cluster = await readyToHandOver();
    await cluster.step();
    cluster.store.loseNext = 'answer';
    await cluster.step();
    const moved = cluster.map.placement.filter(({ primary }) => primary === 'n2');
    expect(moved).toMatchObject([{ epoch: 2 }]);
    expect(eventNames(cluster)).not.toContain('partition.handOverFailed');
  });
});

describe('coordinator: witnesses', () => {
  test('a witness votes and holds no copies', async () => {
    const cluster = new SimulatedCluster({ partitions: 8, copies: 2 });
    await cluster.start('n2');
    await cluster.start('w', { witness: true });
    await cluster.settle();
    expect(copiesOn(cluster.map, 'w')).toEqual([]);
    expect(cluster.map.acceptors.current.map(({ node }) => node)).toEqual(['n1', 'n2', 'w']);
    cluster.kill('n1');
    await pass(cluster, 2_500);
    expect(ledBy(cluster.map, 'n2')).toHaveLength(8);
    expect(copiesOn(cluster.map, 'w')).toEqual([]);
  });
});
