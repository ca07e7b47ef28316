/** A log that cannot be read is lost to nobody: it stays, or is kept under another name. */
import { Buffer } from 'node:buffer';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { attachPartition, createPartition, hashKey } from '@ingot/store';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LmdbLogStore, logPath } from '../redo-log/lmdb-log-store.ts';
import { LogBoard } from '../redo-log/log-board.ts';
import { GroupWriter, LOG_VERSION, type LogOwner } from '../redo-log/log-group.ts';
import { LogWriter } from '../redo-log/log-writer.ts';
import { geometryOf } from '../shared/capacity.ts';
import { plainEntry, plainMap, plainNode } from '../shared/map.fixture.ts';
import {
  type LogRecovered,
  type LogRecoveryOptions,
  NO_LOG,
  recoverLog,
  setForeignLogAside,
} from './log-recovery.ts';

const MIB = 1_048_576;
const capacity = { capacityBytes: 16 * MIB, capacityMaxBytes: 16 * MIB, valueMaxBytes: MIB };
const map = plainMap({ ...capacity, nodes: [plainNode('n1')], placement: [plainEntry('n1')] });
const geometry = geometryOf(map);
const owner: LogOwner = { clusterId: map.clusterId, node: 'n1', geometry };

let dataDir: string;
let logged: string[];

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'ingot-log-'));
  logged = [];
});
afterEach(() => rmSync(dataDir, { recursive: true }));

function recover(change: Partial<LogRecoveryOptions> = {}): Promise<LogRecovered> {
  return recoverLog({
    ...{ settings: { dataDir, id: 'n1', workers: 1 }, map, handles: [] },
    limit: { bytes: 1024 * MIB, of: 'machine' },
    log: (_level, event) => void logged.push(event),
    signal: new AbortController().signal,
    ...change,
  });
}

/** One key, as a node writes it. */
async function writeLog(): Promise<void> {
  const partition = attachPartition(createPartition(geometry, 0));
  const writer = new LogWriter({
    ...{ board: LogBoard.create(1), owner, life: () => 1, bytesMax: 64 * MIB, start: NO_LOG },
    open: () => new LmdbLogStore(logPath(dataDir), 64 * MIB),
    ...{ nowMs: () => 1, monotonicMs: () => 1 },
    wantSaves: () => undefined,
    failing: (why) => expect(why).toBeNull(),
  });
  partition.promote(1, 1);
  writer.attach(partition);
  writer.begin();
  const key = Buffer.from('key');
  partition.enter();
  partition.set(hashKey(key, 0, 3), key, 0, 3, key, 0, 3, 0, 1);
  partition.leave();
  expect(writer.step()).toBe(true);
  await writer.close();
}

/** Behind all others. */
async function addGroup(change: (group: Buffer) => Buffer, of = owner): Promise<void> {
  const store = new LmdbLogStore(logPath(dataDir), 64 * MIB);
  const number = store.lastNumber() + 1;
  const group = new GroupWriter(of);
  group.begin();
  store.commit({ group: { number, bytes: change(group.end(number, 1, 1)) }, remove: null });
  await store.close();
}

async function groups(): Promise<number> {
  const store = new LmdbLogStore(logPath(dataDir), null);
  const count = [...store.groups()].length;
  await store.close();
  return count;
}

function ofVersion(version: number): (group: Buffer) => Buffer {
  return (group) => {
    group.writeUInt32LE(version, 8);
    group.writeUInt32LE(crc32(group.subarray(8)), 4);
    return group;
  };
}

function aside(): string[] {
  return readdirSync(dataDir).filter((name) => name.includes('.refused'));
}

/** The start is refused, and the log is as it was. */
async function expectKept(said: RegExp, change: Partial<LogRecoveryOptions> = {}): Promise<void> {
  const kept = await groups();
  await expect(recover(change)).rejects.toMatchObject({
    ...{ exitCode: 4, message: expect.stringMatching(said) },
  });
  expect(await groups()).toBe(kept);
  expect(aside()).toEqual([]);
}

test('a log is read back', async () => {
  await writeLog();
  const { handles, start } = await recover();
  expect(start).toMatchObject({ cutAt: null, copies: [{ partition: 0 }] });
  const copy = attachPartition(handles[0]);
  const key = Buffer.from('key');
  expect(copy.find(hashKey(key, 0, 3), key, 0, 3, 1)).not.toBe(0);
  expect(logged).toEqual(['log.replayed']);
});

describe('a start is refused, and nothing of the log changes', () => {
  test('where memory does not do', async () => {
    await writeLog();
    await expectKept(/MiB/, { limit: { bytes: MIB, of: 'machine' } });
  });

  test('where the disk says what may pass', async () => {
    mkdirSync(logPath(dataDir));
    await expect(recover()).rejects.toMatchObject({
      ...{ code: 'REDO_LOG', exitCode: 4, message: expect.stringMatching(/EISDIR.*start again/) },
    });
    expect(aside()).toEqual([]);
  });

  test('where a thread ends', async () => {
    await writeLog();
    // It cannot attach the copy: that is not the file's fault.
    const handles = [{ ...createPartition(geometry, 0), scratch: new SharedArrayBuffer(8) }];
    await expectKept(/is not read/, { handles });
  });

  test('where a newer version has written on', async () => {
    await writeLog();
    await addGroup(ofVersion(LOG_VERSION + 1));
    await expectKept(/log version 2, this node reads 1\); start what wrote it, or move/);
  });

  test('where it is of another cluster', async () => {
    await addGroup((group) => group, { ...owner, clusterId: 'another' });
    await expectKept(/of another node, cluster/);
  });
});

test('what only looks like another version, and is damaged, ends the log', async () => {
  await writeLog();
  await addGroup((group) => {
    group.writeUInt32LE(LOG_VERSION + 1, 8);
    return group;
  });
  expect((await recover()).start).toMatchObject({ cutAt: 2, copies: [{ partition: 0 }] });
  expect(logged).toContain('log.cut');
});

test('damaged files are set aside, each under a name of its own', async () => {
  for (const content of ['one', 'two']) {
    writeFileSync(logPath(dataDir), content);
    expect(await recover()).toEqual({ handles: [], start: NO_LOG });
  }
  expect(aside()).toEqual(['redo-log.mdb.refused-1', 'redo-log.mdb.refused-2']);
  expect(logged).toEqual(['log.refused', 'log.refused']);
});

test('a node that never was in its cluster does not write behind what it finds', async () => {
  await writeLog();
  setForeignLogAside(dataDir, (_level, event) => void logged.push(event));
  expect(aside()).toEqual(['redo-log.mdb.refused-1']);
  expect(logged).toEqual(['log.refused']);
});

test('who is told to end does not wait for the end of the log', async () => {
  await writeLog();
  const told = new AbortController();
  const recovering = recover({ signal: told.signal });
  told.abort(new Error('told to end'));
  await expect(recovering).rejects.toThrow('told to end');
  expect(await groups()).toBe(1);
  expect(aside()).toEqual([]);
});
