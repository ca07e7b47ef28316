import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TestCluster, TestNode, until, untilEqual } from './cluster.fixture.ts';

const FILLED_CHUNKS = 40;

let cluster: TestCluster;
let a: TestNode;
let b: TestNode;
let c: TestNode;

beforeEach(async () => {
  cluster = new TestCluster();
  a = new TestNode('a');
  b = new TestNode('b');
  c = new TestNode('c');
  await cluster.start(a, b, c);
  cluster.lead(a, []);
  a.fill(FILLED_CHUNKS);
});

afterEach(async () => {
  await cluster.stop();
});

describe('a new copy is fed by a follower', () => {
  test('its bulk comes from there; then the primary has it, without another', async () => {
    cluster.lead(a, [b]);
    await untilEqual(a, b);
    const { chunkBytesSent } = a.hub.counters();
    cluster.lead(a, [b, c]);
    await untilEqual(a, c);
    expect(a.hub.counters().chunkBytesSent).toBe(chunkBytesSent);
    expect(b.hub.counters().chunkBytesRelayed).toBeGreaterThan(FILLED_CHUNKS * 60_000);
    expect(a.hub.counters()).toMatchObject({ seedsSent: 1, seedsDone: 1, seedsFailed: 0 });
    await until('it is at the primary', () =>
      a.hub.status()[0].followers.every(({ state }) => state === 'streaming'),
    );
  });

  test('its source ends in the middle: it goes on at the primary, with what has landed', async () => {
    const slow = new TestNode('slow', { syncRate: 4_000_000 });
    await cluster.start(slow);
    cluster.lead(a, [slow]);
    await untilEqual(a, slow);
    const { chunkBytesSent } = a.hub.counters();
    cluster.lead(a, [slow, c]);
    await until('some of it has come', () => slow.hub.counters().chunkBytesRelayed > 1_000_000);
    await slow.hub.close();
    await untilEqual(a, c);
    const relayed = slow.hub.counters().chunkBytesRelayed;
    const sent = a.hub.counters().chunkBytesSent - chunkBytesSent;
    expect(a.hub.counters()).toMatchObject({ seedsFailed: 1, fullSyncs: 1 });
    expect(sent + relayed).toBeLessThan(1.5 * a.partition.chunksTouched() * 65_536);
  });

  test('the copy of its source is made anew: it is let go of first', async () => {
    const slow = new TestNode('slow', { syncRate: 4_000_000 });
    await cluster.start(slow);
    cluster.lead(a, [slow]);
    await untilEqual(a, slow);
    cluster.lead(a, [slow, c]);
    await until('it is fed', () => slow.hub.status()[0].feeds.includes('c'));
    expect(a.hub.status()[0].followers[1]).toMatchObject({ node: 'c', source: 'slow' });
    slow.hub.detach(0);
    slow.partition.reset();
    slow.hub.attach(slow.partition);
    await untilEqual(a, c);
    await untilEqual(a, slow);
  });

  test('a follower that refuses: the primary feeds the copy', async () => {
    cluster.lead(a, [b]);
    await untilEqual(a, b);
    cluster.lead(a, [b, c], { only: [a, c] });
    await untilEqual(a, c);
    // The map at b does not name c yet.
    expect(a.hub.counters().seedsFailed).toBe(1);
    expect(a.hub.counters().fullSyncs).toBe(2);
  });

  test('where it is turned off, and for copies of a few chunks, the primary does it', async () => {
    const off = new TestNode('off', { seeding: false });
    await cluster.start(off);
    cluster.lead(a, [b]);
    await untilEqual(a, b);
    cluster.lead(a, [b, off]);
    await untilEqual(a, off);
    expect(a.hub.counters()).toMatchObject({ seedsSent: 0, fullSyncs: 2 });
  });
});

describe('a crowd', () => {
  const joiners = 20;

  test(`${joiners} joiners at once: at most two images leave the primary`, async () => {
    const crowd = Array.from({ length: joiners }, (_, i) => new TestNode(`j${i}`));
    await cluster.start(...crowd);
    cluster.lead(a, crowd);
    let writes = 0;
    for (const joiner of crowd) {
      await until(`${joiner.id} has its copy`, () => {
        if (writes < 2_000) a.set(`written:${writes % 50}`, `${writes++}`);
        return joiner.partition.consistent();
      });
    }
    await Promise.all(crowd.map((joiner) => untilEqual(a, joiner)));
    const image = a.partition.chunksTouched() * 65_536;
    const sent = a.hub.counters().chunkBytesSent;
    const relayed = crowd.map(({ hub }) => hub.counters().chunkBytesRelayed);
    expect(sent).toBeGreaterThanOrEqual(0.9 * image);
    expect(sent).toBeLessThanOrEqual(2 * image);
    expect(relayed.reduce((sum, bytes) => sum + bytes)).toBeGreaterThan(0.9 * 18 * image);
    expect(a.hub.status()[0].followers.every(({ state }) => state === 'streaming')).toBe(true);
  });
});
