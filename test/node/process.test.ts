/** One node process: what its threads do together, seen from outside. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { ingot } from '../support/ingot.ts';
import { LocalCluster } from '../support/local-cluster.ts';
import { encode, fill, RespConnection } from '../support/resp-connection.ts';
import { scrape } from '../support/scrape.ts';

const PRIMARY = { role: 'primary' };

describe('a node that founded its cluster', () => {
  let cluster: LocalCluster;

  beforeAll(async () => {
    cluster = await LocalCluster.start({ nodes: 1, capacity: '64mb', partitions: 8 });
  });
  afterAll(() => cluster.stop());

  const value = async (name: string, labels?: Record<string, string>): Promise<number> =>
    (await scrape(cluster.node(1).ports.http)).sum(name, labels);

  test('is alive and ready, and leads every partition', async () => {
    const { http } = cluster.node(1).ports;
    for (const path of ['healthz', 'readyz']) {
      expect((await fetch(`http://127.0.0.1:${http}/${path}`)).status).toBe(200);
    }
    expect(await value('ingot_partition_states', { state: 'primary' })).toBe(8);
  });

  test('shows how busy each of its threads is', async () => {
    for (const worker of ['main', 'replication', 'storage', 'data-0']) {
      const use = await value('ingot_event_loop_utilization', { worker });
      expect(use).toBeGreaterThanOrEqual(0);
      expect(use).toBeLessThanOrEqual(1);
    }
  });

  test('a flush gives the memory back without anybody asking for a key', async () => {
    const { client } = cluster.node(1).ports;
    const emptyBytes = await value('ingot_used_bytes', PRIMARY);
    await fill(client, 20_000, (i) => [`flushed-${i}`, 'x'.repeat(500)]);
    const filledBytes = await value('ingot_used_bytes', PRIMARY);
    expect(filledBytes).toBeGreaterThan(emptyBytes + 8_000_000);
    const connection = await RespConnection.open(client);
    await connection.ask('FLUSHALL\r\n', '+OK');
    connection.destroy();
    await eventually('the memory is free again', async () => {
      return (await value('ingot_used_bytes', PRIMARY)) < emptyBytes + 2_000_000;
    });
  });

  test('records whose time is over are removed without anybody asking for them', async () => {
    const connection = await RespConnection.open(cluster.node(1).ports.client);
    const commands = Array.from({ length: 500 }, (_, i) =>
      encode('SET', `brief-${i}`, 'v', 'PX', '1'),
    );
    await connection.send(Buffer.concat(commands));
    connection.finish();
    await connection.untilClosed();
    await eventually('they are gone', async () => (await value('ingot_keys')) === 0);
    expect(await value('ingot_expiries_total')).toBeGreaterThanOrEqual(500);
  });

  test('ends when it is asked to: exit code 0, and says that it did', async () => {
    const node = cluster.node(1);
    expect(await node.process.stop()).toEqual({ code: 0, signal: null });
    expect(node.log.at(-1)?.event).toBe('node.stopped');
  });
});

describe('two nodes', () => {
  let cluster: LocalCluster;

  beforeAll(async () => {
    cluster = await LocalCluster.start({ nodes: 2, capacity: '64mb', partitions: 8, copies: 1 });
  });
  afterAll(() => cluster.stop());

  const commands = (): Promise<number> => cluster.sum('ingot_commands_total', { command: 'incr' });

  test('a forwarded command is counted once, where it is executed', async () => {
    const connection = await RespConnection.open(cluster.node(1).ports.client);
    const forwarded = await cluster.sum('ingot_forwarded_total');
    await connection.send(
      Buffer.concat(Array.from({ length: 100 }, (_, i) => encode('INCR', `c${i}`))),
    );
    await eventually('all are answered', () => connection.received.split(':1\r\n').length === 101);
    expect(await commands()).toBe(100);
    expect(await cluster.sum('ingot_forwarded_total')).toBeGreaterThan(forwarded);
    connection.destroy();
  });

  test('a redirected command is not counted where it was not executed', async () => {
    const connection = await RespConnection.open(cluster.node(1).ports.cluster);
    const before = await commands();
    await connection.send(
      Buffer.concat(Array.from({ length: 100 }, (_, i) => encode('INCR', `c${i}`))),
    );
    await eventually('all are answered', () => connection.received.split('\r\n').length === 101);
    const executed = connection.received.split(':2\r\n').length - 1;
    expect(await commands()).toBe(before + executed);
    expect(await cluster.sum('ingot_redirects_total')).toBe(100 - executed);
    connection.destroy();
  });
});

test('a cluster that does not fit in memory is refused with the numbers, before it is founded', async () => {
  const cluster = await LocalCluster.plan({ nodes: 1, capacity: '2tb', partitions: 4096 });
  const refused = await ingot(cluster.node(1).args);
  expect(refused.exitCode).toBe(4);
  expect(refused.stderr).toMatch(
    /4096 partition copies of .* MiB need .* MiB, but this .* has .* MiB/,
  );
  expect(refused.stdout).not.toContain('cluster.founded');
  await cluster.stop();
});
