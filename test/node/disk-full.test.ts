/** The disk under the data dir of the only acceptor is full: the cluster goes on as it is, and nothing moves until
 *  there is room.
 *  Played by the kernel's limit on the size of files, set on the running process. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Redis } from 'ioredis';
import { Child } from '../support/child.ts';
import { eventually } from '../support/eventually.ts';
import { LocalCluster, type TestNode } from '../support/local-cluster.ts';
import { needs } from '../support/tools.ts';

const prlimit = needs('prlimit');

describe.runIf(prlimit !== null)('a full disk', () => {
  let cluster: LocalCluster;
  let founder: TestNode;

  beforeAll(async () => {
    cluster = await LocalCluster.plan({ nodes: 2, capacity: '64mb', partitions: 4 });
    founder = cluster.node(1);
    founder.launch();
    await founder.answers('/readyz');
  });

  afterAll(() => cluster.stop());

  test('the founder serves on, says why the map does not change, and goes on once there is room', async () => {
    const redis = new Redis({ port: founder.ports.client });
    await limitFiles(founder, '0');
    cluster.node(2).launch();
    await eventually('node 2 is told', () => {
      const { output } = cluster.node(2).process;
      return /File too large|cluster\.sought/.test(output);
    });
    expect(founder.isRunning).toBe(true);
    expect(await redis.set('still', 'here')).toBe('OK');
    expect(await redis.get('still')).toBe('here');
    await redis.quit();

    await limitFiles(founder, 'unlimited');
    if (!cluster.node(2).isRunning) cluster.restart(2);
    await cluster.settled();
  });

  test('a full disk while a node goes away: it is not down in the map, and the log says why', async () => {
    await limitFiles(founder, '0');
    await cluster.kill(2);
    await eventually('the founder cannot write the map', () =>
      founder.log.some(({ event, level }) => event === 'map.notWritten' && level === 50),
    );
    expect(founder.log.filter(({ event }) => event === 'map.notWritten').length).toBeLessThan(5);
    await limitFiles(founder, 'unlimited');
    await eventually('node 2 counts as down', async () => {
      const { nodes } = await cluster.view(founder);
      return nodes.some(({ id, state }) => id === 'n2' && state === 'down');
    });
  });

  async function limitFiles({ pid }: TestNode, bytes: string): Promise<void> {
    const limited = new Child(prlimit ?? '', ['--pid', String(pid), `--fsize=${bytes}:unlimited`]);
    expect(await limited.ended).toMatchObject({ code: 0 });
  }
});
