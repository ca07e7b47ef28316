/** An upgrade keeps the cache: what the version before has saved is read, and saved on. The files in golden/ were written by
 *  the code of their version. */
import { readFileSync, writeFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { hashKey, newStableView, type Partition } from '@ingot/store';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Disk, GEOMETRY, get, OWNER, put } from './checkpoint.fixture.ts';
import { CheckpointFile } from './checkpoint-file.ts';
import { CHECKPOINT_VERSION } from './checkpoint-meta.ts';
import { readSavedState } from './saved-state.ts';

let disk: Disk;

beforeEach(() => {
  disk = new Disk();
  const zipped = readFileSync(new URL('./golden/checkpoint-1.mdb.gz', import.meta.url));
  writeFileSync(disk.path, gunzipSync(zipped));
});
afterEach(() => disk.remove());

async function loaded(): Promise<Partition> {
  const copy = await disk.load();
  if (typeof copy === 'string') throw new Error(copy);
  return copy;
}

async function versionOf(): Promise<number | string> {
  const file = new CheckpointFile(disk.path, GEOMETRY.imageBytes);
  const saved = readSavedState(file, OWNER);
  await file.close();
  return typeof saved === 'string' ? saved : saved.meta.version;
}

function mustHoldAll(copy: Partition): void {
  expect(get(copy, 'key-7')).toBe('changed');
  for (const i of [0, 8, 199]) expect(get(copy, `key-${i}`)).toBe(`value ${i}`);
  expect(get(copy, 'big-4')).toBe('bigger 4 '.repeat(6_112).slice(0, 55_000));
  expect(get(copy, 'late-1')).toBe('in the redo');
  expect(copy.verify()).toBeNull();
}

test('checkpoint version 1: is read by this version, chunks and redo', async () => {
  expect(await versionOf()).toBe(1);
  const copy = await loaded();
  expect([copy.committedSeq(), copy.stats().keys]).toEqual([215, 208]);
  expect(copy.history()).toMatchObject([{ epoch: 3, startSeq: 1 }]);
  mustHoldAll(copy);
});

test('... is saved on in this version, and read again', async () => {
  const copy = await loaded();
  copy.promote(4, 4_000);
  put(copy, 'new', Buffer.from('of this version'), 4_000);
  await disk.save(copy);
  expect(await versionOf()).toBe(CHECKPOINT_VERSION);
  const again = await loaded();
  expect(get(again, 'new')).toBe('of this version');
  mustHoldAll(again);
  expect(again.imageBuffer.equals(copy.imageBuffer)).toBe(true);
});

test('what had expired by the highest clock that was seen stays away after the load, whatever the clock says then', async () => {
  const copy = await loaded();
  const name = Buffer.from('expiring');
  const find = (nowMs: number): number =>
    copy.find(hashKey(name, 0, name.length), name, 0, name.length, nowMs);
  expect(find(4_999)).not.toBe(0);
  expect(find(5_001)).toBe(0);
  copy.sawClock(5_001);
  await disk.save(copy);
  const later = await loaded();
  const view = newStableView();
  expect(later.tryStable(view)).toBe(true);
  expect(view.clockMs).toBe(5_001);
});
