import { ROLE_FOLLOWER, type Partition } from '@ingot/store';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Disk, get, newCopy, put } from './checkpoint.fixture.ts';
import { NotSaved } from './save.ts';

const CHUNK = 65_536;
let disk: Disk;

beforeEach(() => {
  disk = new Disk();
});
afterEach(() => disk.remove());

function newPrimary(): Partition {
  const partition = newCopy();
  partition.promote(1, 1);
  return partition;
}

/** Writes all over the partition, a few records at a time, in ever new generations. */
function writer(partition: Partition, seed: number): () => void {
  let state = seed;
  let nowMs = 1_000 * seed;
  const next = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return state % below;
  };
  return () => {
    nowMs += 60;
    for (let i = 0; i < 20; i++) {
      const value = Buffer.alloc(next(3_000), next(256));
      put(partition, `key-${next(2_000)}`, value, nowMs);
    }
  };
}

async function loadedFrom(from: Disk): Promise<Partition> {
  const copy = await from.load();
  if (typeof copy === 'string') throw new Error(copy);
  return copy;
}

describe('a checkpoint', () => {
  test('holds the copy, byte for byte, while nobody writes', async () => {
    const primary = newPrimary();
    const write = writer(primary, 1);
    for (let i = 0; i < 50; i++) write();
    await disk.save(primary);
    const copy = await loadedFrom(disk);
    expect(copy.committedSeq()).toBe(primary.committedSeq());
    expect(copy.imageBuffer.equals(primary.imageBuffer)).toBe(true);
    expect(copy.verify()).toBeNull();
    expect(copy.consistent() && copy.checked()).toBe(true);
    expect(copy.stats().keys).toBe(primary.stats().keys);
  });

  test('is exact at a seq of the writers that go on meanwhile, save after save', async () => {
    const primary = newPrimary();
    const write = writer(primary, 2);
    for (let i = 0; i < 30; i++) write();
    for (let save = 0; save < 6; save++) {
      /** The image as it was at each seq. */
      const images = new Map<number, Buffer>();
      await disk.save(primary, () => {
        write();
        images.set(primary.committedSeq(), Buffer.from(primary.imageBuffer));
      });
      const copy = await loadedFrom(disk);
      const image = images.get(copy.committedSeq());
      expect(image?.equals(copy.imageBuffer)).toBe(true);
      expect(copy.verify()).toBeNull();
    }
  });

  test('takes only what changed since the last one', async () => {
    const primary = newPrimary();
    for (let i = 0; i < 2_000; i++) put(primary, `key-${i}`, Buffer.alloc(2_000, i), i);
    const first = await disk.save(primary);
    put(primary, 'key-7', Buffer.from('changed'), 10_000);
    const second = await disk.save(primary);
    expect(first.bytes).toBeGreaterThan(4_000_000);
    expect(second.chunks).toBeLessThan(10);
    expect(second.bytes).toBeLessThan(12 * CHUNK);
    expect(get(await loadedFrom(disk), 'key-7')).toBe('changed');
  });

  test('follows a copy that was rewound, also where stamps of both histories are the same', async () => {
    const primary = newPrimary();
    const write = writer(primary, 3);
    for (let i = 0; i < 40; i++) write();
    await disk.save(primary);
    const heir = await loadedFrom(disk);
    // Both go on from here, in the same generations.
    const lost = writer(primary, 4);
    for (let i = 0; i < 40; i++) lost();
    await disk.save(primary);
    heir.promote(2, 5_000);
    const kept = writer(heir, 4_000);
    for (let i = 0; i < 40; i++) kept();
    await disk.save(heir);
    const copy = await loadedFrom(disk);
    expect(copy.committedSeq()).toBe(heir.committedSeq());
    expect(copy.imageBuffer.equals(heir.imageBuffer)).toBe(true);
  });

  test('of a writer that is faster than the ring is made in more passes, and exact', async () => {
    const primary = newPrimary();
    for (let i = 0; i < 2_000; i++) put(primary, `key-${i}`, Buffer.alloc(2_000, i), i);
    let rests = 0;
    await disk.save(primary, () => {
      if (++rests !== 3) return;
      for (let i = 0; i < 3_000; i++) put(primary, `key-${i % 50}`, Buffer.alloc(2_000, i), 9_000);
    });
    const copy = await loadedFrom(disk);
    expect(copy.imageBuffer.equals(primary.imageBuffer)).toBe(true);
  });

  test('is not made of a copy into which chunks land; the former one stays', async () => {
    const primary = newPrimary();
    put(primary, 'key', Buffer.from('saved'));
    await disk.save(primary);
    put(primary, 'key', Buffer.from('later'));
    let began = false;
    const save = disk.save(primary, () => {
      if (began) return;
      began = true;
      primary.setRole(ROLE_FOLLOWER, 2);
      primary.beginBulk(primary.committedSeq());
      primary.becomeConsistent(1_000);
    });
    await expect(save).rejects.toThrow(NotSaved);
    expect(began).toBe(true);
    expect(get(await loadedFrom(disk), 'key')).toBe('saved');
  });
});
