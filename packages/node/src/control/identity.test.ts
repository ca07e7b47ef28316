import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openIdentity } from './identity.ts';
import { mapFoundedBy } from './simulated-cluster.fixture.ts';

let dir: string;

beforeEach(() => {
  dir = join(mkdtempSync(join(tmpdir(), 'ingot-identity-')), 'data');
});

afterEach(() => {
  rmSync(join(dir, '..'), { recursive: true, force: true });
});

const membership = { nodeId: 'n1', clusterId: 'c', incarnation: 3 };
const map = mapFoundedBy('n1', { partitions: 4, copies: 2 });

describe('identity', () => {
  test('a new data dir belongs to no cluster', async () => {
    const identity = await openIdentity(dir, 'n1');
    expect(identity.membership()).toBe(null);
    expect(identity.lastMap()).toBe(null);
    await identity.close();
  });

  test('membership and the last map are there after a restart', async () => {
    const first = await openIdentity(dir, 'n1');
    await first.enter(membership, map);
    first.saveMap({ ...map, version: 9 });
    await first.close();
    const again = await openIdentity(dir, 'n1');
    expect(again.membership()).toEqual(membership);
    expect(again.lastMap()).toEqual({ ...map, version: 9 });
    expect(again.acceptorStorage.load().accepted).toBe(null);
    await again.close();
  });

  test("a founder's acceptor has accepted the first map; its id is there after a restart", async () => {
    const first = await openIdentity(dir, 'n1');
    const acceptor = first.acceptor();
    await first.found(membership, map);
    await first.close();
    const again = await openIdentity(dir, 'n1');
    expect(again.acceptor()).toBe(acceptor);
    expect(again.acceptorStorage.load().accepted?.map).toEqual(map);
    expect(again.lastMap()).toEqual(map);
    await again.close();
  });

  test('the data dir of another node is refused, unlocked again, and not touched', async () => {
    const first = await openIdentity(dir, 'n1');
    await first.found(membership, map);
    await first.close();
    await expect(openIdentity(dir, 'n2')).rejects.toMatchObject({
      code: 'DATA_DIR_OF_OTHER_NODE',
      exitCode: 4,
      message: expect.stringContaining('--id n1'),
    });
    const again = await openIdentity(dir, 'n1');
    expect(again.membership()).toEqual(membership);
    await again.close();
  });

  test.each([
    ['below a file', '/dev/null/data'],
    ['a file', '/dev/null'],
    ['where the kernel makes no folders', '/proc/ingot'],
    ['where the kernel makes no files', '/proc/self/fd'],
  ])('a data dir that is %s is refused in a sentence', async (_, path) => {
    await expect(openIdentity(path, 'n1')).rejects.toMatchObject({
      code: 'DATA_DIR_UNUSABLE',
      exitCode: 4,
      message: expect.stringContaining('--data-dir'),
    });
  });

  test('a data dir whose database cannot be opened is refused, and unlocked again', async () => {
    mkdirSync(join(dir, 'control.mdb'), { recursive: true });
    await expect(openIdentity(dir, 'n1')).rejects.toMatchObject({ code: 'DATA_DIR_UNUSABLE' });
    expect(readdirSync(dir).filter((name) => name.startsWith('lock-'))).toEqual([]);
  });
});
