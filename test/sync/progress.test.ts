/** What people see of a sync between real nodes: status, metrics and logs, while it runs and after. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { viewText } from '../../packages/node/src/cli/cluster-view.ts';
import { eventually } from '../support/eventually.ts';
import { LocalCluster } from '../support/local-cluster.ts';
import { fill } from '../support/resp-connection.ts';
import { scrape } from '../support/scrape.ts';

const EMPTY = { kind: 'full', reason: 'empty' };
const WHY = { kind: 'full', reason: 'the copy is empty' };
/** Slow enough for a sync of 10 MB to be seen. */
const SLOWLY = ['--sync-rate', '2mb'];

describe('a sync that is held to a rate', () => {
  let cluster: LocalCluster;

  beforeAll(async () => {
    cluster = await LocalCluster.plan({ nodes: 2, capacity: '64mb', partitions: 1, args: SLOWLY });
    const [first, second] = cluster.nodes;
    first.launch();
    await first.answers('/readyz');
    await fill(first.ports.client, 10_000, (i) => [`key-${i}`, 'x'.repeat(900)]);
    second.launch();
  });
  afterAll(() => cluster.stop());

  const counted = async (name: string, labels?: Record<string, string>): Promise<number> =>
    (await scrape(cluster.node(1).ports.http)).sum(name, labels);

  test('status tells while it runs how far it is, and why it is made', async () => {
    const view = await eventually('a part has been sent', async () => {
      const seen = await cluster.view(cluster.node(1));
      const done = seen.partitions[0]?.followers[0]?.sync?.chunksDone ?? 0;
      return done > 0 ? seen : null;
    });
    const [follower] = view.partitions[0].followers;
    expect(follower).toMatchObject({ node: 'n2', state: 'bulk', sync: { ...WHY, pass: 0 } });
    const { chunksDone, chunksTotal } = follower.sync ?? { chunksDone: 0, chunksTotal: 0 };
    expect(chunksDone).toBeLessThan(chunksTotal);
    expect(viewText(view)).toMatch(/n2 bulk \d+ % \(\d+ of \d+ MB\), full: the copy is empty/);
    expect(await counted('ingot_bulks_running')).toBe(1);
  });

  test('once it is over, nothing is under way and it has been counted', async () => {
    const view = await cluster.settled();
    expect(view.partitions[0].followers).toMatchObject([{ state: 'streaming', sync: null }]);
    expect(await counted('ingot_syncs_total', EMPTY)).toBe(1);
    expect(await counted('ingot_sync_bytes_total', { kind: 'full' })).toBeGreaterThan(9_000_000);
    expect(await counted('ingot_bulks_running')).toBe(0);
    const line = cluster.node(1).log.find(({ event }) => event === 'syncFinished');
    expect(line).toMatchObject({ ...WHY, node: 'n2', passes: 1 });
    expect(line?.bytesPerSecond).toBeLessThan(2 * 2 * 1_048_576);
  });
});
