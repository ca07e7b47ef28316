/** `ingot backup` of three real nodes that are being written to, `inspect`, and `restore` into a cluster of another shape. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BackupReader } from '../../packages/node/src/backup/backup-reader.ts';
import { recordsOf } from '../../packages/node/src/backup/records.ts';
import { RespClient } from '../../packages/node/src/resp/resp-client.ts';
import { ingot, type Outcome } from '../support/ingot.ts';
import { LocalCluster } from '../support/local-cluster.ts';
import { PLAIN } from '../support/redis-server.ts';

const HOUR_MS = 3_600_000;
const PAIRS = 200;
const LONG = Buffer.alloc(300_000, 'a value in extents ');

let source: LocalCluster;
let target: LocalCluster;
let client: RespClient;
let restored: RespClient;
let folder: string;
const file = (name: string): string => join(folder, name);
const connected = (cluster: LocalCluster): Promise<RespClient> =>
  RespClient.open({ ...PLAIN, port: cluster.node(1).ports.client });

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ingot-backup-'));
  [source, target] = await Promise.all([
    LocalCluster.start({
      ...{ nodes: 3, partitions: 8, capacity: '64mb', secret: 'a secret of thirty-two characters' },
    }),
    LocalCluster.start({ nodes: 1, copies: 1, partitions: 2, capacity: '32mb' }),
  ]);
  await source.settled();
  client = await connected(source);
  restored = await connected(target);
});

afterAll(async () => {
  client.close();
  restored.close();
  await Promise.all([source.stop(), target.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

const backup = (name: string): Promise<Outcome> =>
  ingot(
    [
      ...['backup', '--to', file(name), '--json'],
      ...['--node', `127.0.0.1:${source.node(1).ports.control}`],
    ],
    { env: { INGOT_SECRET: 'a secret of thirty-two characters' } },
  );

describe('ingot backup', () => {
  test('comes from followers, and what was written together is in it together', async () => {
    const at = Date.now() + HOUR_MS;
    await client.ask([
      ['SET', 'long', LONG],
      ['SET', 'later', 'expires', 'PXAT', String(at)],
      ['SET', 'soon', 'expires', 'PX', '1'],
      ['SET', Buffer.from([0, 255, 10]), ''],
    ]);
    await source.replicated();
    const writing = writePairs(client);
    const outcome = await backup('first');
    const rounds = await writing.stop();
    expect(outcome).toMatchObject({ exitCode: 0 });
    expect(JSON.parse(outcome.stdout)).toMatchObject({ partitions: 8, ofFollowers: 8 });
    expect(rounds).toBeGreaterThan(1);
    const reader = new BackupReader(file('first'));
    try {
      expect(tornPairs(reader)).toEqual([]);
    } finally {
      reader.close();
    }
  });

  test('inspect tells what is in it, and compares all of it', async () => {
    const { exitCode, stdout } = await ingot(['inspect', file('first'), '--verify', '--json']);
    expect(exitCode).toBe(0);
    const said = JSON.parse(stdout) as { parts: unknown[]; verified: boolean; keys: number };
    expect(said).toMatchObject({ partitions: 8, verified: true, capacityBytes: 64 << 20 });
    expect(said.parts).toHaveLength(8);
    expect((await ingot(['inspect', file('first')])).stdout).toContain('read from');
  });

  test('restored into a cluster of another shape, records keep value and expiry', async () => {
    const args = ['restore', '--from', file('first')];
    const to = ['--to', `127.0.0.1:${target.node(1).ports.client}`];
    const outcome = await ingot([...args, ...to, '--json']);
    expect(outcome).toMatchObject({ exitCode: 0 });
    const { restored: count } = JSON.parse(outcome.stdout) as { restored: number };
    const names = ['long', 'later', Buffer.from([0, 255, 10])];
    const reads = names.flatMap((name): (string | Buffer)[][] => [
      ['GET', name],
      ['PEXPIRETIME', name],
    ]);
    const there = await client.ask(reads);
    expect(await restored.ask(reads)).toEqual(there);
    expect(there[0]).toEqual(LONG);
    expect(await restored.ask([['DBSIZE'], ['EXISTS', 'soon']])).toEqual([count, 0]);
    expect(count).toBe(2 * PAIRS + 3);
    const again = await ingot([...args, ...to]);
    expect(again).toMatchObject({ exitCode: 4 });
    expect(again.stderr).toContain(`the cluster holds ${count} keys`);
    expect(await ingot([...args, ...to, '--replace'])).toMatchObject({ exitCode: 0 });
  });

  test('a file that is not as it was written is refused whole', async () => {
    const whole = readFileSync(file('first'));
    const cases: readonly [string, Buffer][] = [
      ['it is cut short', whole.subarray(0, whole.length - 1)],
      ['it is cut short', whole.subarray(0, 8_000)],
      ['is damaged', flipped(whole, Math.floor(whole.length / 2))],
      ['is damaged', flipped(whole, 40)],
      ['it is no backup of Ingot', Buffer.from('something else, long enough')],
      ['it is no backup of Ingot', Buffer.alloc(0)],
      ['it has backup format 2', flipped(whole, 4, 3)],
    ];
    await restored.ask([['FLUSHALL']]);
    const to = ['--to', `127.0.0.1:${target.node(1).ports.client}`];
    for (const [why, bytes] of cases) {
      writeFileSync(file('broken'), bytes);
      const { exitCode, stderr } = await ingot(['restore', '--from', file('broken'), ...to]);
      expect({ exitCode, stderr }).toMatchObject({ exitCode: 4 });
      expect(stderr).toContain(why);
    }
    expect(await restored.ask([['DBSIZE']])).toEqual([0]);
  });

  test('nothing is written over, and nothing is left behind', async () => {
    const again = await backup('first');
    expect(again).toMatchObject({ exitCode: 4 });
    expect(again.stderr).toContain('is there already');
    const nowhere = await backup('none/first');
    expect(nowhere).toMatchObject({ exitCode: 4 });
    expect(nowhere.stderr).toContain('ENOENT');
    expect(existsSync(file('first.part'))).toBe(false);
  });
});

/** Both keys of a pair lie in one partition and are written by one MSET, or one MULTI, over and over. */
function writePairs(client: RespClient): { stop: () => Promise<number> } {
  const stopped = new AbortController();
  const running = (async () => {
    let round = 0;
    for (; !stopped.signal.aborted || round < 2; round++) {
      const value = `round ${round} ${'x'.repeat(round % 900)}`;
      for (let pair = 0; pair < PAIRS; pair += 20) {
        await client.ask(
          Array.from({ length: 20 }, (_, i) => `{${pair + i}}`).flatMap((tag, i) =>
            i % 2 === 0
              ? [['MSET', `${tag}a`, value, `${tag}b`, value]]
              : [['MULTI'], ['SET', `${tag}a`, value], ['SET', `${tag}b`, value], ['EXEC']],
          ),
        );
      }
    }
    return round;
  })();
  return {
    stop: () => {
      stopped.abort();
      return running;
    },
  };
}

function tornPairs(reader: BackupReader): string[] {
  const values = new Map<string, string>();
  for (let id = 0; id < reader.parts.length; id++) {
    for (const { key, value } of recordsOf(reader, id, Date.now(), () => undefined)) {
      values.set(key.toString('latin1'), value.toString('latin1'));
    }
  }
  return [...values.keys()].filter((key) => {
    const tag = /^\{\d+\}/.exec(key)?.[0];
    return tag !== undefined && values.get(`${tag}a`) !== values.get(`${tag}b`);
  });
}

function flipped(bytes: Buffer, at: number, bits = 0xff): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] ^= bits;
  return copy;
}
