/** ioredis 6 and node-redis 6, plain and as cluster clients, against three real nodes. Everything that
 *  one writes is read back through another node by the other library. */
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Caller,
  ioredis,
  ioredisCluster,
  nodeRedis,
  nodeRedisCluster,
  type Reply,
  type Word,
} from '../support/clients.ts';
import { binary, key, numbers, value } from '../support/dataset.ts';
import { eventually } from '../support/eventually.ts';
import { LocalCluster } from '../support/local-cluster.ts';
import { needs } from '../support/tools.ts';
import { type Expected, SCRIPTS, type Script } from './command-scripts.ts';
import { ioredisCases } from './ioredis-cases.ts';
import { keyspaceCases } from './keyspace-cases.ts';
import { nodeRedisCases } from './node-redis-cases.ts';
import { snippetCases } from './snippet-cases.ts';

const KEYS_PER_CLIENT = 25_000;
const BATCH = 500;

let cluster: LocalCluster;
const callers = new Map<string, Caller>();

const addresses = (): { host: string; port: number }[] =>
  cluster.nodes.map(({ ports }) => ({ host: '127.0.0.1', port: ports.cluster }));
const clientPort = (i: number): number => cluster.node(i).ports.client;

beforeAll(async () => {
  cluster = await LocalCluster.start({ nodes: 3, args: ['--workers', '2'] });
  for (const [name, caller] of [
    ['ioredis', ioredis(clientPort(1))],
    ['ioredis RESP2', ioredis(clientPort(2), 2)],
    ['node-redis', await nodeRedis(clientPort(2))],
    ['node-redis RESP2', await nodeRedis(clientPort(3), 2)],
    ['ioredis Cluster', ioredisCluster(addresses())],
    ['node-redis cluster', await nodeRedisCluster(addresses())],
  ] as const) {
    callers.set(name, caller);
  }
});

afterAll(async () => {
  await Promise.all([...callers.values()].map((caller) => caller.close()));
  await cluster.stop();
});

/** [who writes, who reads back: the other library, at another node] */
const CLUSTER_PAIRS = [
  ['ioredis Cluster', 'node-redis cluster'],
  ['node-redis cluster', 'ioredis Cluster'],
] as const;
const PLAIN_PAIRS = [
  ['ioredis', 'node-redis'],
  ['ioredis RESP2', 'node-redis RESP2'],
  ['node-redis', 'ioredis'],
  ['node-redis RESP2', 'ioredis'],
] as const;

const forwarded = (): Promise<number> => cluster.sum('ingot_forwarded_total');

describe('cluster clients', () => {
  let forwardedBefore: number;
  beforeAll(async () => {
    forwardedBefore = await forwarded();
  });

  everything(CLUSTER_PAIRS);

  test('ioredis Cluster with scaleReads slave reads what masters took, from followers', async () => {
    await readFromFollowers(ioredisCluster(addresses(), 'slave'));
  });

  test('node-redis cluster with useReplicas reads what masters took, from followers too', async () => {
    await readFromFollowers(await nodeRedisCluster(addresses(), true));
  });

  const benchmark = needs('redis-benchmark');
  test.runIf(benchmark !== null)('redis-benchmark --cluster finishes without an error', () => {
    const port = String(cluster.node(1).ports.cluster);
    const load = [
      '-t',
      'set,get',
      '-n',
      '50000',
      '-r',
      '50000',
      '-d',
      '64',
      '-c',
      '20',
      '-P',
      '16',
    ];
    const ended = spawnSync(benchmark ?? '', ['-p', port, '--cluster', ...load, '--csv']);
    expect(ended.stdout.toString()).toMatch(/"GET","\d/);
    expect(ended.stdout.toString() + ended.stderr.toString()).not.toMatch(/error|warn/i);
    expect(ended.status).toBe(0);
  });

  test('none of this was forwarded by a node', async () => {
    expect(await forwarded()).toBe(forwardedBefore);
  });
});

describe('plain clients', () => {
  let forwardedBefore: number;
  beforeAll(async () => {
    forwardedBefore = await forwarded();
  });

  everything(PLAIN_PAIRS);

  test('keys that live elsewhere were forwarded', async () => {
    expect(await forwarded()).toBeGreaterThan(forwardedBefore);
  });
});

ioredisCases(() => cluster);
nodeRedisCases(() => cluster);
snippetCases(() => cluster);
keyspaceCases(() => cluster);

test('after all that, verify finds every copy equal', async () => {
  const { ingotVerify, CLEAN } = await import('../support/ingot.ts');
  await cluster.replicated();
  expect(await ingotVerify(cluster.node(2).ports.control)).toMatchObject(CLEAN);
});

function everything(pairs: readonly (readonly [string, string])[]): void {
  describe.each(pairs)('%s, read back by %s', (writerName, readerName) => {
    const pair = (): [Caller, Caller] => [caller(writerName), caller(readerName)];
    const isCluster = /cluster/i.test(writerName);
    const scripts = SCRIPTS.filter(({ spread }) => !(isCluster && spread));

    test.each(scripts)('$name', async (script) => {
      const [writer, reader] = pair();
      await runScript(script, writer, reader);
    });

    test('binary keys and values of every length class', async () => {
      const [writer, reader] = pair();
      for (const bytes of [0, 1, 15, 31, 64, 255, 1_000, 4_096, 20_000, 60_000]) {
        const name = Buffer.concat([Buffer.from(`${writerName}\r\n\0`), binary(bytes + 7, 24)]);
        const content = binary(bytes, bytes);
        expect(await writer.call(['SET', name, content], name)).toBe('OK');
        expect(await reader.call(['GET', name], name)).toBe(content.toString('latin1'));
        expect(await reader.call(['STRLEN', name], name)).toBe(bytes);
      }
    });

    test('a key with a time is gone for everyone when the time is over', async () => {
      const [writer, reader] = pair();
      const name = `${writerName}:fleeting`;
      await writer.call(['SET', name, 'v', 'PX', '150'], name);
      for (const who of [reader, writer]) {
        await eventually(
          'the key expires',
          async () => (await who.call(['GET', name], name)) === null,
        );
        expect(await who.call(['EXISTS', name], name)).toBe(0);
        expect(await who.call(['PTTL', name], name)).toBe(-2);
      }
    });

    test(`${KEYS_PER_CLIENT} keys`, async () => {
      const [writer, reader] = pair();
      const prefix = `bulk ${writerName}`;
      await inBatches(async (i) => {
        const name = key(prefix, i);
        expect(await writer.call(['SET', name, value(i)], name)).toBe('OK');
      });
      await inBatches(async (i) => {
        const name = key(prefix, i);
        expect(await reader.call(['GET', name], name)).toBe(value(i));
      });
    });
  });
}

/** After each step every key of the script reads the same through both clients. */
async function runScript(script: Script, writer: Caller, reader: Caller): Promise<void> {
  const tag = `${writer.name}/${script.name}`;
  const names = new Set<string>();
  const keyOf = (word: string): string => {
    const name = script.spread ? `${tag}/${word}` : `{${tag}}${word}`;
    names.add(name);
    return name;
  };
  for (const [command, expected] of script.steps) {
    const words: Word[] = command
      .split(' ')
      .map((word) => (word.startsWith('@') ? keyOf(word) : word));
    const firstKey = words.find((word) => names.has(String(word)));
    expectReply(command, await writer.call(words, firstKey), expected);
    for (const name of names) {
      const seen = await writer.call(['GET', name], name);
      expect(await reader.call(['GET', name], name), `${name} after ${command}`).toBe(seen);
    }
  }
}

function expectReply(command: string, reply: Reply, expected: Expected): void {
  if (typeof expected === 'function') expect(reply, command).toSatisfy(expected);
  else if (expected instanceof RegExp) expect(reply, command).toMatch(expected);
  else expect(reply, command).toEqual(expected);
}

async function readFromFollowers(reader: Caller): Promise<void> {
  const before = await cluster.sum('ingot_follower_reads_total');
  const writer = caller('ioredis Cluster');
  try {
    for (const i of numbers(500)) {
      const name = key(`for ${reader.name}`, i);
      expect(await writer.call(['SET', name, value(i)], name)).toBe('OK');
    }
    await cluster.replicated();
    for (const i of numbers(500)) {
      const name = key(`for ${reader.name}`, i);
      expect(await reader.call(['GET', name], name)).toBe(value(i));
    }
    expect(await cluster.sum('ingot_follower_reads_total')).toBeGreaterThan(before);
  } finally {
    await reader.close();
  }
}

async function inBatches(work: (i: number) => Promise<void>): Promise<void> {
  for (let from = 0; from < KEYS_PER_CLIENT; from += BATCH) {
    await Promise.all(numbers(BATCH).map((i) => work(from + i)));
  }
}

function caller(name: string): Caller {
  const found = callers.get(name);
  if (found === undefined) throw new Error(`no client named ${name}`);
  return found;
}
