import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { ClusterMap } from '../shared/map.ts';
import { sealKeptMs, sealUsableMs } from './handovers.ts';
import { withFollowerAdded, withNewLife, withPrimary } from './map-changes.ts';
import { SealGuard } from './seal-guard.ts';
import { anyPorts, mapFoundedBy } from './simulated-cluster.fixture.ts';
import { SimulatedNode } from './simulated-node.fixture.ts';

const n2 = {
  id: 'n2',
  incarnation: 1,
  state: 'up',
  fencedThrough: 0,
  acceptor: 'a1',
  witness: false,
  advertise: 'h',
  ports: anyPorts,
} as const;
const founded = mapFoundedBy('n1', { partitions: 1, copies: 2 });
const joined = withFollowerAdded(withNewLife(founded, n2), 0, 'n2');

let map = joined;
/** What the register would answer; null: it cannot be asked. */
let hosted: ClusterMap | null;
let node: SimulatedNode;
let guard: SealGuard;
let pending: { delayMs: number; fire: () => void }[];

beforeEach(() => {
  map = joined;
  hosted = joined;
  pending = [];
  node = new SimulatedNode('n1', 1);
  node.apply(joined);
  node.copies.get(0)?.followers.set('n2', 'streaming');
  guard = new SealGuard({
    node,
    self: 'n1',
    map: () => map,
    readMap: async () => {
      if (hosted === null) throw new Error('no majority answers');
      return hosted;
    },
    later: (delayMs, fire) => {
      const timer = { delayMs, fire };
      pending.push(timer);
      return () => {
        pending = pending.filter((other) => other !== timer);
      };
    },
  });
});

/** Whatever was asked has been answered. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function isSealed(): boolean | undefined {
  return node.copies.get(0)?.sealed;
}

describe('seal guard', () => {
  test('a primary stays sealed longer than a coordinator uses the seal, then unseals', async () => {
    expect(await guard.seal(0, 1, 'n2')).toMatchObject({ ok: true });
    expect(pending.map(({ delayMs }) => delayMs)).toEqual([sealKeptMs]);
    expect(sealKeptMs).toBeGreaterThan(sealUsableMs);
    expect(isSealed()).toBe(true);
    pending[0].fire();
    await vi.waitFor(() => expect(isSealed()).toBe(false));
  });

  test('a handover that the map has and this node has not heard of is not undone', async () => {
    await guard.seal(0, 1, 'n2');
    hosted = withPrimary(joined, 0, 'n2');
    const [timer] = pending;
    pending = [];
    timer.fire();
    await settled();
    expect(isSealed()).toBe(true);
    expect(pending).toEqual([]);
  });

  test('while nobody can say who leads, a partition stays sealed and asks again', async () => {
    await guard.seal(0, 1, 'n2');
    hosted = null;
    const [timer] = pending;
    pending = [];
    timer.fire();
    await vi.waitFor(() => expect(pending).toHaveLength(1));
    expect(isSealed()).toBe(true);
    hosted = joined;
    pending[0].fire();
    await vi.waitFor(() => expect(isSealed()).toBe(false));
  });

  test('an Unseal unseals at once, and for good', async () => {
    const { sealId } = await guard.seal(0, 1, 'n2');
    guard.unseal(0, sealId);
    expect(isSealed()).toBe(false);
    expect(pending).toEqual([]);
  });

  test('after the handover neither the timer nor a late Unseal changes anything', async () => {
    const { sealId } = await guard.seal(0, 1, 'n2');
    const [timer] = pending;
    map = withPrimary(joined, 0, 'n2');
    guard.unseal(0, sealId);
    timer.fire();
    await settled();
    expect(isSealed()).toBe(true);
  });

  test('a second seal is lifted neither by the timer nor by an Unseal of the first', async () => {
    const first = await guard.seal(0, 1, 'n2');
    const [firstTimer] = pending;
    const second = await guard.seal(0, 1, 'n2');
    firstTimer.fire();
    await settled();
    guard.unseal(0, first.sealId);
    expect(isSealed()).toBe(true);
    guard.unseal(0, second.sealId);
    expect(isSealed()).toBe(false);
  });

  test('a seal for another epoch, or of a partition led elsewhere, is refused', async () => {
    expect(await guard.seal(0, 2, 'n2')).toMatchObject({ ok: false });
    map = withPrimary(joined, 0, 'n2');
    expect(await guard.seal(0, 2, 'n1')).toMatchObject({ ok: false });
    expect(isSealed()).toBe(false);
  });
});
