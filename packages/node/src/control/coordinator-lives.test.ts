import { describe, expect, test } from 'vitest';
import { copiesOf, ledBy, nodeOf } from '../shared/map.ts';
import { downAfterMs, startGraceMs } from './cluster-view.ts';
import { eventNames, leads, pass, threeNodes, writeEverywhere } from './coordinator.fixture.ts';
import { vacancyPatienceMs } from './succession.ts';
import { requestOf, SimulatedCluster } from './simulated-cluster.fixture.ts';

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

  test('a join that is asked for again, by whatever way, enters one life', async () => {
    const cluster = await threeNodes();
    cluster.kill('n2');
    const request = requestOf('n2', 1);
    const asked = [1, 2, 3].map(() => cluster.coordinator.register(request));
    const maps = await Promise.all(asked);
    maps.push(await cluster.coordinator.register(request));
    expect(maps.map((map) => nodeOf(map, 'n2')?.incarnation)).toEqual([2, 2, 2, 2]);
    expect(nodeOf(cluster.map, 'n2')).toMatchObject({ state: 'up', fencedThrough: 1 });
  });

  test('a join whose life was ended before its answer came is told of that life, and no other begins', async () => {
    const cluster = await threeNodes();
    cluster.kill('n2');
    const request = requestOf('n2', 1);
    await cluster.coordinator.register(request);
    await pass(cluster, startGraceMs + 3_000);
    expect(nodeOf(cluster.map, 'n2')).toMatchObject({ state: 'down', fencedThrough: 2 });
    const told = await cluster.coordinator.register(request);
    expect(nodeOf(told, 'n2')).toMatchObject({ incarnation: 2, fencedThrough: 2 });
    const next = await cluster.coordinator.register(requestOf('n2', 2));
    expect(nodeOf(next, 'n2')).toMatchObject({ state: 'up', incarnation: 3 });
  });

  test('an old join that was long on its way ends no living life', async () => {
    const cluster = await threeNodes();
    const old = { ...requestOf('n2', 1), joinId: 'an older start' };
    cluster.kill('n2');
    await cluster.start('n2');
    await cluster.settle();
    const late = cluster.coordinator.register(old);
    await expect(late).rejects.toMatchObject({ code: 'MAP_CHANGED' });
    expect(nodeOf(cluster.map, 'n2')).toMatchObject({ incarnation: 2, fencedThrough: 1 });
    await pass(cluster, 3_000);
    expect(nodeOf(cluster.map, 'n2')).toMatchObject({ state: 'up', incarnation: 2 });
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

  test('so does a primary whose only follower in sync died with it', async () => {
    const cluster = await threeNodes({ partitions: 6, copies: 2, uncleanFailover: false });
    const led = ledBy(cluster.map, 'n1').filter((partition) =>
      cluster.map.placement[partition].followers.includes('n2'),
    );
    expect(led.length).toBeGreaterThan(0);
    writeEverywhere(cluster);
    cluster.noteAnswers();
    cluster.kill('n2');
    cluster.mute('n1');
    await pass(cluster, 4_000);
    for (const partition of led) expect(cluster.map.placement[partition].primary).toBeNull();
    await cluster.start('n2');
    await cluster.unmute('n1');
    await pass(cluster, 2_000);
    for (const partition of led) {
      const { primary, lossy } = cluster.map.placement[partition];
      expect(lossy).toBe(false);
      const leader = cluster.nodes.get(primary ?? '');
      expect(leader?.copies.get(partition)?.seq).toBe(cluster.answered[partition]);
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
