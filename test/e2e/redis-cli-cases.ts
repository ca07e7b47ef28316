/** redis-cli, as people use it on a cluster they have to look after: what it prints must be right. */
import { spawnSync } from 'node:child_process';
import { beforeAll, describe, expect, test } from 'vitest';
import { Child } from '../support/child.ts';
import { key, numbers, value } from '../support/dataset.ts';
import { eventually } from '../support/eventually.ts';
import type { LocalCluster, TestNode } from '../support/local-cluster.ts';
import { needs } from '../support/tools.ts';

const KEYS = 300;
const BIGGEST = { name: 'the biggest', bytes: 100_000 };
const MASS = 20_000;
const ENDS_WITHIN_MS = 30_000;

interface Ran {
  readonly code: number | null;
  readonly text: string;
  readonly lines: string[];
}

export function redisCliCases(cluster: () => LocalCluster, password: string): void {
  const redisCli = needs('redis-cli');
  describe.runIf(redisCli !== null)('redis-cli', () => {
    /** A key, its value: all that is there. */
    const planted = new Map(numbers(KEYS).map((i) => [key('user', i), value(i)]));
    planted.set(BIGGEST.name, 'x'.repeat(BIGGEST.bytes));

    beforeAll(() => {
      expect(run(1, ['flushall']).text).toBe('OK');
      const commands = [...planted].map(([name, content]) => resp('SET', name, content)).join('');
      expect(run(1, ['--pipe'], commands).text).toMatch(/^errors: 0, replies: 301$/m);
    });

    test('a key set through node 1 is read through nodes 2 and 3', () => {
      expect(run(1, ['set', 'hello', 'world']).text).toBe('OK');
      expect(run(2, ['get', 'hello']).text).toBe('world');
      expect(run(3, ['getdel', 'hello']).text).toBe('world');
    });

    test('without the password nothing but that is said', () => {
      for (const port of ['client', 'cluster'] as const) {
        const { text } = run(1, ['get', 'user:1'], '', port, { REDISCLI_AUTH: undefined });
        expect(text.trim()).toBe('NOAUTH Authentication required.');
      }
      const wrong = run(2, ['-a', 'wrong', '--no-auth-warning', 'get', 'user:1']);
      expect(wrong.text).toMatch(/^AUTH failed: WRONGPASS/m);
    });

    test('-c on the cluster port follows a redirect to the owner', () => {
      const moved = [...planted.keys()].find((name) =>
        run(1, ['get', name], '', 'cluster').text.startsWith('MOVED '),
      );
      const content = planted.get(`${moved}`);
      expect(run(1, ['-c', 'get', `${moved}`], '', 'cluster').text).toBe(content);
      // Only an interactive redis-cli prints the redirect itself.
      const talk = run(1, ['-c'], `get "${moved}"\n`, 'cluster', { FAKETTY: '1' }).text;
      expect(talk).toMatch(/-> Redirected to slot \[\d+\] located at 127\.0\.0\.1:\d+/);
      expect(talk).toContain(content);
    });

    test('--scan prints every key of the cluster once, or those of a --pattern', () => {
      expect(run(2, ['--scan']).lines.sort()).toEqual([...planted.keys()].sort());
      expect(run(3, ['--scan', '--pattern', 'user:29?']).lines.sort()).toEqual(
        numbers(10).map((i) => `user:29${i}`),
      );
    });

    test('--scan on cluster ports prints what each node leads', () => {
      const found = numbers(3).map((i) => run(i + 1, ['--scan'], '', 'cluster').lines);
      expect(found.every((names) => names.length > 0)).toBe(true);
      expect(found.flat().sort()).toEqual([...planted.keys()].sort());
    });

    test('--bigkeys counts every key and byte, and finds the biggest', () => {
      const { code, text } = run(2, ['--bigkeys']);
      expect(code).toBe(0);
      expectTotals(text);
      expect(text).toContain(`'"${BIGGEST.name}"' has ${BIGGEST.bytes} bytes`);
      const bytes = [...planted.values()].reduce((sum, content) => sum + content.length, 0);
      expect(text).toMatch(new RegExp(`^${planted.size} strings with ${bytes} bytes`, 'm'));
    });

    test('--memkeys adds up MEMORY USAGE of every key', () => {
      const names = [...planted.keys()];
      const asked = names.map((name) => `memory usage "${name}"\n`).join('');
      const usages = run(3, [], asked).lines.map(Number);
      expect(usages).toHaveLength(names.length);
      expect(usages.every((usage, i) => usage > `${planted.get(names[i])}`.length)).toBe(true);
      const { code, text } = run(2, ['--memkeys']);
      expect(code).toBe(0);
      expectTotals(text);
      expect(text).toContain(
        `'"${BIGGEST.name}"' has ${usages[names.indexOf(BIGGEST.name)]} bytes`,
      );
      const sum = usages.reduce((total, usage) => total + usage, 0);
      expect(text).toMatch(new RegExp(`^${planted.size} strings with ${sum} bytes`, 'm'));
    });

    test('--stat: keys, memory, clients and requests, line after line', async () => {
      await watched(['-i', '0.05', '--stat'], (lines) => {
        const rows = lines
          .filter((line) => /^\d/.test(line))
          .map((line) => /^(\d+) +([\d.]+[BKMG]) +(\d+) +(\d+) +(\d+) \(\+\d+\) +(\d+)/.exec(line));
        expect(rows.length).toBeGreaterThan(2);
        const fields = rows.map((row) => row?.slice(1) ?? []);
        const owned = run(1, ['dbsize'], '', 'cluster').text;
        expect(new Set(fields.map(([keys]) => keys))).toEqual(new Set([owned]));
        expect(fields.every(([, , clients]) => Number(clients) >= 1)).toBe(true);
        const requests = fields.map((row) => Number(row[4]));
        expect(requests.at(-1)).toBeGreaterThan(requests[0]);
      });
    });

    test('--latency: least, most, average and how many', () => {
      const { code, text } = run(1, ['-i', '0.1', '--csv', '--latency']);
      expect(code).toBe(0);
      const [least, most, average, samples] = text.split(',').map(Number);
      expect(samples).toBeGreaterThan(0);
      expect(least).toBeLessThanOrEqual(average);
      expect(average).toBeLessThanOrEqual(most);
    });

    test('--latency-history goes on, one line a period', async () => {
      await watched(['-i', '0.05', '--latency-history', '--no-raw'], (lines) => {
        const periods = lines.filter((line) => /\d+ samples\) -- 0\.\d+ seconds range/.test(line));
        expect(periods.length).toBeGreaterThan(1);
      });
    });

    test('--pipe: a mass insertion is taken whole; what is wrong is counted and named', () => {
      const sets = numbers(MASS).map((i) => resp('SET', key('mass', i), value(i)));
      const all = run(3, ['--pipe'], sets.join(''));
      expect(all.text).toMatch(new RegExp(`^errors: 0, replies: ${MASS}$`, 'm'));
      expect(all.code).toBe(0);
      expect(run(1, ['dbsize']).text).toBe(String(MASS + planted.size));
      expect(run(2, ['get', key('mass', MASS - 1)]).text).toBe(value(MASS - 1));

      const faulty = resp('SET', 'one', '1') + resp('LPUSH', 'l', '1') + resp('GET', 'one');
      const some = run(1, ['--pipe'], faulty);
      expect(some.text).toMatch(/^errors: 1, replies: 3$/m);
      expect(some.text).toContain('Ingot holds strings only, no lists');
      expect(some.code).toBe(1);
    });

    test('--raw, --no-raw, --csv, --json and -3', () => {
      const content = 'a "quoted"\n\tline';
      run(1, ['set', 'quoted', content]);
      const asked = ['mget', 'quoted', 'absent', 'user:1'];
      expect(run(2, ['--raw', 'get', 'quoted']).text).toBe(content);
      expect(run(2, ['--no-raw', 'get', 'quoted']).text).toBe('"a \\"quoted\\"\\n\\tline"');
      expect(run(2, ['--csv', ...asked]).text).toBe(
        `"a \\"quoted\\"\\n\\tline",NULL,"${value(1)}"`,
      );
      expect(JSON.parse(run(3, ['--json', ...asked]).text)).toEqual([content, null, value(1)]);
      expect(run(3, ['-3', '--no-raw', 'get', 'absent']).text).toBe('(nil)');
      expect(JSON.parse(run(3, ['-3', '--json', 'config', 'get', 'databases']).text)).toEqual({
        databases: '1',
      });
    });

    test('-x, -r, -e and several commands on one connection', () => {
      expect(run(1, ['-x', 'set', 'from stdin'], 'some bytes').text).toBe('OK');
      expect(run(2, ['get', 'from stdin']).text).toBe('some bytes');
      expect(run(3, ['-r', '5', 'incr', 'counted']).lines).toEqual(['1', '2', '3', '4', '5']);
      const refused = run(1, ['-e', 'lpush', 'l', '1']);
      expect(refused.code).toBe(1);
      expect(refused.text).toMatch(/^ERR unknown command 'lpush': Ingot holds strings only/);
      const transaction = 'multi\nset {t}a 1\nincr {t}a\nexec\nget {t}a\n';
      expect(run(2, [], transaction).lines).toEqual([
        ...['OK', 'QUEUED', 'QUEUED', 'OK', '2'],
        '2',
      ]);
    });

    test('help shows what a command takes, as the node tells it', () => {
      expect(run(1, ['help', 'setrange']).text).toContain('key offset value');
      expect(run(2, ['help', 'delex']).text).toMatch(/key .*IFEQ/);
    });

    test('--cluster info, check and call know every node and slot', () => {
      const address = `127.0.0.1:${cluster().node(2).ports.cluster}`;
      const keys = run(1, ['dbsize']).text;
      const info = run(1, ['--cluster', 'info', address]);
      expect(info.text).toContain(`[OK] ${keys} keys in 3 masters.`);
      const check = run(1, ['--cluster', 'check', address]);
      expect(check.code).toBe(0);
      expect(check.text).toContain('[OK] All nodes agree about slots configuration.');
      expect(check.text).toContain('[OK] All 16384 slots covered.');
      const call = run(1, ['--cluster', 'call', address, 'ping']);
      for (const { ports } of cluster().nodes) {
        expect(call.text).toContain(`127.0.0.1:${ports.cluster}: PONG`);
      }
    });

    function expectTotals(text: string): void {
      const keyBytes = [...planted.keys()].reduce((sum, name) => sum + name.length, 0);
      expect(text).toContain(`Sampled ${planted.size} keys in the keyspace!`);
      expect(text).toContain(`Total key length in bytes is ${keyBytes} `);
    }

    function run(
      node: number,
      words: readonly string[],
      input = '',
      port: 'client' | 'cluster' = 'client',
      env: NodeJS.ProcessEnv = {},
    ): Ran {
      const address = ['-p', String(cluster().node(node).ports[port])];
      const ended = spawnSync(redisCli ?? '', [...address, ...words], {
        ...{ input, encoding: 'utf8', timeout: ENDS_WITHIN_MS },
        env: { ...process.env, REDISCLI_AUTH: password, ...env },
      });
      const text = (ended.stdout + ended.stderr).replace(/\n$/, '');
      return { code: ended.status, text, lines: text === '' ? [] : text.split('\n') };
    }

    /** What never ends by itself: run until `check` is content with what it has printed. */
    async function watched(
      words: readonly string[],
      check: (lines: readonly string[]) => void,
    ): Promise<void> {
      const { ports }: TestNode = cluster().node(1);
      // Into a pipe it would print in blocks of 4 KiB.
      const command = ['-oL', redisCli ?? '', '-p', String(ports.client), ...words];
      const child = new Child('stdbuf', command, { env: { REDISCLI_AUTH: password } });
      try {
        await eventually(`${words.join(' ')} prints`, () => {
          check(child.stdoutLines);
          return true;
        });
        expect(child.end).toBeNull();
      } finally {
        await child.signal('SIGKILL');
      }
    }
  });
}

function resp(...words: readonly string[]): string {
  const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  return `*${words.length}\r\n${parts.join('')}`;
}
