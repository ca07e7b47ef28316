import { describe, expect, test, vi } from 'vitest';
import { copiesOf, copiesOn, ledBy, nodeOf } from '../shared/map.ts';
import { downAfterMs, smallSeqMax } from './cluster-view.ts';
import { eventNames, leads, pass, threeNodes, writeEverywhere } from './coordinator.fixture.ts';
import { vacancyPatienceMs } from './failover.ts';
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

describe('coordinator: by hand', () => {
  test('a node that leaves hands over, gives up its copies and is out of the map', async () => {
    const cluster = await threeNodes({ partitions: 16, copies: 2 });
    writeEverywhere(cluster);
    const left = cluster.coordinator.leave('n3');
    await cluster.settle(200);
    await left;
    expect(cluster.map.nodes.map(({ id }) => id)).toEqual(['n1', 'n2']);
    for (const partition of cluster.map.placement.keys()) {
      expect(cluster.holdersOf(partition).map(({ seq }) => seq)).toEqual([1, 1]);
    }
    expect(leads(cluster)).toEqual([8, 8]);
  });

  test('the founder may leave: others decide about the map then', async () => {
    const cluster = await threeNodes({ partitions: 8, copies: 2 });
    const left = cluster.coordinator.leave('n1');
    await cluster.settle(200);
    await left;
    expect(cluster.map.nodes.map(({ id }) => id)).toEqual(['n2', 'n3']);
    expect(cluster.map.acceptors.current.map(({ node }) => node)).not.toContain('n1');
  });

  test('a node that is down may be made to leave: its copies are made anew elsewhere', async () => {
    const cluster = await threeNodes({ partitions: 8, copies: 2 });
    writeEverywhere(cluster);
    cluster.exchange();
    cluster.kill('n3');
    await pass(cluster, 2_500);
    const left = cluster.coordinator.leave('n3');
    await cluster.settle(200);
    await left;
    for (const partition of cluster.map.placement.keys()) {
      expect(cluster.holdersOf(partition).map(({ seq }) => seq)).toEqual([1, 1]);
    }
  });

  test('a node that stays down is forgotten after --forget-after, not before', async () => {
    const shape = { partitions: 8, copies: 2, forgetAfterMs: 20_000 };
    const cluster = new SimulatedCluster(shape);
    for (const id of ['n2', 'n3', 'n4']) await cluster.start(id);
    await cluster.settle(200);
    cluster.kill('n4');
    await pass(cluster, 20_000);
    expect(nodeOf(cluster.map, 'n4')?.state).toBe('down');
    await pass(cluster, 10_000);
    expect(nodeOf(cluster.map, 'n4')).toBe(null);
    for (const entry of cluster.map.placement) expect(copiesOf(entry)).toHaveLength(2);
  });

  test('nobody who is not there, and not the last node, can leave', async () => {
    const cluster = new SimulatedCluster({ partitions: 8, copies: 2 });
    await expect(cluster.coordinator.leave('n1')).rejects.toMatchObject({ code: 'LAST_NODE' });
    await expect(cluster.coordinator.leave('n9')).rejects.toMatchObject({ code: 'NO_SUCH_NODE' });
  });

  test('a drained node leads nothing until its next life, and keeps its copies', async () => {
    const cluster = await threeNodes();
    const held = copiesOn(cluster.map, 'n2');
    const drained = cluster.coordinator.drain({ node: 'n2', incarnation: 1 });
    await pass(cluster, 1_500);
    await drained;
    expect(ledBy(cluster.map, 'n2')).toEqual([]);
    expect(copiesOn(cluster.map, 'n2')).toEqual(held);
    const epochs = cluster.map.placement.map(({ epoch }) => epoch);
    await pass(cluster, 5_000);
    expect(cluster.map.placement.map(({ epoch }) => epoch)).toEqual(epochs);
    cluster.kill('n2');
    await cluster.start('n2');
    await cluster.settle();
    expect(ledBy(cluster.map, 'n2').length).toBeGreaterThanOrEqual(21);
  });

  test('where everybody is drained nobody waits for anybody', async () => {
    const cluster = await threeNodes({ partitions: 6, copies: 2 });
    const drained = ['n1', 'n2', 'n3'].map((node) =>
      cluster.coordinator.drain({ node, incarnation: 1 }),
    );
    const { placement } = cluster.map;
    await pass(cluster, 500);
    await Promise.all(drained);
    expect(cluster.map.placement).toEqual(placement);
  });

  test('a partition is promoted by hand, and the balance leaves it there', async () => {
    const cluster = await threeNodes();
    for (const partition of ledBy(cluster.map, 'n1').slice(0, 4)) {
      const [to] = cluster.map.placement[partition].followers;
      const promoted = cluster.coordinator.promote(partition, to, false);
      await pass(cluster, 1_000);
      await promoted;
      await pass(cluster, 3_000);
      expect(cluster.map.placement[partition].primary).toBe(to);
    }
    await cluster.start('n4');
    await cluster.settle(200);
    expect(leads(cluster)).toEqual([16, 16, 16, 16]);
  });

  test('what is not in sync, or not there, is not promoted', async () => {
    const cluster = await threeNodes({ partitions: 6, copies: 2 });
    const { coordinator } = cluster;
    const [partition] = ledBy(cluster.map, 'n1');
    const { followers } = cluster.map.placement[partition];
    const outsider = followers.includes('n2') ? 'n3' : 'n2';
    await expect(coordinator.promote(99, 'n1', false)).rejects.toMatchObject({
      code: 'NO_SUCH_PARTITION',
    });
    await expect(coordinator.promote(partition, outsider, false)).rejects.toMatchObject({
      code: 'NO_COPY',
    });
    cluster.node('n1').copies.get(partition)?.followers.set(followers[0], 'bulk');
    cluster.beat();
    await expect(coordinator.promote(partition, followers[0], false)).rejects.toMatchObject({
      code: 'NOT_IN_SYNC',
    });
  });

  test('without a copy in sync nobody leads until somebody accepts the loss', async () => {
    const shape = { partitions: 6, copies: 2, uncleanFailover: false };
    const cluster = await threeNodes(shape);
    cluster.tendsByHand = true;
    writeEverywhere(cluster);
    const [partition] = ledBy(cluster.map, 'n1');
    const [other] = cluster.map.placement[partition].followers;
    // The primary has taken its follower out of the set.
    cluster.node(other).copies.get(partition)?.awaited.splice(0);
    cluster.node('n1').copies.get(partition)?.acked.clear();
    await cluster.tend('n1');
    cluster.kill('n1');
    await pass(cluster, 3 * vacancyPatienceMs);
    expect(cluster.map.placement[partition]).toMatchObject({ primary: null, lossy: false });
    const { coordinator } = cluster;
    await expect(coordinator.promote(partition, other, false)).rejects.toMatchObject({
      code: 'NO_COPY_IN_SYNC',
    });
    await coordinator.promote(partition, other, true);
    expect(cluster.map.placement[partition]).toMatchObject({ primary: other, lossy: true });
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
