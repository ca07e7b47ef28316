import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ledBy, nodeOf } from '../shared/map.ts';
import { ControlClient } from './control-client.ts';
import {
  controlAddress,
  freePort,
  isBalanced,
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

describe('control plane: joining', () => {
  test('three nodes found and join, and all see one balanced map', async () => {
    const [n1, n2, n3] = await members.three();
    const { version } = n1.plane.map();
    await until(() => [n2, n3].every(({ plane }) => plane.map().version >= version));
    expect(n2.plane.map().nodes.map(({ state }) => state)).toEqual(['up', 'up', 'up']);
    expect(n3.plane.map()).toEqual(n1.plane.map());
  });

  test('any member leads a new one to the node that coordinates', async () => {
    const n1 = await members.start('n1', { found: true });
    const n2 = await members.start('n2', { join: [controlAddress(n1)] });
    const n3 = await members.start('n3', { join: [controlAddress(n2)] });
    expect(nodeOf(n3.plane.map(), 'n3')).toMatchObject({ incarnation: 1, state: 'up' });
  });

  test('a node with neither --found nor --join nor a cluster is told so', async () => {
    await expect(members.start('n1')).rejects.toMatchObject({ code: 'USAGE', exitCode: 2 });
  });

  test('a cluster is not founded next to one that answers', async () => {
    const n1 = await members.start('n1', { found: true });
    const start = members.start('n2', { found: true, join: [controlAddress(n1)] });
    await expect(start).rejects.toMatchObject({ code: 'CLUSTER_EXISTS', exitCode: 4 });
  });

  test('a data dir of another cluster is refused in one sentence', async () => {
    const n1 = await members.start('n1', { found: true });
    const other = await members.start('n2', { found: true });
    await other.stop();
    const start = members.start('n2', { join: [controlAddress(n1)] });
    await expect(start).rejects.toMatchObject({ code: 'OTHER_CLUSTER', exitCode: 4 });
  });

  test('an id that is in use is refused', async () => {
    const [n1] = await members.three();
    const start = members.start('n2', {
      join: [controlAddress(n1)],
      dataDir: members.dataDir('elsewhere'),
    });
    await expect(start).rejects.toMatchObject({ code: 'NODE_ID_IN_USE', exitCode: 4 });
  });

  test('a control port in use is named', async () => {
    const n1 = await members.start('n1', { found: true });
    const start = members.start('n2', { found: true, ports: n1.settings.ports });
    await expect(start).rejects.toMatchObject({ code: 'PORT_IN_USE', exitCode: 4 });
  });

  test('capacity that no geometry fits is refused before anything is founded', async () => {
    const start = members.start('n1', { found: true, capacityBytes: 2 ** 20, partitions: 64 });
    await expect(start).rejects.toMatchObject({ code: 'USAGE', exitCode: 2 });
  });
});

describe('control plane: going and returning', () => {
  test('a member that returns is a new life, leads nothing at first, and needs no --join', async () => {
    const [n1, n2] = await members.three();
    const led = ledBy(n1.plane.map(), 'n2');
    for (const partition of led) n2.node.write(partition);
    members.replicate();
    await n2.stop();
    const again = await members.start('n2');
    expect(nodeOf(again.plane.map(), 'n2')?.incarnation).toBe(2);
    expect(ledBy(again.plane.map(), 'n2')).toEqual([]);
    await members.settled(isBalanced);
    for (const partition of led) {
      const leader = n1.plane.map().placement[partition];
      expect(leader.lost).toBe(false);
      expect(leader.epoch).toBeGreaterThan(1);
    }
  });

  test('the founder returns: the others go on meanwhile, and nothing is lost', async () => {
    const [n1, n2, n3] = await members.three();
    const led = ledBy(n1.plane.map(), 'n1');
    for (const partition of led) n1.node.write(partition);
    members.replicate();
    await n1.stop();
    await until(() => n2.log.events().includes('acceptor.away'));
    expect(n3.plane.map().nodes).toHaveLength(3);

    const again = await members.start('n1', { ports: n1.settings.ports });
    expect(nodeOf(again.plane.map(), 'n1')?.incarnation).toBe(2);
    await members.settled((map) => nodeOf(map, 'n1')?.incarnation === 2 && isBalanced(map));
    const { placement } = again.plane.map();
    expect(placement.some(({ lost }) => lost)).toBe(false);
    for (const partition of led) {
      const { primary, followers } = placement[partition];
      const seqs = [primary, ...followers].map((id) => {
        const holder = [again, n2, n3].find(({ settings }) => settings.id === id);
        return holder?.node.copies.get(partition)?.seq;
      });
      expect(seqs).toEqual([1, 1]);
    }
  });

  test('a member that ends is down within seconds, and the map says so everywhere', async () => {
    const [n1, n2, n3] = await members.three();
    await n3.stop();
    await until(() => nodeOf(n2.plane.map(), 'n3')?.state === 'down');
    expect(n1.log.events()).toContain('node.down');
  });

  test('a node whose place another process has taken is told', async () => {
    const [n1, n2] = await members.three();
    const client = new ControlClient(controlAddress(n1), null);
    const { id, advertise, ports } = n2.settings;
    const clusterId = n1.plane.map().clusterId;
    const acceptor = n2.identity.acceptor();
    const request = { id, advertise, ports, clusterId, lastIncarnation: 1, acceptor };
    await client.join({
      ...request,
      witness: false,
      memoryOf: 0,
      memoryIn: [],
      started: true,
      joinId: 'a later start',
    });
    await until(() => n2.node.retirements.length > 0);
    expect(n2.node.retirements[0]).toMatch(/another process/);
    client.close();
  });

  test('a member that is told to leave ends as one that has left', async () => {
    const [n1, , n3] = await members.three();
    const client = new ControlClient(controlAddress(n1), null);
    const left = client.leave('n3');
    await until(() => {
      members.replicate();
      return n3.node.hasLeft;
    });
    await left;
    expect(n3.node.retirements).toEqual([]);
    client.close();
  });

  test('a member that leaves hands over first, and is out of the map', async () => {
    const [n1, n2, n3] = await members.three();
    for (const partition of ledBy(n1.plane.map(), 'n3')) n3.node.write(partition);
    const left = n3.plane.leave();
    await until(() => {
      members.replicate();
      return [n1, n2].every(({ plane }) => plane.map().nodes.length === 2);
    });
    await left;
    expect(n1.plane.map().placement.some(({ lost }) => lost)).toBe(false);
    expect(n3.node.retirements).toEqual([]);
  });
});

describe('control plane: questions', () => {
  test('any member tells of the whole cluster, and of those that do not answer', async () => {
    const [n1, n2, n3] = await members.three();
    const client = new ControlClient(controlAddress(n2), null);
    const whole = await client.status('cluster');
    expect(whole.map.clusterId).toBe(n1.plane.map().clusterId);
    expect(whole.nodes.map(({ status }) => status?.node)).toEqual(['n1', 'n2', 'n3']);
    const led = ledBy(whole.map, 'n3')[0];
    const copy = whole.nodes[2].status?.partitions.find(({ id }) => id === led);
    expect(copy).toMatchObject({ role: 'primary', followers: [{ state: 'streaming' }] });

    await n3.stop();
    const { nodes } = await client.status('cluster');
    expect(nodes[2]).toMatchObject({ node: 'n3', status: null });
    expect(nodes[2].why).not.toBe('');
    client.close();
  });

  test('verify covers every partition once, with progress', async () => {
    const [, n2] = await members.three();
    const client = new ControlClient(controlAddress(n2), null);
    let chunks = 0;
    const done: number[] = [];
    for await (const { progress, found } of client.verify([])) {
      chunks += found.chunksChecked;
      done.push(progress.partitionsDone);
      expect(progress.partitionsTotal).toBe(8);
      expect(found.notChecked).toEqual([]);
    }
    expect(chunks).toBe(8);
    expect(done).toEqual(done.toSorted((a, b) => a - b));
    expect(done.at(-1)).toBe(8);
    client.close();
  });

  test('verify names the partitions that it cannot check', async () => {
    const [n1, n2, n3] = await members.three();
    const led = ledBy(n1.plane.map(), 'n3');
    await n3.stop();
    const client = new ControlClient(controlAddress(n2), null);
    const missed: number[] = [];
    for await (const { found } of client.verify([])) {
      missed.push(...found.notChecked.map(({ partition }) => partition));
    }
    expect(missed.toSorted((a, b) => a - b)).toEqual(led);
    client.close();
  });

  test('a caller of another cluster is refused', async () => {
    const n1 = await members.start('n1', { found: true });
    const client = new ControlClient(controlAddress(n1), 'another');
    await expect(client.readMap()).rejects.toMatchObject({ code: 'OTHER_CLUSTER' });
    await expect(client.status('node')).rejects.toMatchObject({ code: 'OTHER_CLUSTER' });
    client.close();
  });

  test('any member answers for the map', async () => {
    const [n1, n2] = await members.three();
    const client = new ControlClient(controlAddress(n2), n1.plane.map().clusterId);
    const map = await client.readMap();
    expect(map).toEqual(n2.plane.map());
    client.close();
  });

  test('a node that nobody started is unreachable', async () => {
    const client = new ControlClient(`127.0.0.1:${await freePort()}`, null);
    await expect(client.status('cluster')).rejects.toThrow(/UNAVAILABLE|ECONNREFUSED/);
    client.close();
  });
});
