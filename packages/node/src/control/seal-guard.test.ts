import { beforeEach, describe, expect, test, vi } from 'vitest';
import { plainNode } from '../shared/map.fixture.ts';
import type { ClusterMap } from '../shared/map.ts';
import { sealKeptMs, sealUsableMs } from './handovers.ts';
import { withFollowerAdded, withNewLife, withPrimary } from './map-changes.ts';
import { SealGuard } from './seal-guard.ts';
import { mapFoundedBy } from './simulated-cluster.fixture.ts';
import { SimulatedNode } from './simulated-node.fixture.ts';

const n2 = plainNode('n2');
const founded = mapFoundedBy('n1', { partitions: 1, copies: 2 });
const joined = withFollowerAdded(withNewLife(founded, n2), 0, 'n2');

const alreadySealed = expect.stringContaining('sealed already');

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
    propose: async (change) => {
      if (hosted === null) throw new Error('no majority answers');
      hosted = change(hosted);
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

/** The newest map arrives. */
function arrives(): void {
  map = hosted as ClusterMap;
  node.apply({ ...map, version: map.version + 1 });
}

function fire(): void {
  const [timer] = pending.splice(0, 1);
  timer.fire();
}

describe('seal guard', () => {
  test('a seal that nobody used is over with its epoch', async () => {
    expect(await guard.seal(0, 1, 'n2')).toMatchObject({ ok: true });
    expect(pending.map(({ delayMs }) => delayMs)).toEqual([sealKeptMs]);
    expect(sealKeptMs).toBeGreaterThan(sealUsableMs);
    fire();
    await settled();
    expect(hosted?.placement[0]).toMatchObject({ primary: 'n1', epoch: 2, followers: ['n2'] });
    expect(isSealed()).toBe(true);
    arrives();
    expect(isSealed()).toBe(false);
  });

  test('a handover that the map has and this node has not heard of is not undone', async () => {
    await guard.seal(0, 1, 'n2');
    hosted = withPrimary(joined, 0, 'n2');
    const handedOver = hosted;
    fire();
    await settled();
    expect(hosted).toBe(handedOver);
    expect(isSealed()).toBe(true);
    expect(pending).toEqual([]);
  });

  test('while nobody can say who leads, a partition stays sealed and asks again', async () => {
    await guard.seal(0, 1, 'n2');
    hosted = null;
    fire();
    await vi.waitFor(() => expect(pending).toHaveLength(1));
    expect(isSealed()).toBe(true);
    hosted = joined;
    fire();
    await settled();
    arrives();
    expect(isSealed()).toBe(false);
  });

  test('an Unseal unseals at once, and for good', async () => {
    const { sealId } = await guard.seal(0, 1, 'n2');
    guard.unseal(0, sealId);
    expect(isSealed()).toBe(false);
    expect(pending).toEqual([]);
  });

  test('after the handover neither the timer nor a late Unseal changes anything', async () => {
    const { sealId } = await guard.seal(0, 1, 'n2');
    map = withPrimary(joined, 0, 'n2');
    hosted = map;
    fire();
    guard.unseal(0, sealId);
    await settled();
    expect(isSealed()).toBe(true);
    expect(hosted).toBe(map);
  });

  test('a second seal is refused while the first holds, or is being made', async () => {
    const sealing = guard.seal(0, 1, 'n2');
    expect(await guard.seal(0, 1, 'n2')).toMatchObject({ ok: false, why: alreadySealed });
    const first = await sealing;
    expect(await guard.seal(0, 1, 'n2')).toMatchObject({ ok: false, why: alreadySealed });
    expect(isSealed()).toBe(true);
    guard.unseal(0, first.sealId);
    expect(await guard.seal(0, 1, 'n2')).toMatchObject({ ok: true });
  });

  test('a seal of an epoch that is over holds up no other', async () => {
    const first = await guard.seal(0, 1, 'n2');
    hosted = withPrimary(withPrimary(joined, 0, 'n2'), 0, 'n1');
    arrives();
    node.copies.get(0)?.followers.set('n2', 'streaming');
    expect(await guard.seal(0, 3, 'n2')).toMatchObject({ ok: true });
    guard.unseal(0, first.sealId);
    expect(isSealed()).toBe(true);
    expect(pending).toHaveLength(1);
  });

  test('a seal for another epoch, or of a partition led elsewhere, is refused', async () => {
    expect(await guard.seal(0, 2, 'n2')).toMatchObject({ ok: false });
    map = withPrimary(joined, 0, 'n2');
    expect(await guard.seal(0, 2, 'n1')).toMatchObject({ ok: false });
    expect(isSealed()).toBe(false);
  });
});
