import { CHUNK_BYTES, planGeometry, ROLE_FOLLOWER } from '@ingot/store';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { TestCluster, TestNode, until, untilEqual } from './cluster.fixture.ts';
import { TestProxy } from './proxy.fixture.ts';

let cluster: TestCluster;
let a: TestNode;
let b: TestNode;

beforeEach(async () => {
  cluster = new TestCluster();
  a = new TestNode('a');
  b = new TestNode('b');
  await cluster.start(a, b);
});

afterEach(() => cluster.stop());

describe('replication over TCP', () => {
  test('full sync: an empty copy becomes equal, in at most 1.02 x the used bytes', async () => {
    a.partition.promote(1, Date.now());
    a.fill(40);
    cluster.lead(a, [b]);
    await untilEqual(a, b);
    expect(a.hub.counters()).toMatchObject({ fullSyncs: 1, partialSyncs: 0, checksFailed: 0 });
    expect(a.hub.counters().bytesSent).toBeLessThan(1.02 * a.partition.stats().usedBytes);
    expect(a.eventsNamed('syncFinished')[0]).toMatchObject({
      kind: 'full',
      node: 'b',
      partition: 0,
    });
    const { syncs, syncBytes } = a.hub.counters();
    expect(syncs).toMatchObject({ 'the copy is empty': 1, 'the ring has moved past the copy': 0 });
    expect(syncBytes).toMatchObject({ full: a.hub.counters().chunkBytesSent, 'catch-up': 0 });
    expect(a.hub.bulks()).toEqual({ running: 0, waiting: 0 });
    expect(b.partition.verify()).toBeNull();
    expect(b.map.get(Buffer.from('fill:7'), Date.now())).toEqual(Buffer.alloc(60_000, 7));
  });

  test('redo: writes arrive in order and are acknowledged', async () => {
    cluster.lead(a, [b]);
    await untilEqual(a, b);
    for (let i = 0; i < 500; i++) a.set(`key:${i % 50}`, `value ${i}`);
    expect(await a.hub.awaitAck(0, 'b', a.partition.stats().seq, 10_000)).toBe(true);
    await untilEqual(a, b);
    expect(a.hub.counters().chunkBytesSent).toBeLessThan(6 * CHUNK_BYTES);
    expect(a.hub.status()[0]?.followers).toMatchObject([
      { node: 'b', state: 'streaming', lagSeq: 0 },
    ]);
  });

  test('digest: another text for each change of state, the same while records are written', async () => {
    const texts: string[] = [];
    cluster.lead(a, [b]);
    texts.push(a.hub.digest());
    await until('it streams', () => a.hub.status()[0]?.followers[0]?.state === 'streaming');
    const settled = a.hub.digest();
    a.set('key', 'value');
    expect(await a.hub.awaitAck(0, 'b', a.partition.stats().seq, 10_000)).toBe(true);
    expect(a.hub.digest()).toBe(settled);
    texts.push(settled);
    cluster.lead(a, []);
    texts.push(a.hub.digest());
    a.partition.setRole(ROLE_FOLLOWER, a.partition.epoch());
    texts.push(a.hub.digest());
    a.partition.setRole(ROLE_FOLLOWER, a.partition.epoch() + 1);
    texts.push(a.hub.digest());
    expect(new Set(texts).size).toBe(texts.length);
  });

  test('awaitAck: false once the time is up, for a follower that is not there', async () => {
    cluster.lead(a, []);
    expect(await a.hub.awaitAck(0, 'nobody', 1, 20)).toBe(false);
  });

  test('several followers: each gets its own copy', async () => {
    const c = new TestNode('c');
    await cluster.start(c);
    cluster.lead(a, [b, c]);
    a.fill(20);
    await untilEqual(a, b);
    await untilEqual(a, c);
    a.set('one more', 'write');
    await untilEqual(a, b);
    await untilEqual(a, c);
    const fullSyncs = cluster.nodes.map(({ hub }) => hub.counters().fullSyncs);
    expect(fullSyncs.reduce((sum, count) => sum + count)).toBe(2);
  });

  test('a paced sync goes on by itself while nobody writes', async () => {
    const slow = new TestNode('slow', { syncRate: 20_000_000 });
    await cluster.start(slow);
    slow.partition.promote(1, Date.now());
    slow.fill(60);
    cluster.lead(slow, [b]);
    await untilEqual(slow, b);
    expect(slow.eventsNamed('syncFinished')).toMatchObject([{ kind: 'full', passes: 1 }]);
  });

  test('several followers: their redo is read once', async () => {
    const c = new TestNode('c');
    await cluster.start(c);
    cluster.lead(a, [b, c]);
    await untilEqual(a, b);
    await untilEqual(a, c);
    const copies = vi.spyOn(a.partition, 'ringCopy');
    const sentBefore = a.hub.counters().redoBytesSent;
    for (let i = 0; i < 50; i++) {
      a.set(`key:${i}`, Buffer.alloc(1_000, i));
      await untilEqual(a, b);
      await untilEqual(a, c);
    }
    const copied = copies.mock.results.reduce((sum, { value }) => sum + Math.max(0, value), 0);
    expect(copied).toBeLessThan(0.75 * (a.hub.counters().redoBytesSent - sentBefore));
  });

  test('an old primary that comes back is rewound', async () => {
    cluster.lead(a, [b]);
    a.fill(10);
    await untilEqual(a, b);
    cluster.configure(b, { followers: [] });
    b.partition.promote(2, Date.now());
    a.set('lost', 'only the old primary has it');
    b.set('kept', 'the new primary has it');
    cluster.lead(b, [a], { epoch: 2 });
    await untilEqual(b, a);
    expect(a.map.get(Buffer.from('lost'), Date.now())).toBeNull();
    expect(b.eventsNamed('syncFinished').at(-1)).toMatchObject({ kind: 'rewind' });
  });

  test('a rewound copy catches up by stamps like any other', async () => {
    cluster.lead(a, [b]);
    a.fill(5);
    await untilEqual(a, b);
    cluster.configure(b, { followers: [] });
    b.partition.promote(2, Date.now());
    for (let i = 0; i < 30; i++)
      a.map.set(Buffer.from('lost'), Buffer.alloc(9), Date.now() + i * 200);
    cluster.lead(b, [a], { epoch: 2 });
    await untilEqual(b, a);
    cluster.configure(b, { followers: [] });
    await until('a is gone', () => b.hub.status()[0]?.followers.length === 0);
    b.set('while away', 'one write');
    b.lapRing();
    cluster.lead(b, [a], { epoch: 2 });
    await untilEqual(b, a);
    expect(b.eventsNamed('syncFinished').at(-1)).toMatchObject({ kind: 'catch-up' });
  });

  test('detach ends the connection before it returns', async () => {
    cluster.lead(a, [b]);
    await untilEqual(a, b);
    b.hub.detach(0);
    const { seq } = b.partition.stats();
    a.set('after', 'detach');
    await until(
      'the primary noticed',
      () => a.hub.status()[0]?.followers[0]?.state === 'connecting',
    );
    expect(b.partition.stats().seq).toBe(seq);
  });
});

test('nodes that were away themselves blame nobody: the connection goes on', async () => {
  cluster.lead(a, [b]);
  await untilEqual(a, b);
  b.clockAheadMs += 60_000;
  b.hub.wake(); // looks after the connections at once
  expect(b.eventsNamed('connectionLost')).toEqual([]);
  const { bytesSent } = a.hub.counters();
  a.clockAheadMs += 60_000;
  // A sign of life is sent at one look and counted at the next.
  await until('a has looked after its sessions', () => a.hub.counters().bytesSent > bytesSent);
  expect(a.eventsNamed('connectionLost')).toEqual([]);
});

test('a clock that is set back keeps nobody from saying that it is alive', async () => {
  cluster.lead(a, [b]);
  await untilEqual(a, b);
  for (const node of [a, b]) node.clockAheadMs -= 3_600_000;
  // What was on its way is counted first; what comes after that are signs of life.
  for (const sign of ['first', 'second']) {
    const { bytesReceived } = b.hub.counters();
    await until(`b hears a ${sign} time`, () => b.hub.counters().bytesReceived > bytesReceived);
  }
  expect(a.eventsNamed('connectionLost')).toEqual([]);
  expect(b.eventsNamed('connectionLost')).toEqual([]);
});

describe('replication over a bad link', () => {
  let proxy: TestProxy;

  beforeEach(async () => {
    proxy = new TestProxy(a.hub.port);
    cluster.lead(a, [b], { port: await proxy.listen() });
  });

  afterEach(() => proxy.close());

  const away = async (work: () => void): Promise<void> => {
    proxy.down = true;
    proxy.cut();
    await until('b is away', () => a.hub.status()[0]?.followers[0]?.state === 'connecting');
    work();
    proxy.down = false;
  };

  test('stream: a reconnect resumes from the ring and sends no chunk', async () => {
    a.fill(20);
    await untilEqual(a, b);
    const before = a.hub.counters();
    await away(() => a.set('while away', 'x'));
    await untilEqual(a, b);
    const { chunkBytesSent, fullSyncs, partialSyncs } = before;
    expect(a.hub.counters()).toMatchObject({
      chunkBytesSent,
      fullSyncs,
      partialSyncs: partialSyncs + 1,
    });
  });

  test('a clock that is set back does not keep a follower away', async () => {
    await untilEqual(a, b);
    proxy.cut();
    await until('b has lost it', () => b.eventsNamed('connectionLost').length > 0);
    b.clockAheadMs -= 3_600_000;
    a.set('after', 'the clock was set back');
    await untilEqual(a, b);
  });

  test('catch-up: where the ring has moved past the copy, only changed chunks travel', async () => {
    a.fill(60);
    a.set('a later generation', 'x', 60_000);
    await untilEqual(a, b);
    const before = a.hub.counters();
    await away(() => a.lapRing(60_000));
    await untilEqual(a, b);
    const after = a.hub.counters();
    expect(after.fullSyncs).toBe(before.fullSyncs);
    expect(after.partialSyncs).toBe(before.partialSyncs + 1);
    expect(after.chunkBytesSent - before.chunkBytesSent).toBeLessThan(12 * CHUNK_BYTES);
    expect(a.eventsNamed('syncFinished').at(-1)).toMatchObject({
      kind: 'catch-up',
      reason: 'the ring has moved past the copy',
    });
  });

  test('catch-up: a copy cut in the middle of a bulk offers its base and resumes', async () => {
    a.fill(60);
    await untilEqual(a, b);
    const { fullSyncs } = a.hub.counters();
    const base = b.partition.stats().seq;
    proxy.cutAfterBytes = proxy.bytesFromPrimary + 20 * CHUNK_BYTES;
    await away(() => {
      a.lapRing();
      a.fill(50);
    });
    await until('the bulk was cut', () => proxy.cuts === 1);
    expect(b.partition.consistent()).toBe(false);
    expect(b.partition.offer().base).toMatchObject({ epoch: 1, seq: base });
    await untilEqual(a, b);
    expect(a.hub.counters().fullSyncs).toBe(fullSyncs);
    expect(a.eventsNamed('syncFinished').at(-1)).toMatchObject({
      kind: 'catch-up',
      reason: 'the copy was interrupted in the middle of a bulk',
    });
  });

  test('verify waits for a copy that is on its way', async () => {
    a.fill(60);
    await untilEqual(a, b);
    await away(() => {
      a.lapRing();
      a.fill(50);
    });
    await until('b is back', () => a.hub.status()[0]?.followers[0]?.state !== 'connecting');
    const report = await a.hub.verify([0]);
    expect(report).toMatchObject({ differences: [], notChecked: [] });
    expect(report.chunksChecked).toBeGreaterThan(30);
  });

  test('a full sync cut anywhere starts over and ends equal', async () => {
    a.fill(60);
    proxy.cutAfterBytes = 30 * CHUNK_BYTES + 12_345;
    await away(() => {});
    await untilEqual(a, b);
    expect(proxy.cuts).toBe(1);
  });

  test('CHECK: a chunk that differs after a bulk is found, named and repaired', async () => {
    a.fill(60);
    await untilEqual(a, b);
    const { fullSyncs, partialSyncs } = a.hub.counters();
    b.partition.setChecked(false);
    b.partition.imageBuffer[30 * CHUNK_BYTES + 5_000] ^= 1;
    await away(() => {});
    await untilEqual(a, b);
    expect(a.eventsNamed('checkFailed')).toMatchObject([{ partition: 0, chunk: 30, node: 'b' }]);
    expect(a.hub.counters()).toMatchObject({
      checksFailed: 1,
      repairs: 1,
      fullSyncs,
      partialSyncs: partialSyncs + 1, // resumed
    });
    expect(a.eventsNamed('repaired')).toMatchObject([{ partition: 0, chunk: 30, node: 'b' }]);
  });

  test('CHECK: many chunks that differ are sent again as a bulk', async () => {
    a.fill(60);
    await untilEqual(a, b);
    const { partialSyncs } = a.hub.counters();
    b.partition.setChecked(false);
    for (let chunk = 20; chunk < 40; chunk++) b.partition.imageBuffer[chunk * CHUNK_BYTES] ^= 1;
    await away(() => {});
    await untilEqual(a, b);
    expect(a.hub.counters()).toMatchObject({ checksFailed: 20, partialSyncs: partialSyncs + 2 });
    expect(a.eventsNamed('syncFinished').at(-1)).toMatchObject({
      kind: 'catch-up',
      reason: 'a CHECK found chunks that differ',
    });
  });

  test('CHECK: a primary whose own chunk is broken does not spread it, nor promote the copy', async () => {
    a.fill(60);
    await untilEqual(a, b);
    b.partition.setChecked(false);
    a.partition.imageBuffer[30 * CHUNK_BYTES + 24] ^= 1; // a key
    await away(() => {});
    await until('a refusal', () => a.eventsNamed('repairRefused').length > 0);
    expect(a.eventsNamed('repairRefused')).toMatchObject([{ partition: 0, chunk: 30, node: 'b' }]);
    expect(a.hub.counters()).toMatchObject({ repairs: 0, repairsRefused: 1 });
    expect(a.hub.status()[0]?.followers[0]?.state).toBe('checking');
    expect(b.partition.checked()).toBe(false);
    expect(b.partition.verify()).toBeNull();
  });

  test('a follower that stalls costs the primary no memory and falls back to stamps', async () => {
    a.fill(100);
    await untilEqual(a, b);
    proxy.stalled = true;
    const sentBefore = a.hub.counters().bytesSent;
    for (let i = 0; i < 30; i++) {
      a.lapRing();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const ringBytes = a.partition.geometry.ringBytes;
    expect(a.hub.counters().bytesSent - sentBefore).toBeLessThan(30 * ringBytes);
    proxy.resume();
    await untilEqual(a, b);
  });
});

describe('verify', () => {
  test('every chunk of an equal copy is checked while writes go on', async () => {
    cluster.lead(a, [b]);
    a.fill(30);
    await untilEqual(a, b);
    const writing = setInterval(() => a.set('busy', String(Math.random())), 1);
    const report = await a.hub.verify([0]);
    clearInterval(writing);
    expect(report).toMatchObject({ differences: [], notChecked: [] });
    expect(report.chunksChecked).toBeGreaterThan(30);
  });

  test('a flipped byte is named by partition, chunk and node', async () => {
    cluster.lead(a, [b]);
    a.fill(30);
    await untilEqual(a, b);
    b.partition.imageBuffer[20 * CHUNK_BYTES + 77] ^= 0x80;
    const report = await a.hub.verify([0]);
    expect(report.differences).toMatchObject([{ partition: 0, chunk: 20, node: 'b' }]);
  });

  test('what cannot be checked is reported with the reason', async () => {
    cluster.lead(a, [b], { port: 1 });
    expect(await a.hub.verify([0, 9])).toEqual({
      chunksChecked: 0,
      differences: [],
      notChecked: [
        { partition: 0, node: 'b', why: 'it is not connected' },
        { partition: 9, node: 'a', why: 'it does not lead the partition' },
      ],
    });
  });
});

describe('refusals: the follower is told, and both sides log why', () => {
  const refusalOf = async (follower: TestNode): Promise<string> => {
    await until('a refusal', () => follower.eventsNamed('refused').length > 0);
    return String(follower.eventsNamed('refused')[0]?.['reason']);
  };

  const join = async (follower: TestNode): Promise<TestNode> => {
    await cluster.start(follower);
    follower.partition.setRole(ROLE_FOLLOWER, 1);
    return follower;
  };

  test('another cluster', async () => {
    const stranger = await join(new TestNode('b', { clusterId: 'another' }));
    cluster.lead(a, [stranger]);
    expect(await refusalOf(stranger)).toMatch(/^clusterId: .* --join/);
    expect(a.eventsNamed('refused')[0]).toMatchObject({
      code: 'clusterId',
      node: 'b',
      partition: 0,
    });
    await until('it has been refused again', () => a.hub.counters().refusals > 2);
    expect(stranger.eventsNamed('refused').length).toBe(1);
    expect(stranger.eventsNamed('connectionLost').length).toBeLessThanOrEqual(1);
  });

  test('another geometry', async () => {
    const capacityBytes = 16 * 1_048_576;
    const geometry = planGeometry({
      partitions: 1,
      capacityBytes,
      capacityMaxBytes: capacityBytes,
    });
    const larger = await join(new TestNode('b', { geometry }));
    cluster.lead(a, [larger]);
    expect(await refusalOf(larger)).toMatch(/^geometry: chunks per image: 256 there, 128 here/);
  });

  test('a node that the map does not name', async () => {
    const uninvited = await join(new TestNode('z'));
    cluster.lead(a, [b]);
    cluster.configure(uninvited, { followers: ['z'] });
    expect(await refusalOf(uninvited)).toMatch(/^notFollower: /);
  });

  test('a former life of a node', async () => {
    const former = await join(new TestNode('b', { incarnation: 7 }));
    cluster.lead(a, [former]);
    expect(await refusalOf(former)).toMatch(
      /^incarnation: incarnation 7 of b, the map here names 1/,
    );
  });

  test('a node that does not lead', async () => {
    cluster.lead(a, [b], { only: [] });
    cluster.configure(b);
    cluster.configure(a, { primary: 'somebody else' });
    expect(await refusalOf(b)).toMatch(/^notPrimary: /);
  });

  test('another epoch; settled as soon as both have the new map', async () => {
    cluster.lead(a, [b], { only: [] });
    b.partition.setRole(ROLE_FOLLOWER, 2);
    cluster.configure(a);
    cluster.configure(b, { epoch: 2 });
    expect(await refusalOf(b)).toMatch(
      /^epoch: epoch 2 there, 1 here: the primary needs a newer map/,
    );
    cluster.lead(a, [b], { epoch: 2 });
    await untilEqual(a, b);
  });
});
