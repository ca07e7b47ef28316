import { describe, expect, test, vi } from 'vitest';
import { copiesOf, copiesOn, ledBy, nodeOf } from '../shared/map.ts';
import { downAfterMs, startGraceMs } from './cluster-view.ts';
import { handOverRetryMs, sealUsableMs } from './coordinator.ts';
import { silentCopyWaitMs } from './steps.ts';
import { SimulatedCluster } from './simulated-cluster.fixture.ts';

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
    const { advertise, ports } = nodeOf(cluster.map, 'n2') as never;
    const node = { id: 'n2', advertise, ports, acceptor: 'a2', witness: false };
    const request = { ...node, clusterId: '', lastIncarnation: 0 };
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
  test('a node without heartbeats for a second is down, and keeps what it leads', async () => {
    const cluster = await threeNodes();
    const { placement } = cluster.map;
    cluster.kill('n2');
    await pass(cluster, downAfterMs + 500);
    expect(nodeOf(cluster.map, 'n2')?.state).toBe('down');
    expect(cluster.map.placement).toEqual(placement);
    await pass(cluster, 10 * silentCopyWaitMs);
    expect(cluster.map.placement).toEqual(placement);
  });

  test('a coordinator that was held up blames nobody, and still notices who is gone', async () => {
    const cluster = await threeNodes();
    cluster.kill('n2');
    cluster.nowMs += 5 * downAfterMs;
    await cluster.step();
    expect(cluster.map.nodes.map(({ state }) => state)).toEqual(['up', 'up', 'up']);
    await pass(cluster, downAfterMs + 500);
    expect(cluster.map.nodes.map(({ state }) => state)).toEqual(['up', 'down', 'up']);
  });

  test('a node that was merely silent is up again with what it led', async () => {
    const cluster = await threeNodes();
    const silent = cluster.node('n2');
    cluster.kill('n2');
    await pass(cluster, downAfterMs + 500);
    cluster.nodes.set('n2', silent);
    await pass(cluster, 500);
    expect(nodeOf(cluster.map, 'n2')).toMatchObject({ state: 'up', incarnation: 1 });
    expect(ledBy(cluster.map, 'n2').length).toBeGreaterThanOrEqual(21);
  });

  test.each(['n1', 'n2', 'n3'])('%s is killed and returns: no write is lost', async (victim) => {
    const cluster = await threeNodes();
    for (let write = 0; write < 3; write++) writeEverywhere(cluster);
    cluster.exchange();
    const led = ledBy(cluster.map, victim);
    const epochs = led.map((partition) => cluster.map.placement[partition].epoch);
    cluster.kill(victim);
    await pass(cluster, downAfterMs + 500);
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

  test('it is not decided before every copy was heard, at the map that took the primary away', async () => {
    const cluster = await threeNodes({ partitions: 3, copies: 3 });
    const [partition] = ledBy(cluster.map, 'n2');
    cluster.kill('n2');
    await cluster.start('n2');
    cluster.beat();
    await cluster.step();
    expect(cluster.map.placement[partition].primary).toBe(null);
    cluster.node('n1').apply(cluster.map);
    cluster.beat();
    await cluster.step();
    expect(cluster.map.placement[partition].primary).toBe(null);
    cluster.exchange();
    await cluster.step();
    expect(cluster.map.placement[partition].primary).not.toBe(null);
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

  test('a copy that stays silent is waited for, but not for ever', async () => {
    const cluster = await threeNodes({ partitions: 6, copies: 2 });
    cluster.kill('n2');
    cluster.kill('n3');
    await pass(cluster, downAfterMs + 500);
    await cluster.start('n2');
    const waiting = cluster.map.placement.findIndex(
      ({ primary, followers }) => primary === null && followers.includes('n3'),
    );
    await pass(cluster, silentCopyWaitMs / 2);
    expect(cluster.map.placement[waiting].primary).toBe(null);
    await pass(cluster, silentCopyWaitMs);
    expect(cluster.map.placement[waiting]).toMatchObject({ primary: 'n2', lost: true });
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

  test('a heartbeat of a life that is over is refused', async () => {
    const cluster = await threeNodes();
    const former = cluster.node('n2');
    await cluster.start('n2');
    expect(() => cluster.coordinator.hear(cluster.map, former.report())).toThrow(
      expect.objectContaining({ code: 'RETIRED' }),
    );
  });
});

describe('coordinator: leaving', () => {
  test('a node hands over, gives up its copies and is out of the map', async () => {
    const cluster = await threeNodes();
    writeEverywhere(cluster);
    const left = cluster.coordinator.leave(cluster.map, 'n3');
    await cluster.settle();
    await left;
    expect(cluster.map.nodes.map(({ id }) => id)).toEqual(['n1', 'n2']);
    for (const partition of cluster.map.placement.keys()) {
      expect(cluster.holdersOf(partition).map(({ seq }) => seq)).toEqual([1, 1]);
    }
    expect(leads(cluster)).toEqual([32, 32]);
  });

  test('the founder, and a node that is down, cannot leave', async () => {
    const cluster = await threeNodes({ partitions: 8, copies: 2 });
    await expect(cluster.coordinator.leave(cluster.map, 'n1')).rejects.toMatchObject({
      code: 'MAP_HOST',
    });
    cluster.kill('n2');
    await pass(cluster, downAfterMs + 500);
    await expect(cluster.coordinator.leave(cluster.map, 'n2')).rejects.toMatchObject({
      code: 'NODE_DOWN',
    });
  });
});
