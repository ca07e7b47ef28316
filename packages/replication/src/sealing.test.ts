import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TestCluster, TestNode, until, untilEqual } from './cluster.fixture.ts';

let cluster: TestCluster;
let a: TestNode;
let b: TestNode;

beforeEach(async () => {
  cluster = new TestCluster();
  a = new TestNode('a');
  b = new TestNode('b');
  await cluster.start(a, b);
  cluster.lead(a, [b]);
  a.fill(5);
  await untilEqual(a, b);
});

afterEach(() => cluster.stop());

const followersAt = (node: TestNode): string | undefined =>
  node.hub.status()[0]?.followers[0]?.state;

describe('sealing of copies', () => {
  test('nothing more of the sealed epoch gets in, and the copy says how far it is', async () => {
    const [sealed] = b.hub.sealCopies([{ id: 0, epoch: 1 }]);
    const { seq } = b.partition.stats();
    expect(sealed).toEqual({ id: 0, epoch: 1, applied: seq, consistent: true, recovered: false });
    a.set('after', 'the seal');
    await until('the primary has lost its follower', () => followersAt(a) === 'connecting');
    cluster.configure(b);
    b.hub.wake();
    expect(await a.hub.awaitAck(0, 'b', a.partition.stats().seq, 300)).toBe(false);
    expect(b.partition.stats().seq).toBe(seq);
  });

  test('a map with a later epoch lifts it', async () => {
    b.hub.sealCopies([{ id: 0, epoch: 1 }]);
    a.partition.promote(2, Date.now());
    cluster.lead(a, [b], { epoch: 2 });
    await untilEqual(a, b);
    expect(b.hub.sealCopies([{ id: 0, epoch: 1 }])).toMatchObject([{ epoch: 2, consistent: true }]);
    a.set('the seal', 'of an older epoch stops nothing');
    await untilEqual(a, b);
  });

  test('a copy in the middle of a bulk may not lead, and where none is nothing is said', async () => {
    const c = new TestNode('c', { syncRate: 1_000_000 });
    const d = new TestNode('d');
    await cluster.start(c, d);
    c.partition.promote(1, Date.now());
    c.fill(100);
    cluster.lead(c, [d]);
    await until('the bulk has begun', () => d.partition.stats().usedBytes > 0);
    expect(
      d.hub.sealCopies([
        { id: 0, epoch: 1 },
        { id: 7, epoch: 1 },
      ]),
    ).toMatchObject([{ id: 0, consistent: false }]);
  });

  test('what leads is no copy to seal', () => {
    expect(a.hub.sealCopies([{ id: 0, epoch: 1 }])).toEqual([]);
  });
});
