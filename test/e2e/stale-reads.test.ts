/** Cluster clients that read from followers, and a follower whose primary has fallen silent: what it has may be old, so it
 *  says MOVED. Who is told by CLUSTER SLOTS that it is no copy to read from any more reads from the primary; until then
 *  these libraries ask the same follower again, and end with an error, never with what is old. */
import { Cluster } from 'ioredis';
import { createCluster } from 'redis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { monotonicMs } from '../../packages/node/src/process/monotonic-clock.ts';
import { TestCluster } from '../../packages/node/src/serving/cluster.fixture.ts';
import type { NodeId } from '../../packages/node/src/shared/map.ts';
import { eventually } from '../support/eventually.ts';

const OLD = 'as the follower has it';
const NEW = 'as the primary has it';

interface Reader {
  get(key: string): Promise<string | null>;
  close(): void;
}

let cluster: TestCluster;
let key: string;

beforeAll(async () => {
  cluster = await TestCluster.start(2, 1, {}, { staleMaxMs: 60_000 });
  key = cluster.keyIn(0);
  // n1 led it, and follows since.
  cluster.promote(1, 0);
  cluster.tell(cluster.moved(0, 1), 1);
  await (await cluster.client(1)).call('SET', key, OLD);
  cluster.demote(1, 0);
  cluster.moved(0, 0);
  await (await cluster.client(0)).call('SET', key, NEW);
});

afterAll(() => cluster.stop());

/** n1 follows n0, and all nodes know who of them is in sync. */
function tellInSync(...nodes: NodeId[]): void {
  const [entry] = cluster.map.placement;
  const inSync = nodes.map((node) => ({ node, incarnation: 1 }));
  const placement = [{ ...entry, followers: ['n1'], inSync }];
  cluster.map = { ...cluster.map, version: cluster.map.version + 1, placement };
  cluster.tell(cluster.map, 0, 1);
}

function primaryHeard(msAgo: number): void {
  cluster.nodes[1].board.heard(0, monotonicMs() - msAgo);
}

function ioredis(scaleReads: 'slave' | 'all'): Reader {
  const client = new Cluster([{ host: '127.0.0.1', port: cluster.nodes[0].ports.cluster }], {
    scaleReads,
    // INFO needs a whole node.
    redisOptions: { enableReadyCheck: false },
  });
  return { get: (name) => client.get(name), close: () => client.disconnect() };
}

async function nodeRedis(): Promise<Reader> {
  const url = `redis://127.0.0.1:${cluster.nodes[0].ports.cluster}`;
  const client = createCluster({ rootNodes: [{ url }], useReplicas: true });
  client.on('error', () => undefined);
  await client.connect();
  return { get: (name) => client.get(name), close: () => client.destroy() };
}

/** The values of some reads; of those that fail, the error. */
async function seen(reader: Reader): Promise<Set<string | null>> {
  const values = new Set<string | null>();
  for (let i = 0; i < 20; i++) {
    values.add(await reader.get(key).catch(({ message }: Error) => message));
  }
  return values;
}

test.each([
  ['ioredis, scaleReads slave', () => ioredis('slave'), [OLD]],
  ['ioredis, scaleReads all', () => ioredis('all'), [OLD, NEW]],
  ['node-redis, useReplicas', nodeRedis, [OLD, NEW]],
])('%s', async (_name, open, whileFresh) => {
  tellInSync('n0', 'n1');
  primaryHeard(0);
  const reader = await open();
  try {
    expect(await seen(reader)).toEqual(new Set(whileFresh));

    // It has been silent for --stale-max, and still counts as in sync.
    primaryHeard(60_000);
    const told = await seen(reader);
    expect(told).not.toContain(OLD);
    for (const each of told) if (each !== NEW) expect(each).toMatch(/redirections/i);

    tellInSync('n0');
    await eventually('it reads from the primary alone', async () => {
      const values = await seen(reader);
      expect(values).not.toContain(OLD);
      return values.size === 1 && values.has(NEW);
    });
  } finally {
    reader.close();
  }
});
