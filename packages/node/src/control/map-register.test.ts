import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ClusterMap, nodeOf } from '../shared/map.ts';
import { ControlClient } from './control-client.ts';
import {
  controlAddress,
  freePort,
  isBalanced,
  type TestMember,
  TestMembers,
  until,
} from './control-plane.fixture.ts';

let members: TestMembers;

beforeEach(() => {
  members = new TestMembers();
});

afterEach(async () => {
  await members.close();
});

describe('map register', () => {
  const voices = (map: ClusterMap): string[] => map.acceptors.current.map(({ node }) => node);
  const isDecidedByThree = (map: ClusterMap): boolean =>
    voices(map).length === 3 && map.acceptors.next === null;

  async function threeVoices(): Promise<[TestMember, TestMember, TestMember]> {
    const all = await members.three();
    await members.settled((map) => isDecidedByThree(map) && isBalanced(map));
    return all;
  }

  test('a single node decides alone, three decide together', async () => {
    const n1 = await members.start('n1', { found: true });
    expect(voices(n1.plane.map())).toEqual(['n1']);
    const join = [controlAddress(n1)];
    await Promise.all([members.start('n2', { join }), members.start('n3', { join })]);
    await members.settled(isDecidedByThree);
    expect(voices(n1.plane.map()).toSorted()).toEqual(['n1', 'n2', 'n3']);
  });

  test('without the founder a new node joins, and everybody knows of it', async () => {
    const [n1, n2, n3] = await threeVoices();
    await n1.stop();
    const n4 = await members.start('n4', { join: [n1, n2, n3].map(controlAddress) });
    await members.settled(
      (map) => nodeOf(map, 'n4') !== null && nodeOf(map, 'n1')?.state === 'down',
    );
    expect(nodeOf(n4.plane.map(), 'n4')).toMatchObject({ incarnation: 1, state: 'up' });
  });

  test('any node proposes, and is told of the map before the answer', async () => {
    const [, n2, n3] = await threeVoices();
    const seen: number[] = [];
    n3.plane.onMap(({ version }) => seen.push(version));
    const map = await n3.plane.propose((current) => ({ ...current, minIsr: 2 }));
    expect(seen).toContain(map.version);
    await until(() => n2.plane.map().minIsr === 2);
  });

  test('a majority goes on; without one nothing is decided, until one is back', async () => {
    const [n1, n2, n3] = await threeVoices();
    await n3.stop();
    await n1.plane.propose((current) => ({ ...current, minIsr: 2 }));
    await n2.stop();
    const alone = n1.plane.propose((current) => ({ ...current, minIsr: 1 }));
    await expect(alone).rejects.toThrow(/no majority/);
    await members.start('n2', { ports: n2.settings.ports });
    await until(() => nodeOf(n1.plane.map(), 'n2')?.incarnation === 2);
  });

  test('a cluster of which every node was stopped starts again, whoever is first', async () => {
    const all = await threeVoices();
    const before = all[0].plane.map();
    for (const member of all) await member.stop();
    const again = await Promise.all(
      all.toReversed().map(({ settings: { id, ports } }) => members.start(id, { ports })),
    );
    for (const { plane } of again) expect(plane.map().version).toBeGreaterThan(before.version);
    await members.settled((map) => map.nodes.every(({ incarnation }) => incarnation === 2));
  });

  test('a cluster whose nodes all moved starts again by --join', async () => {
    const all = await threeVoices();
    for (const member of all) await member.stop();
    const moved: Record<string, number> = {};
    for (const { settings } of all) moved[settings.id] = await freePort();
    const join = Object.values(moved).map((port) => `127.0.0.1:${port}`);
    await Promise.all(
      all.map(({ settings: { id, ports } }) =>
        members.start(id, { ports: { ...ports, control: moved[id] }, join }),
      ),
    );
    await members.settled((map) =>
      map.nodes.every(
        ({ id, incarnation, ports }) => incarnation === 2 && ports.control === moved[id],
      ),
    );
  });

  test('a node of which nothing is left but a fence begins after it', async () => {
    const n1 = await members.start('n1', { found: true });
    const client = new ControlClient(controlAddress(n1), n1.plane.map().clusterId);
    const life = { node: 'n9', incarnation: 3 };
    const question = { life, askOnly: false, byOwner: true };
    expect(await client.fence(n1.identity.acceptor(), question)).toEqual({ kind: 'agreed' });
    client.close();
    const n9 = await members.start('n9', { join: [controlAddress(n1)] });
    expect(nodeOf(n9.plane.map(), 'n9')?.incarnation).toBe(4);
  });

  test('a node whose disk was wiped votes as another acceptor', async () => {
    const [n1, , n3] = await threeVoices();
    const former = n3.identity.acceptor();
    await n3.stop();
    await until(() => nodeOf(n1.plane.map(), 'n3')?.state === 'down');
    const wiped = await members.start('n3', {
      dataDir: members.dataDir('wiped'),
      join: [controlAddress(n1)],
    });
    expect(wiped.identity.acceptor()).not.toBe(former);
    await members.settled((map) => {
      const ids = map.acceptors.current.map(({ id }) => id);
      return isDecidedByThree(map) && ids.includes(wiped.identity.acceptor());
    });
  });
});
