/** What is refused, and why: whole, whatever is wrong with it. */
import { closeSync, openSync, readFileSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { planGeometry } from '@ingot/store';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Disk, GEOMETRY, get, newCopy, OWNER, put } from './checkpoint.fixture.ts';
import { CheckpointFile, chunkKey, META_KEY, redoKey, TABLE_KEY } from './checkpoint-file.ts';
import { decodeMeta, encodeMeta, type CheckpointMeta } from './checkpoint-meta.ts';

const MIB = 1_048_576;
const MARK = 'a value that is easily found in the file';
let disk: Disk;

beforeEach(async () => {
  disk = new Disk();
  const primary = newCopy();
  primary.promote(1, 1);
  for (let i = 0; i < 200; i++) put(primary, `key-${i}`, Buffer.from(`${MARK} ${i}`));
  let rests = 0;
  await disk.save(primary, () => put(primary, `late-${rests++}`, Buffer.from('in the redo')));
  expect(rests).toBeGreaterThan(0);
});
afterEach(() => disk.remove());

/** Rewrites what the file holds under a key. */
async function change(key: number, edit: (bytes: Buffer) => Uint8Array): Promise<void> {
  const file = new CheckpointFile(disk.path, GEOMETRY.imageBytes);
  const bytes = Buffer.from(file.get(key) ?? []);
  file.transact(() => file.put(key, edit(bytes)));
  await file.close();
}

/** With a checksum that is right. */
function changeMeta(edit: (meta: CheckpointMeta) => CheckpointMeta): Promise<void> {
  return change(META_KEY, (bytes) => {
    const meta = decodeMeta(bytes);
    if (typeof meta === 'string') throw new Error(meta);
    return encodeMeta(edit(meta));
  });
}

function flipByteOf(text: string): void {
  const at = readFileSync(disk.path).indexOf(text);
  const file = openSync(disk.path, 'r+');
  writeSync(file, Buffer.from('!'), 0, 1, at + 3);
  closeSync(file);
}

describe('a checkpoint that is as it was left', () => {
  test('is loaded, with its redo', async () => {
    const copy = await disk.load();
    if (typeof copy === 'string') throw new Error(copy);
    expect(get(copy, 'key-199')).toBe(`${MARK} 199`);
    expect(get(copy, 'late-0')).toBe('in the redo');
    expect(copy.verify()).toBeNull();
  });
});

describe('a checkpoint is refused', () => {
  test('where a byte of a chunk has changed on the disk', async () => {
    flipByteOf(`${MARK} 77`);
    expect(await disk.load()).toMatch(/^chunk \d+ is damaged$/);
  });

  test('where its redo has changed', async () => {
    flipByteOf('in the redo');
    expect(await disk.load()).toMatch(/^its redo is damaged$|^redo 0: /);
  });

  test('where a piece of its redo is missing', async () => {
    const file = new CheckpointFile(disk.path, GEOMETRY.imageBytes);
    file.transact(() => file.remove(redoKey(0, 1)));
    await file.close();
    expect(await disk.load()).toBe('redo 0 is missing');
  });

  test('where a chunk is missing', async () => {
    const file = new CheckpointFile(disk.path, GEOMETRY.imageBytes);
    file.transact(() => file.remove(chunkKey(0, 1)));
    await file.close();
    expect(await disk.load()).toBe('chunk 0 is missing');
  });

  test('where its table of chunks or its own words have changed', async () => {
    await change(TABLE_KEY, (bytes) => bytes.fill(1, 0, 4));
    expect(await disk.load()).toBe('its table of chunks is damaged');
    await change(META_KEY, (bytes) => bytes.fill('0', 20, 21));
    expect(await disk.load()).toBe('what it says of itself is damaged');
  });

  test('where the file is cut, empty, or no LMDB file', async () => {
    truncateSync(disk.path, 3 * 65_536);
    expect(await disk.load()).toMatch(/^it has 196608 of \d+ bytes$/);
    truncateSync(disk.path, 0);
    expect(await disk.load()).toBe('it does not begin as an LMDB file does');
    writeFileSync(disk.path, Buffer.alloc(65_536, 7));
    expect(await disk.load()).toBe('it does not begin as an LMDB file does');
  });

  test('by another cluster, node or partition', async () => {
    const of = (what: object): ReturnType<Disk['load']> => disk.load({ ...OWNER, ...what });
    expect(await of({ clusterId: 'cluster-2' })).toBe(
      'it is of cluster cluster-1, this is cluster-2',
    );
    expect(await of({ node: 'n2' })).toBe('it is of node n1, this is n2');
    expect(await of({ partition: 3 })).toBe('it is of partition 0, this is 3');
  });

  test('where the image is that of another partition, whatever the file says', async () => {
    await changeMeta((meta) => ({ ...meta, partition: 5 }));
    expect(await disk.load({ ...OWNER, partition: 5 })).toBe('the image is of partition 0');
  });

  test('by a cluster of another geometry', async () => {
    const geometry = planGeometry({ partitions: 1, capacityBytes: 32 * MIB });
    expect(await disk.load({ ...OWNER, geometry })).toMatch(
      /^it is of a cluster of 1 partitions of 256 x/,
    );
  });

  test('in another store format, byte order or checkpoint version', async () => {
    await changeMeta((meta) => ({ ...meta, storeFormat: meta.storeFormat - 1 }));
    expect(await disk.load()).toMatch(/^it is of store format \d+, this is \d+$/);
    await changeMeta((meta) => ({ ...meta, storeFormat: meta.storeFormat + 1, byteOrder: 0x0201 }));
    expect(await disk.load()).toBe('it has the other byte order');
    await changeMeta((meta) => ({ ...meta, version: 3 }));
    expect(await disk.load()).toBe('it has checkpoint version 3, this node reads 1 and 2');
  });

  test('where the image does not have the history that the file tells', async () => {
    await changeMeta((meta) => ({ ...meta, history: [{ epoch: 2, generation: 1, startSeq: 1 }] }));
    expect(await disk.load()).toBe('the image has another history than it says');
  });

  test('where the redo ends before the point that it claims', async () => {
    await changeMeta((meta) => ({ ...meta, seq: meta.seq + 1 }));
    expect(await disk.load()).toMatch(/^its redo ends with seq/);
  });
});
