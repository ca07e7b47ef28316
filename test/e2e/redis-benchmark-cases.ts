/** redis-benchmark: every test that is about strings, plain and --cluster, ends well, and did what it says. */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import type { LocalCluster } from '../support/local-cluster.ts';
import { needs } from '../support/tools.ts';

const REQUESTS = 2_000;
const CLIENTS = 10;
const PIPELINE = 4;
const ENDS_WITHIN_MS = 60_000;
/** -t, and the rows that it prints. */
const TESTS = 'ping,set,get,incr,mset';
const ROWS = ['PING_INLINE', 'PING_MBULK', 'SET', 'GET', 'INCR', 'MSET (10 keys)'];

export function redisBenchmarkCases(cluster: () => LocalCluster, password: string): void {
  const benchmark = needs('redis-benchmark');
  describe.runIf(benchmark !== null)('redis-benchmark', () => {
    test.each(['client', 'cluster'] as const)('-t %s port: every row, no error', (port) => {
      const mode = port === 'cluster' ? ['--cluster'] : [];
      const rows = run(port, [...mode, '-t', TESTS, '-r', '1000', '-P', `${PIPELINE}`, '--csv'])
        .filter((line) => line.startsWith('"') && !line.startsWith('"test"'))
        .map((line) => line.slice(1, -1).split('","'));
      expect(rows.map(([name]) => name)).toEqual(ROWS);
      expect(rows.every(([, perSecond]) => Number(perSecond) > 0)).toBe(true);
    });

    test('-q and -3', () => {
      const lines = run('client', ['-3', '-q', '-t', 'set,get']).join('\n').split('\r');
      expect(lines.join('\n')).toMatch(/SET: [\d.]+ requests per second/);
      expect(lines.join('\n')).toMatch(/GET: [\d.]+ requests per second/);
    });

    test('a command of one’s own is executed as often as it says', () => {
      const counted = (): number => {
        const address = ['-p', String(cluster().node(3).ports.client)];
        const asked = spawnSync(needs('redis-cli') ?? '', [...address, 'get', 'benchmarked'], {
          env: { ...process.env, REDISCLI_AUTH: password },
        });
        return Number(asked.stdout.toString());
      };
      run('client', ['-P', `${PIPELINE}`, 'incr', 'benchmarked']);
      // It sends whole pipelines, from each client.
      expect(counted()).toBeGreaterThanOrEqual(REQUESTS);
      expect(counted()).toBeLessThanOrEqual(REQUESTS + CLIENTS * PIPELINE);
    });

    function run(port: 'client' | 'cluster', words: readonly string[]): string[] {
      const { ports } = cluster().node(1);
      const load = ['-n', `${REQUESTS}`, '-c', `${CLIENTS}`, '-d', '64'];
      const ended = spawnSync(
        benchmark ?? '',
        ['-a', password, '-p', String(ports[port]), ...load, ...words],
        {
          encoding: 'utf8',
          timeout: ENDS_WITHIN_MS,
        },
      );
      expect(ended.stdout + ended.stderr).not.toMatch(/error|warn|fail/i);
      expect(ended.status).toBe(0);
      return ended.stdout.split('\n');
    }
  });
}
