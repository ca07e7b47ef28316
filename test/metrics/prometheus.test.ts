/** A real Prometheus scrapes three real nodes, and counts what was done, to the one. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { key, value } from '../support/dataset.ts';
import { eventually } from '../support/eventually.ts';
import { LocalCluster } from '../support/local-cluster.ts';
import { Prometheus } from '../support/prometheus.ts';
import { fill } from '../support/resp-connection.ts';
import { scrape } from '../support/scrape.ts';
import { needs } from '../support/tools.ts';

const DEPLOY = join(import.meta.dirname, '..', '..', 'deploy');
const SETS_THROUGH = [3_000, 3_000, 4_000];
const SETS = 10_000;

let cluster: LocalCluster;

beforeAll(async () => {
  cluster = await LocalCluster.start({ nodes: 3 });
  for (const [index, count] of SETS_THROUGH.entries()) {
    await fill(cluster.nodes[index].ports.client, count, (i) => [key(`m${index}`, i), value(i)]);
  }
});

afterAll(() => cluster.stop());

test(`${SETS} SETs through three client ports are ${SETS} SETs`, async () => {
  expect(await cluster.sum('ingot_commands_total', { command: 'set' })).toBe(SETS);
  expect(await cluster.sum('ingot_command_seconds_count', { command: 'set' })).toBe(SETS);
  expect(await cluster.sum('ingot_keys')).toBe(SETS);
});

test('each node shows every family that dashboards need', async () => {
  const { text } = await scrape(cluster.node(1).ports.http);
  for (const name of [
    ...['commands_total', 'command_seconds_bucket', 'keyspace_hits_total', 'keyspace_misses_total'],
    ...['keys', 'used_bytes', 'capacity_bytes', 'evictions_total', 'expiries_total', 'connections'],
    ...['network_received_bytes_total', 'network_sent_bytes_total', 'forwarded_total'],
    ...['follower_reads_total', 'replication_lag_seqs', 'replication_lag_seconds'],
    ...['full_syncs_total', 'partial_syncs_total', 'replication_sent_bytes_total'],
    ...['checks_total', 'check_differences_total', 'repairs_total', 'repairs_refused_total'],
    ...['scrub_chunks_total', 'scrub_last_round_seconds'],
    ...['partition_states', 'event_loop_utilization'],
  ]) {
    expect(text).toMatch(new RegExp(`^ingot_${name}[{ ]`, 'm'));
  }
  expect(text).toMatch(/^process_resident_memory_bytes /m);
});

const prometheus = needs('prometheus');
describe.runIf(prometheus !== null)('Prometheus', () => {
  test(`answers ${SETS}`, async () => {
    const targets = cluster.nodes.map(({ ports }) => `127.0.0.1:${ports.http}`);
    const server = await Prometheus.start(prometheus ?? '', targets);
    try {
      await eventually('all three nodes are scraped', async () => {
        return (await server.query('sum(up{job="ingot"})')) === 3;
      });
      expect(await server.query('sum(ingot_commands_total{command="set"})')).toBe(SETS);
      expect(await server.query('sum(ingot_keys)')).toBe(SETS);
    } finally {
      await server.stop();
    }
  });
});

const promtool = needs('promtool');
describe.runIf(promtool !== null)('promtool', () => {
  test('check metrics accepts /metrics of every node', async () => {
    for (const node of cluster.nodes) {
      const { text } = await scrape(node.ports.http);
      const checked = spawnSync(promtool ?? '', ['check', 'metrics'], { input: text });
      expect(checked.stdout.toString() + checked.stderr.toString()).toBe('');
      expect(checked.status).toBe(0);
    }
  });

  test('check config accepts deploy/prometheus.yml', () => {
    const checked = spawnSync(promtool ?? '', ['check', 'config', join(DEPLOY, 'prometheus.yml')]);
    expect(checked.stderr.toString()).toBe('');
    expect(checked.status).toBe(0);
  });
});
