/** keyv with @keyv/redis (which brings a node-redis of its own): what one instance writes through a node is read
 *  by another through another node; the same with a cluster client. Every error is thrown, none is swallowed. */
import KeyvRedis from '@keyv/redis';
import { Keyv } from 'keyv';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { binary, key, numbers, value } from '../support/dataset.ts';
import { eventually } from '../support/eventually.ts';
import type { LocalCluster } from '../support/local-cluster.ts';

const THROW = { throwOnErrors: true, throwOnConnectError: true };
/** More than @keyv/redis deletes at a time. */
const MANY = 1_200;
const HOUR_MS = 3_600_000;

export function keyvCases(cluster: () => LocalCluster, password: string): void {
  describe.each(['plain', 'cluster'] as const)('keyv with @keyv/redis, %s', (kind) => {
    let writer: Keyv;
    let reader: Keyv;
    const opened: Keyv[] = [];

    function open(node: number, namespace: string, more: object = {}): Keyv {
      const options = { namespace: `${kind} ${namespace}`, ...THROW, ...more };
      const { ports } = cluster().node(node);
      const rootNodes = [{ url: `redis://127.0.0.1:${ports.cluster}` }];
      const store =
        kind === 'plain'
          ? new KeyvRedis(`redis://:${password}@127.0.0.1:${ports.client}`, options)
          : new KeyvRedis({ rootNodes, defaults: { password } }, options);
      const keyv = new Keyv(store, { ...options, useKeyPrefix: false });
      opened.push(keyv);
      return keyv;
    }

    beforeAll(() => {
      writer = open(1, 'keyv');
      reader = open(2, 'keyv');
    });
    afterAll(async () => {
      await Promise.all(opened.map((keyv) => keyv.disconnect()));
    });

    test('values of every kind come back as they went', async () => {
      const values = [
        ...['', 'text', 'Grüße, 世界', value(1).repeat(400), 0, -1.5, false, true],
        ...[[], {}, { deep: [{ er: 'yes' }] }, binary(3, 2_000)],
      ];
      for (const [i, each] of values.entries()) {
        await writer.set(key('kind', i), each);
        expect(await reader.get(key('kind', i))).toEqual(each);
      }
    });

    test('get, has and delete tell what is there', async () => {
      await writer.set('there', 1);
      expect(await reader.has('there')).toBe(true);
      expect(await reader.delete('there')).toBe(true);
      expect(await writer.delete('there')).toBe(false);
      expect(await writer.has('there')).toBe(false);
      expect(await writer.get('there')).toBeUndefined();
    });

    test('a ttl ends for everyone; a later set without one stays', async () => {
      await writer.set('fleeting', 1, 150);
      await writer.set('kept', 1, 150);
      await writer.set('kept', 2);
      await eventually('it is gone', async () => !(await reader.has('fleeting')));
      expect(await writer.get('fleeting')).toBeUndefined();
      expect(await reader.get('kept')).toBe(2);
    });

    test('setMany, getMany, hasMany and deleteMany over all partitions', async () => {
      const names = numbers(300).map((i) => key('many', i));
      await writer.setMany(names.map((name, i) => ({ key: name, value: i, ttl: HOUR_MS })));
      expect(await reader.getMany([...names, 'absent'])).toEqual([...numbers(300), undefined]);
      const raw = await reader.get(names[0], { raw: true });
      expect(raw?.expires).toBeGreaterThan(Date.now());
      expect(await reader.deleteMany(names.slice(0, 200))).toBe(true);
      expect(await writer.hasMany(names)).toEqual(numbers(300).map((i) => i >= 200));
    });

    test('namespaces are apart: iterator and clear keep to their own', async () => {
      const [one, other] = [open(3, 'one'), open(1, 'other')];
      const entries = numbers(MANY).map((i) => ({ key: key('n', i), value: i }));
      await one.setMany(entries);
      await other.setMany(entries.slice(0, 10));
      expect(await entriesOf(open(2, 'one'))).toEqual(
        new Map(numbers(MANY).map((i) => [key('n', i), i])),
      );
      await open(2, 'one').clear();
      expect((await entriesOf(one)).size).toBe(0);
      expect((await entriesOf(other)).size).toBe(10);
    });

    test('clear of everything, where that is asked for, is FLUSHDB', async () => {
      await writer.set('somewhere', 1);
      await open(3, '', { noNamespaceAffectsAll: true, namespace: undefined }).clear();
      expect(await reader.has('somewhere')).toBe(false);
      await eventually('no key is left', async () => (await cluster().sum('ingot_keys')) === 0);
    });
  });
}

async function entriesOf(keyv: Keyv): Promise<Map<string, unknown>> {
  const found = new Map<string, unknown>();
  for await (const [name, content] of keyv.iterator?.(undefined) ?? []) {
    expect(found.has(name as string)).toBe(false);
    found.set(name as string, content);
  }
  return found;
}
