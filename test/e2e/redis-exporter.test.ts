/** prometheus-redis-exporter, as Debian brings it, pointed at a node: it reads INFO, CONFIG GET, SLOWLOG,
 *  LATENCY and CLIENT LIST as it does of Redis, and finds nothing wrong. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Child } from '../support/child.ts';
import { eventually } from '../support/eventually.ts';
import { LocalCluster } from '../support/local-cluster.ts';
import { freePort } from '../support/ports.ts';
import { needs } from '../support/tools.ts';

const exporter = needs('prometheus-redis-exporter');

describe.runIf(exporter !== null)('prometheus-redis-exporter', () => {
  let cluster: LocalCluster;
  let child: Child;
  let port: number;

  beforeAll(async () => {
    cluster = await LocalCluster.start({
      ...{ nodes: 1, copies: 1, partitions: 8, capacity: '64mb' },
      env: { INGOT_PASSWORD: 'sesame' },
    });
    port = await freePort();
    child = new Child(`${exporter}`, [
      ...['--redis.addr', `redis://127.0.0.1:${cluster.node(1).ports.client}`],
      ...['--redis.password', 'sesame', '--web.listen-address', `127.0.0.1:${port}`],
      '--include-system-metrics',
    ]);
  });

  afterAll(async () => {
    await child?.stop();
    await cluster?.stop();
  });

  test('reports the node as up, without a scrape error', async () => {
    const lines = await eventually('the exporter answers', async () => {
      const response = await fetch(`http://127.0.0.1:${port}/metrics`);
      return (await response.text()).split('\n');
    });
    expect(lines).toContain('redis_up 1');
    expect(lines.filter((line) => line.startsWith('redis_exporter_last_scrape_error{'))).toEqual([
      'redis_exporter_last_scrape_error{err=""} 0',
    ]);
    for (const name of [
      'redis_connected_clients',
      'redis_commands_total',
      'redis_slowlog_length',
    ]) {
      expect(
        lines.some((line) => line.startsWith(name)),
        name,
      ).toBe(true);
    }
    expect(child.output).not.toMatch(/level=error/i);
  });
});
