import { CHUNK_BYTES, hashKey } from '@ingot/store';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TestCluster, TestNode, until, untilEqual } from './cluster.fixture.ts';

/** A round is spread over so long: every chunk is looked at within it. */
const scrubEveryMs = 500;
const INDEX_CHUNK = 2;

let cluster: TestCluster;
let a: TestNode;
let b: TestNode;
let c: TestNode;

beforeEach(async () => {
  cluster = new TestCluster();
  a = new TestNode('a', { scrubEveryMs });
  b = new TestNode('b');
  c = new TestNode('c');
  await cluster.start(a, b, c);
});

afterEach(() => cluster.stop());

/** Places followers and waits until they are in step. */
async function follow(...followers: TestNode[]): Promise<void> {
  cluster.lead(a, followers);
  a.fill(30);
  for (let i = 0; i < 300; i++) a.set(`small:${i}`, `value ${i}`);
  for (const follower of followers) await untilEqual(a, follower);
}

const flip = (node: TestNode, chunk: number, byte: number, bit: number = 0x40): void => {
  node.partition.imageBuffer[chunk * CHUNK_BYTES + byte] ^= bit;
};

const imageEquals = (one: TestNode, other: TestNode): boolean =>
  one.partition.imageBuffer.equals(other.partition.imageBuffer);

const roundsOf = (node: TestNode): number => node.hub.scrubStatus().rounds;

async function rounds(count: number): Promise<void> {
  const from = roundsOf(a);
  await until(`${count} more rounds of the scrub`, () => roundsOf(a) >= from + count);
}

describe('scrub', () => {
  test('a byte that flips in the memory of a follower is found, repaired and found equal', async () => {
    await follow(b);
    const { fullSyncs, partialSyncs } = a.hub.counters();
    flip(b, 20, 4_000);
    await until('the repair', () => a.hub.counters().repairs === 1);
    await untilEqual(a, b);
    expect(b.partition.verify()).toBeNull();
    expect(a.hub.counters()).toMatchObject({ fullSyncs, partialSyncs, repairsRefused: 0 });
    expect(a.eventsNamed('checkFailed')[0]).toMatchObject({ partition: 0, chunk: 20, node: 'b' });
    expect(a.eventsNamed('repaired')).toMatchObject([{ partition: 0, chunk: 20, node: 'b' }]);
    expect(b.partition.checked()).toBe(true);
  });

  test('the same under writes to the very chunk', async () => {
    await follow(b);
    const key = Buffer.from('small:7');
    const chunk = a.partition.find(hashKey(key, 0, key.length), key, 0, key.length, 1) >>> 16;
    let n = 0;
    const writing = setInterval(() => a.set(`small:${n++ % 300}`, `another value ${n}`), 1);
    flip(b, chunk, CHUNK_BYTES - 8);
    await until('the repair', () => a.hub.counters().repairs === 1);
    clearInterval(writing);
    await untilEqual(a, b);
    expect(b.partition.verify()).toBeNull();
  });

  test('a damaged index is repaired, and the copy can be promoted and written to', async () => {
    await follow(b);
    for (let byte = 0; byte < 4_096; byte += 60) flip(b, INDEX_CHUNK, byte);
    a.set('while damaged', 'x');
    await until('the repair', () => a.hub.counters().repairs >= 1);
    await untilEqual(a, b);
    expect(b.partition.verify()).toBeNull();
    cluster.configure(b, { followers: [] });
    b.partition.promote(2, Date.now());
    b.set('small:7', 'written by the new primary');
    expect(b.map.get(Buffer.from('while damaged'), Date.now())?.toString()).toBe('x');
    expect(b.partition.verify()).toBeNull();
  });

  test('more damage than was found: the copy says that it is unsound and is copied whole', async () => {
    await follow(b);
    const { fullSyncs } = a.hub.counters();
    // The index refers to records that its repaired neighbour never had.
    b.partition.image32.fill(0x1234_5671, INDEX_CHUNK << 14, (INDEX_CHUNK + 1) << 14);
    b.partition.image32.fill(-1, 1 << 14, (1 << 14) + 40);
    await until('a full sync', () => a.hub.counters().fullSyncs === fullSyncs + 1);
    await untilEqual(a, b);
    expect(b.partition.verify()).toBeNull();
  });

  test('a third copy decides: what only it and the primary have is right, whatever the structure', async () => {
    await follow(b, c);
    flip(b, 20, 4_000);
    await until('the repair', () => a.hub.counters().repairs === 1);
    await untilEqual(a, b);
    expect(imageEquals(a, c)).toBe(true);
    expect(a.eventsNamed('repaired')).toMatchObject([{ node: 'b', chunk: 20 }]);
  });

  test('a primary that is outvoted is alarmed, and spreads nothing', async () => {
    await follow(b, c);
    flip(a, 20, 4_000);
    await rounds(2);
    expect(a.hub.counters().repairs).toBe(0);
    expect(a.hub.counters().repairsRefused).toBeGreaterThan(0);
    expect(a.eventsNamed('repairRefused')[0]).toMatchObject({
      level: 'error',
      partition: 0,
      chunk: 20,
      node: 'b, c',
      why: '2 followers agree with each other against the primary',
    });
    expect(imageEquals(b, c)).toBe(true);
    expect(imageEquals(a, b)).toBe(false);
  });

  test('of two copies a primary whose own record is broken is not believed', async () => {
    await follow(b);
    flip(a, 20, 25);
    await until('the alarm', () => a.hub.counters().repairsRefused > 0);
    expect(a.hub.counters().repairs).toBe(0);
    expect(b.partition.verify()).toBeNull();
  });

  test('one marker per chunk and round serves all followers', async () => {
    await follow(b, c);
    await rounds(1);
    const before = { ...a.hub.counters(), rounds: roundsOf(a) };
    await rounds(2);
    const after = { ...a.hub.counters(), rounds: roundsOf(a) };
    const perRound = (after.scrubChunks - before.scrubChunks) / (after.rounds - before.rounds);
    const chunks = a.partition.chunksTouched();
    expect(perRound).toBeGreaterThan(chunks * 0.5);
    expect(perRound).toBeLessThan(chunks * 1.5);
    const answers = (after.checks - before.checks) / (after.scrubChunks - before.scrubChunks);
    expect(answers).toBeGreaterThan(1.5);
    expect(answers).toBeLessThan(2.5);
    expect(after.checksFailed).toBe(0);
  });

  test('with nobody to compare with it rests', async () => {
    cluster.lead(a, [b], { port: 1 });
    a.set('k', 'v');
    await until('b is tried', () => b.eventsNamed('connectionLost').length > 0);
    expect(a.hub.scrubStatus()).toMatchObject({ everyMs: scrubEveryMs, rounds: 0, chunksDone: 0 });
    expect(a.hub.counters().scrubChunks).toBe(0);
  });
});

describe('verify', () => {
  test('reports a difference and has it repaired', async () => {
    const quiet = new TestNode('q');
    await cluster.start(quiet);
    cluster.lead(quiet, [b]);
    quiet.fill(20);
    await untilEqual(quiet, b);
    flip(b, 10, 999);
    flip(b, 12, 999);
    const report = await quiet.hub.verify([0]);
    expect(report.differences).toMatchObject([
      { partition: 0, chunk: 10, node: 'b', repaired: true, why: '' },
      { partition: 0, chunk: 12, node: 'b', repaired: true, why: '' },
    ]);
    await untilEqual(quiet, b);
    expect((await quiet.hub.verify([0])).differences).toEqual([]);
  });

  test('several at once, beside the scrub, each compare every chunk of every follower', async () => {
    await follow(b, c);
    flip(b, 20, 4_000);
    const reports = await Promise.all([a.hub.verify([0]), a.hub.verify([0]), a.hub.verify([0])]);
    const chunks = a.partition.chunksTouched();
    for (const { chunksChecked, notChecked } of reports) {
      expect(chunksChecked).toBeGreaterThanOrEqual(2 * chunks);
      expect(notChecked).toEqual([]);
    }
    await untilEqual(a, b);
    expect(a.hub.counters().repairs).toBe(1);
  });

  test('says why a difference was not repaired', async () => {
    await follow(b, c);
    flip(a, 20, 4_000);
    const { differences } = await a.hub.verify([0]);
    expect(differences).toMatchObject([
      { chunk: 20, node: 'b', repaired: false },
      { chunk: 20, node: 'c', repaired: false },
    ]);
    expect(differences[0]?.why).toMatch(/2 followers agree/);
  });
});
