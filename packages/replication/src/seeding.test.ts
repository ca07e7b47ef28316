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
});
