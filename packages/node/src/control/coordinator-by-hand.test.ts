import { describe, expect, test } from 'vitest';
import { copiesOf, copiesOn, isUp, ledBy, nodeOf } from '../shared/map.ts';
import { smallSeqMax } from './cluster-view.ts';
import { eventNames, leads, pass, threeNodes, writeEverywhere } from './coordinator.fixture.ts';
import { vacancyPatienceMs } from './succession.ts';
import { SimulatedCluster } from './simulated-cluster.fixture.ts';

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
    const primaries = cluster.map.placement.map(({ primary }) => primary);
    await pass(cluster, 500);
    await Promise.all(drained);
    expect(cluster.map.placement.map(({ primary }) => primary)).toEqual(primaries);
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

describe('coordinator: capacity', () => {
  test('it is changed in the map, once, and refused where images or partitions forbid it', async () => {
    const cluster = await threeNodes({ partitions: 64, copies: 2 });
    const { version } = cluster.map;
    await cluster.coordinator.setCapacity(2 ** 31);
    await cluster.coordinator.setCapacity(2 ** 31);
    expect(cluster.map).toMatchObject({ version: version + 1, capacityLimitBytes: 2 ** 31 });
    const beyond = cluster.coordinator.setCapacity(2 ** 33 + 1);
    await expect(beyond).rejects.toMatchObject({ code: 'CAPACITY_TOO_LARGE', exitCode: 4 });
    const below = cluster.coordinator.setCapacity(2 ** 29 - 1);
    await expect(below).rejects.toMatchObject({ code: 'CAPACITY_TOO_SMALL' });
    expect(cluster.map.capacityLimitBytes).toBe(2 ** 31);
  });
});

/** Lets time pass until it is done. */
async function done(cluster: SimulatedCluster, asked: Promise<void>): Promise<void> {
  const world = { isSettled: false };
  const settled = (): void => {
    world.isSettled = true;
  };
  asked.then(settled, settled);
  for (let round = 0; round < 40; round++) if (!world.isSettled) await pass(cluster, 250);
  expect(world.isSettled).toBe(true);
  await asked;
}

describe('coordinator: what was asked for outlasts who was asked', () => {
  /** Whoever coordinates is gone, and back with nothing in its memory. */
  async function coordinatorStartsAnew(cluster: SimulatedCluster): Promise<void> {
    const active = cluster.coordinator.activeNode()?.id as string;
    cluster.kill(active);
    await cluster.start(active);
    await pass(cluster, 500);
  }

  test('a node goes on leaving', async () => {
    const cluster = await threeNodes({ partitions: 16, copies: 2 });
    writeEverywhere(cluster, smallSeqMax + 1);
    cluster.exchange();
    const left = cluster.coordinator.leave('n3').catch((error: Error) => error);
    await pass(cluster, 500);
    expect(nodeOf(cluster.map, 'n3')).not.toBe(null);
    await coordinatorStartsAnew(cluster);
    expect(await left).toMatchObject({ code: 'STOPPING' });
    await cluster.settle(200);
    expect(cluster.map.nodes.map(({ id }) => id)).toEqual(['n1', 'n2']);
    expect(cluster.map.wishes.leaving).toEqual([]);
  });

  test('... unless it is started again: then it stays', async () => {
    const cluster = await threeNodes({ partitions: 16, copies: 2 });
    writeEverywhere(cluster, smallSeqMax + 1);
    cluster.exchange();
    const left = cluster.coordinator.leave('n3').catch((error: Error) => error);
    await pass(cluster, 500);
    cluster.kill('n3');
    await cluster.start('n3');
    expect(await left).toMatchObject({ code: 'LEAVE_UNDONE' });
    await cluster.settle(200);
    expect(nodeOf(cluster.map, 'n3')).toMatchObject({ state: 'up', incarnation: 2 });
  });

  test('... and not by a pause: its next life in the same process leaves too', async () => {
    const cluster = await threeNodes({ partitions: 16, copies: 2 });
    writeEverywhere(cluster, smallSeqMax + 1);
    cluster.exchange();
    const left = cluster.coordinator.leave('n3');
    await pass(cluster, 250);
    cluster.mute('n3');
    await pass(cluster, 2_500);
    expect(nodeOf(cluster.map, 'n3')?.state).toBe('down');
    await cluster.unmute('n3');
    await cluster.settle(200);
    await left;
    expect(nodeOf(cluster.map, 'n3')).toBe(null);
  });

  test('a partition stays with the node that was named by hand', async () => {
    const cluster = await threeNodes();
    const partition = ledBy(cluster.map, 'n3').find((id) =>
      cluster.map.placement[id].followers.includes('n2'),
    ) as number;
    for (const other of ledBy(cluster.map, 'n3')) {
      if (!cluster.map.placement[other].followers.includes('n2')) continue;
      await done(cluster, cluster.coordinator.promote(other, 'n2', false));
    }
    const pinned = cluster.map.wishes.pins.map((pin) => pin.partition);
    expect(pinned.length).toBeGreaterThan(5);
    await coordinatorStartsAnew(cluster);
    await cluster.settle(200);
    for (const id of pinned) expect(cluster.map.placement[id].primary).toBe('n2');
    expect(cluster.map.placement[partition].primary).toBe('n2');
  });

  test('... also when it comes back from a failover, until nodes join or leave', async () => {
    const cluster = await threeNodes();
    const partition = ledBy(cluster.map, 'n1').find((id) =>
      cluster.map.placement[id].followers.includes('n3'),
    ) as number;
    await done(cluster, cluster.coordinator.promote(partition, 'n3', false));
    cluster.kill('n3');
    await pass(cluster, 2_500);
    expect(cluster.map.placement[partition].primary).toBe('n1');
    await cluster.start('n3');
    await cluster.settle(200);
    expect(cluster.map.placement[partition].primary).toBe('n3');
    const left = cluster.coordinator.leave('n2');
    await cluster.settle(200);
    await left;
    expect(cluster.map.wishes.pins).toEqual([]);
  });

  test('a drained node is given nothing to lead', async () => {
    const cluster = await threeNodes();
    const drained = cluster.coordinator.drain({ node: 'n3', incarnation: 1 });
    await pass(cluster, 1_500);
    await drained;
    await coordinatorStartsAnew(cluster);
    await cluster.settle(200);
    expect(ledBy(cluster.map, 'n3')).toEqual([]);
    cluster.kill('n3');
    await cluster.start('n3');
    await cluster.settle(200);
    expect(ledBy(cluster.map, 'n3').length).toBeGreaterThanOrEqual(21);
  });
});

describe('coordinator: nodes that stop', () => {
  test('a drained node that has stopped is neither suspected nor failed over', async () => {
    const cluster = await threeNodes();
    const life = { node: 'n2', incarnation: 1 };
    const drained = cluster.coordinator.drain(life);
    await pass(cluster, 1_500);
    await drained;
    const inSync = cluster.map.placement.flatMap((entry) => entry.inSync);
    expect(inSync.filter(({ node }) => node === 'n2')).toEqual([]);
    await cluster.coordinator.stopped(life);
    cluster.kill('n2');
    await pass(cluster, 5_000);
    expect(nodeOf(cluster.map, 'n2')).toMatchObject({ state: 'down', fencedThrough: 1 });
    expect(cluster.map.wishes.stopping).toMatchObject([life]);
    expect(eventNames(cluster)).toContain('peer.stopped');
    for (const alarm of ['node.suspected', 'node.fenced', 'node.down']) {
      expect(eventNames(cluster)).not.toContain(alarm);
    }
    await cluster.start('n2');
    await cluster.settle(200);
    expect(nodeOf(cluster.map, 'n2')).toMatchObject({ state: 'up', incarnation: 2 });
    expect(cluster.map.wishes.stopping).toEqual([]);
    expect(leads(cluster).toSorted((a, b) => a - b)).toEqual([21, 21, 22]);
  });

  test('a node that stops while it leads is failed over like any other', async () => {
    const cluster = await threeNodes();
    const life = { node: 'n2', incarnation: 1 };
    await expect(cluster.coordinator.stopped(life)).rejects.toMatchObject({ code: 'STILL_LEADS' });
    expect(nodeOf(cluster.map, 'n2')?.state).toBe('up');
  });
});

describe('coordinator: moves are made one after the other', () => {
  /** The most copies too many that one node took part in at a time, until the map rests. */
  async function movesAtOnce(cluster: SimulatedCluster): Promise<number> {
    let most = 0;
    for (let round = 0; round < 120; round++) {
      cluster.nowMs += 250;
      cluster.exchange();
      await cluster.step();
      const surplus = cluster.map.placement.filter(
        (entry) => copiesOf(entry).filter((id) => isUp(cluster.map, id)).length > 2,
      );
      for (const { id } of cluster.map.nodes) {
        const own = surplus.filter((entry) => copiesOf(entry).includes(id));
        most = Math.max(most, own.filter((entry) => entry.primary !== id).length);
      }
    }
    return most;
  }

  test('where a node leaves', async () => {
    const cluster = new SimulatedCluster({ partitions: 16, copies: 2 });
    for (const id of ['n2', 'n3', 'n4']) await cluster.start(id);
    await cluster.settle(200);
    writeEverywhere(cluster, smallSeqMax + 1);
    cluster.exchange();
    const left = cluster.coordinator.leave('n4');
    expect(await movesAtOnce(cluster)).toBe(1);
    await left;
    expect(leads(cluster).toSorted((a, b) => a - b)).toEqual([5, 5, 6]);
  });

  test('... or was forgotten: its copies are missing and made at once, the rest moves in turn', async () => {
    const cluster = new SimulatedCluster({ partitions: 16, copies: 2, forgetAfterMs: 5_000 });
    for (const id of ['n2', 'n3', 'n4']) await cluster.start(id);
    await cluster.settle(200);
    writeEverywhere(cluster, smallSeqMax + 1);
    cluster.exchange();
    cluster.kill('n4');
    expect(await movesAtOnce(cluster)).toBeLessThanOrEqual(1);
    expect(nodeOf(cluster.map, 'n4')).toBe(null);
    for (const entry of cluster.map.placement) expect(copiesOf(entry)).toHaveLength(2);
    expect(leads(cluster).toSorted((a, b) => a - b)).toEqual([5, 5, 6]);
  });
});
