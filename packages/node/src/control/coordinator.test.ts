import { describe, expect, test, vi } from 'vitest';
import { copiesOf, copiesOn, ledBy, nodeOf } from '../shared/map.ts';
import { downAfterMs, smallSeqMax, startGraceMs } from './cluster-view.ts';
import { vacancyPatienceMs } from './failover.ts';
import { handOverRetryMs, sealUsableMs } from './handovers.ts';
import { requestOf, type Shape, SimulatedCluster } from './simulated-cluster.fixture.ts';

async function threeNodes(shape: Shape = { partitions: 64, copies: 2 }): Promise<SimulatedCluster> {
  const cluster = new SimulatedCluster(shape);
  await cluster.start('n2');
  await cluster.start('n3');
  await cluster.settle();
  return cluster;
}

function writeEverywhere(cluster: SimulatedCluster, times = 1): void {
  for (const node of cluster.nodes.values()) {
    for (const partition of ledBy(cluster.map, node.id)) {
      for (let time = 0; time < times; time++) node.write(partition);
    }
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

describe('coordinator: nodes that go and return', () => {
  test('a dead node is suspect after a second, fenced after 1.03 leases, and leads nothing', async () => {
    const cluster = await threeNodes();
    const led = ledBy(cluster.map, 'n2');
    cluster.kill('n2');
    await pass(cluster, 1_750);
    expect(eventNames(cluster)).toContain('node.suspected');
    expect(nodeOf(cluster.map, 'n2')).toMatchObject({ state: 'up', fencedThrough: 0 });
    expect(ledBy(cluster.map, 'n2')).toEqual(led);
    await pass(cluster, 500);
    expect(nodeOf(cluster.map, 'n2')).toMatchObject({ state: 'down', fencedThrough: 1 });
    for (const partition of led) {
      const { primary, followers, epoch, inSync, lossy } = cluster.map.placement[partition];
      expect(primary).toMatch(/n1|n3/);
      expect(followers).toEqual(['n2']);
      expect(inSync.map(({ node }) => node)).toEqual([primary]);
      expect(lossy).toBe(false);
      expect(epoch).toBeGreaterThan(1);
    }
    expect(cluster.map.placement.flatMap(({ inSync }) => inSync)).not.toContainEqual({
      node: 'n2',
      incarnation: 1,
    });
  });

  test('a coordinator that was held up blames nobody, and still notices who is gone', async () => {
    const cluster = await threeNodes();
    cluster.kill('n2');
    cluster.nowMs += 5 * downAfterMs;
    await cluster.step();
    expect(eventNames(cluster)).not.toContain('node.suspected');
    await pass(cluster, downAfterMs + 1_500);
    expect(cluster.map.nodes.map(({ state }) => state)).toEqual(['up', 'down', 'up']);
  });

  test('a node that was silent for less than that keeps its life and what it leads', async () => {
    const cluster = await threeNodes();
    cluster.mute('n2');
    await pass(cluster, downAfterMs + 500);
    expect(eventNames(cluster)).toContain('node.suspected');
    await cluster.unmute('n2');
    await pass(cluster, 3_000);
    expect(nodeOf(cluster.map, 'n2')).toMatchObject({ state: 'up', incarnation: 1 });
    expect(ledBy(cluster.map, 'n2').length).toBeGreaterThanOrEqual(21);
  });

  test('the next acceptor coordinates in place of one that died, and fails it over', async () => {
    const cluster = await threeNodes();
    expect(cluster.map.acceptors.current.map(({ node }) => node)).toEqual(['n1', 'n2', 'n3']);
    cluster.kill('n1');
    await pass(cluster, 2_500);
    expect(nodeOf(cluster.map, 'n1')?.state).toBe('down');
    expect(ledBy(cluster.map, 'n1')).toEqual([]);
    expect(cluster.coordinator.activeNode()?.id).toBe('n2');
  });

  test.each(['n1', 'n2', 'n3'])('%s is killed and returns: no write is lost', async (victim) => {
    const cluster = await threeNodes();
    for (let write = 0; write < 3; write++) writeEverywhere(cluster);
    cluster.exchange();
    const led = ledBy(cluster.map, victim);
    const epochs = led.map((partition) => cluster.map.placement[partition].epoch);
    cluster.kill(victim);
    await pass(cluster, 2_500);
    expect(ledBy(cluster.map, victim)).toEqual([]);
    await cluster.start(victim);
    expect(nodeOf(cluster.map, victim)).toMatchObject({ state: 'up', incarnation: 2 });
    expect(ledBy(cluster.map, victim)).toEqual([]);

    await pass(cluster, 500);
    for (const [index, partition] of led.entries()) {
      const entry = cluster.map.placement[partition];
      expect(entry.primary).not.toBe(null);
      expect(entry.epoch).toBeGreaterThan(epochs[index]);
      expect(entry.lost).toBe(false);
    }
    await cluster.settle();
    for (const partition of cluster.map.placement.keys()) {
      expect(cluster.holdersOf(partition).map(({ seq }) => seq)).toEqual([3, 3]);
    }
    expect(leads(cluster).toSorted((a, b) => a - b)).toEqual([21, 21, 22]);
  });

  test('the most advanced consistent copy leads', async () => {
    const cluster = new SimulatedCluster({ partitions: 1, copies: 4 });
    for (const id of ['n2', 'n3', 'n4']) await cluster.start(id);
    await cluster.settle();
    const leader = cluster.map.placement[0].primary as string;
    const [behind, ahead, torn] = cluster.map.placement[0].followers;
    cluster.node(leader).write(0);
    cluster.node(leader).sendTo(cluster.node(ahead), 0);
    const tornCopy = cluster.node(torn).copies.get(0);
    Object.assign(tornCopy ?? {}, { seq: 9, consistent: false });
    cluster.kill(leader);
    expect(cluster.node(behind).copies.get(0)?.seq).toBe(0);
    await cluster.start(leader);
    for (const node of cluster.nodes.values()) node.apply(cluster.map);
    cluster.beat();
    await cluster.step();
    expect(cluster.map.placement[0].primary).toBe(ahead);
  });

  test('where no copy is left the partition starts again, empty, and is called lost', async () => {
    const cluster = await threeNodes({ partitions: 6, copies: 2 });
    writeEverywhere(cluster);
    cluster.exchange();
    const onBoth = cluster.map.placement.map((entry) => !copiesOf(entry).includes('n1'));
    cluster.kill('n2');
    cluster.kill('n3');
    await pass(cluster, downAfterMs + 500);
    await cluster.start('n2');
    await cluster.start('n3');
    await cluster.settle();
    for (const [partition, { lost }] of cluster.map.placement.entries()) {
      expect(lost).toBe(onBoth[partition]);
      const seqs = cluster.holdersOf(partition).map(({ seq }) => seq);
      expect(seqs).toEqual(lost ? [0, 0] : [1, 1]);
    }
    expect(eventNames(cluster)).toContain('partition.lost');
  });

  test('a copy that may come back with its memory is waited for, but not for ever', async () => {
    const cluster = await threeNodes({ partitions: 6, copies: 2 });
    const both = (name: string, other: string) =>
      cluster.map.placement.findIndex((entry) =>
        [name, other].every((id) => copiesOf(entry).includes(id)),
      );
    const partition = both('n2', 'n3');
    cluster.kill('n2');
    cluster.kill('n3');
    await pass(cluster, 2_500);
    await cluster.start('n2');
    await pass(cluster, vacancyPatienceMs / 2);
    expect(cluster.map.placement[partition].primary).toBe(null);
    await pass(cluster, vacancyPatienceMs);
    expect(cluster.map.placement[partition]).toMatchObject({ primary: 'n2', lost: true });
  });

  test('a coordinator that returns gives the others time before it calls them down', async () => {
    const cluster = await threeNodes();
    cluster.kill('n1');
    const others = [...cluster.nodes];
    cluster.nodes.clear();
    await cluster.start('n1');
    await pass(cluster, startGraceMs - 500);
    expect(nodeOf(cluster.map, 'n2')?.state).toBe('up');
    for (const [id, node] of others) cluster.nodes.set(id, node);
    await cluster.settle();
    expect(cluster.map.nodes.map(({ state }) => state)).toEqual(['up', 'up', 'up']);
    expect(cluster.map.placement.some(({ lost }) => lost)).toBe(false);
  });

  test('so is one of a life that was fenced', async () => {
    const cluster = await threeNodes();
    const former = cluster.node('n2');
    cluster.kill('n2');
    await pass(cluster, 2_500);
    expect(() => cluster.coordinator.hear(former.report())).toThrow(
      expect.objectContaining({ code: 'FENCED' }),
    );
  });

  test('a heartbeat of a life that is over is refused', async () => {
    const cluster = await threeNodes();
    const former = cluster.node('n2');
    await cluster.start('n2');
    expect(() => cluster.coordinator.hear(former.report())).toThrow(
      expect.objectContaining({ code: 'REPLACED' }),
    );
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

describe('coordinator: the last life in sync', () => {
  /** n1 is the only one in sync with what it leads, and is cut off until its life is over. */
  async function lastOneEnded(): Promise<{ cluster: SimulatedCluster; led: number[] }> {
    const cluster = await threeNodes({ partitions: 6, copies: 2, uncleanFailover: false });
    cluster.tendsByHand = true;
    const led = ledBy(cluster.map, 'n1');
    for (const copy of cluster.node('n1').copies.values()) copy.acked.clear();
    await cluster.tend('n1');
    writeEverywhere(cluster);
    cluster.noteAnswers();
    cluster.mute('n1');
    await pass(cluster, 3_000);
    for (const partition of led) {
      expect(cluster.map.placement[partition]).toMatchObject({ primary: null, lossy: false });
    }
    return { cluster, led };
  }

  test('goes on leading in its next life, if its process has kept its memory', async () => {
    const { cluster, led } = await lastOneEnded();
    await cluster.unmute('n1');
    await pass(cluster, 1_500);
    for (const partition of led) {
      const { primary, lossy, inSync } = cluster.map.placement[partition];
      expect(primary).toBe('n1');
      expect(lossy).toBe(false);
      expect(inSync).toContainEqual({ node: 'n1', incarnation: 2 });
      expect(cluster.node('n1').copies.get(partition)?.seq).toBe(cluster.answered[partition]);
    }
  });

  test('... and nobody leads where its memory is gone, until somebody accepts the loss', async () => {
    const { cluster, led } = await lastOneEnded();
    cluster.kill('n1');
    await cluster.start('n1');
    await pass(cluster, 3 * vacancyPatienceMs);
    for (const partition of led) {
      expect(cluster.map.placement[partition]).toMatchObject({ primary: null, inSync: [] });
    }
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
