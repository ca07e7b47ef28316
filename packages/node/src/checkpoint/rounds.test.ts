/** Rounds over a folder of their own, at moments of the test's choosing, beside a disk that refuses. */
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { attachPartition, createPartition, type Partition } from '@ingot/store';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { CheckpointStatus } from '../shared/messages.ts';
import { GEOMETRY, get, newCopy, OWNER, put } from './checkpoint.fixture.ts';
import { CheckpointFile, CheckpointFolder } from './checkpoint-file.ts';
import type { DiskSpace } from './disk-space.ts';
import { loadCheckpoint } from './load.ts';
import { CheckpointRounds, type RoundsOptions } from './rounds.ts';
import { NotSaved } from './save.ts';
import type * as TornFile from './torn-file.ts';

/** What opening a file meets, beside the file. */
const opening = vi.hoisted(() => ({ error: null as Error | null }));
vi.mock('./torn-file.ts', async (load) => {
  const { tornFile } = await load<typeof TornFile>();
  return {
    tornFile: (path: string) => {
      if (opening.error !== null) throw opening.error;
      return tornFile(path);
    },
  };
});

let dataDir: string;
let folder: CheckpointFolder;
let events: string[];
let clockMs: number;
let disk: DiskSpace;

const MIB = 1_048_576;
let told: CheckpointStatus | null;

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'ingot-rounds-'));
  folder = new CheckpointFolder(dataDir);
  events = [];
  clockMs = 0;
  opening.error = null;
  disk = { freeBytes: 1_024 * MIB, diskBytes: 2_048 * MIB };
  told = null;
});
afterEach(() => {
  rmSync(dataDir, { recursive: true });
});

function newRounds(partition: Partition, changes: Partial<RoundsOptions> = {}): CheckpointRounds {
  const rounds = new CheckpointRounds({
    ...{ folder, clusterId: OWNER.clusterId, node: OWNER.node },
    ...{ everyMs: 60_000, bytesPerSecond: 2 ** 30 },
    log: (_level, event) => void events.push(event),
    nowMs: () => 7_000,
    monotonicMs: () => (clockMs += 10),
    saved: () => {},
    tell: (status) => {
      told = status;
    },
    space: () => disk,
    ...changes,
  });
  rounds.attach(partition);
  return rounds;
}

function newPrimary(): Partition {
  const partition = newCopy();
  partition.promote(1, 1);
  put(partition, 'key', Buffer.from('first'));
  return partition;
}

/** As a node that starts would read it. */
async function loaded(): Promise<Partition | string> {
  const file = new CheckpointFile(folder.fileOf(0), null);
  try {
    const copy = attachPartition(createPartition(GEOMETRY, 0));
    const steps = loadCheckpoint(file, OWNER, copy);
    for (;;) {
      const step = steps.next();
      if (step.done === true) return typeof step.value === 'string' ? step.value : copy;
    }
  } finally {
    await file.close();
  }
}

async function savedValue(key: string): Promise<string | null> {
  const copy = await loaded();
  if (typeof copy === 'string') throw new Error(copy);
  return get(copy, key);
}

/** What a bulk that follows a difference does: bytes land, and their stamp is as old as it was. */
function repairByBulk(partition: Partition, chunk: number): void {
  partition.beginBulk(partition.committedSeq());
  partition.chunkLands(chunk);
  const stamp = partition.stamps[chunk];
  const bytes = partition.chunkBytesView(chunk, 0, 65_536);
  const at = bytes.indexOf('damaged');
  bytes.write('settled', at);
  partition.chunkLanded(chunk, stamp);
  expect(partition.becomeConsistent(1_000)).toBeNull();
}

describe('rounds of saving', () => {
  test('a copy that was checked after it was saved is saved anew; one that is not checked is not saved', async () => {
    const primary = newPrimary();
    const rounds = newRounds(primary);
    await rounds.end(1);
    primary.setChecked(false);
    put(primary, 'key', Buffer.from('unchecked'), 2);
    await newRounds(primary).end(2);
    expect(await savedValue('key')).toBe('first');
    primary.setChecked(true);
    await newRounds(primary).end(3);
    expect(await savedValue('key')).toBe('unchecked');
  });

  test('a chunk that a bulk has repaired is saved, though its stamp is old and nothing else has changed', async () => {
    const primary = newPrimary();
    put(primary, 'other', Buffer.from('damaged'.repeat(3)));
    const chunk = [...primary.stamps.keys()].find((id) =>
      primary.chunkBytesView(id, 0, 65_536).includes('damaged'),
    );
    const rounds = newRounds(primary);
    rounds.begin();
    await rounds.end(1);
    repairByBulk(primary, chunk ?? 0);
    primary.setChecked(true);
    await rounds.end(1);
    expect(await savedValue('other')).toBe('settleddamageddamaged');
  });

  test('an error at opening that says nothing of the file leaves it as it was', async () => {
    const primary = newPrimary();
    await newRounds(primary).end(1);
    const before = readFileSync(folder.fileOf(0));
    put(primary, 'key', Buffer.from('second'), 2);
    const rounds = newRounds(primary);
    opening.error = new Error('EMFILE: too many open files');
    await rounds.end(2);
    expect(events).toContain('checkpoint.failed');
    expect(readFileSync(folder.fileOf(0)).equals(before)).toBe(true);
    opening.error = null;
    await rounds.end(2);
    expect(await savedValue('key')).toBe('second');
    expect(told?.failing).toBe(0);
  });

  test('a file that is torn is replaced', async () => {
    const primary = newPrimary();
    await newRounds(primary).end(1);
    truncateSync(folder.fileOf(0), 3 * 65_536);
    await newRounds(primary).end(2);
    expect(events).toContain('checkpoint.replaced');
    expect(await savedValue('key')).toBe('first');
  });

  test('a file that cannot be removed is said, and later rounds go on', async () => {
    const primary = newPrimary();
    const rounds = newRounds(primary);
    mkdirSync(folder.fileOf(5), { recursive: true });
    rounds.detach(5, false);
    await rounds.end(1);
    expect(events).toContain('checkpoint.diskRefused');
    expect(await savedValue('key')).toBe('first');
  });

  test('a file that is removed under a node that runs is written anew, whole', async () => {
    const primary = newPrimary();
    put(primary, 'filler', Buffer.alloc(20_000, 97));
    // Each in a generation of its own: the next save looks at what is newer alone.
    put(primary, 'key', Buffer.from('later'), 1_000);
    const rounds = newRounds(primary);
    rounds.saveSoon([0]);
    await rounds.settled();
    rmSync(folder.fileOf(0));
    put(primary, 'key', Buffer.from('second'), 2_000);
    rounds.saveSoon([0]);
    await rounds.settled();
    expect(await savedValue('key')).toBe('second');
    expect(await savedValue('filler')).toHaveLength(20_000);
  });

  test('and so is one of a copy that has not changed, in a round and at the end', async () => {
    const primary = newPrimary();
    const rounds = newRounds(primary);
    rounds.saveSoon([0]);
    await rounds.settled();
    rmSync(folder.path, { recursive: true });
    rounds.saveSoon([0]);
    await rounds.settled();
    expect(await savedValue('key')).toBe('first');
    rmSync(folder.fileOf(0));
    await rounds.end(1);
    expect(await savedValue('key')).toBe('first');
  });

  test('a file in whose place another was put is read before it is built on', async () => {
    const primary = newPrimary();
    const rounds = newRounds(primary);
    rounds.saveSoon([0]);
    await rounds.settled();
    const older = `${folder.fileOf(0)}.older`;
    copyFileSync(folder.fileOf(0), older);
    put(primary, 'filler', Buffer.alloc(20_000, 97), 1_000);
    put(primary, 'key', Buffer.from('second'), 2_000);
    rounds.saveSoon([0]);
    await rounds.settled();
    renameSync(older, folder.fileOf(0));
    put(primary, 'key', Buffer.from('third'), 3_000);
    rounds.saveSoon([0]);
    await rounds.settled();
    expect(await savedValue('key')).toBe('third');
    expect(await savedValue('filler')).toHaveLength(20_000);
  });

  test('a folder that cannot be is said, ends nothing, and is used as soon as it can be', async () => {
    writeFileSync(folder.path, 'no folder');
    const rounds = newRounds(newPrimary());
    rounds.keepOnly(() => new Set([0]));
    rounds.begin();
    rounds.saveSoon([0]);
    await rounds.settled();
    expect(events).toEqual(['checkpoint.failed']);
    expect(told).toMatchObject({ failing: 1, failures: 2 });
    rmSync(folder.path);
    mkdirSync(folder.path);
    writeFileSync(folder.fileOf(7), 'of a partition that is held no more');
    await rounds.end(1);
    expect(await savedValue('key')).toBe('first');
    expect(folder.partitions()).toEqual([0]);
    expect(told?.failing).toBe(0);
  });

  test('nothing is saved where too little of the disk is free; that is said once, and over once there is more', async () => {
    const primary = newPrimary();
    await newRounds(primary).end(1);
    put(primary, 'key', Buffer.from('second'), 2);
    const rounds = newRounds(primary);
    const other = newCopy(1);
    other.promote(1, 1);
    rounds.attach(other);
    disk = { freeBytes: 255 * MIB, diskBytes: 2_048 * MIB };
    rounds.saveSoon([0, 1]);
    await rounds.settled();
    disk = { freeBytes: 511 * MIB, diskBytes: 10_240 * MIB };
    rounds.saveSoon([0, 1]);
    await rounds.settled();
    expect(events).toEqual(['checkpoint.saved', 'checkpoint.failed']);
    expect(told).toMatchObject({ failing: 2, failures: 4 });
    expect(await savedValue('key')).toBe('first');
    expect(folder.partitions()).toEqual([0]);
    disk = { freeBytes: 513 * MIB, diskBytes: 10_240 * MIB };
    await rounds.end(2);
    expect(await savedValue('key')).toBe('second');
    expect(told?.failing).toBe(0);
  });

  test('a disk that does not hold what the capacity may need is said at the start', async () => {
    const begun = async (freeMib: number): Promise<string[]> => {
      events = [];
      disk = { freeBytes: freeMib * MIB, diskBytes: 2_048 * MIB };
      const rounds = newRounds(newPrimary());
      rounds.begin();
      await rounds.end(0);
      return events;
    };
    expect(await begun(256 + 31)).toEqual(['checkpoint.smallDisk']);
    expect(await begun(256 + 33)).toEqual([]);
  });

  test('a copy that is never saved in three rounds counts as failing until it is', async () => {
    const primary = newPrimary();
    await newRounds(primary).end(1);
    const rounds = newRounds(primary);
    opening.error = new NotSaved('the writers lapped it');
    for (const failing of [0, 0, 1, 1]) {
      rounds.saveSoon([0]);
      await rounds.settled();
      expect(told?.failing).toBe(failing);
    }
    expect(events.filter((event) => event === 'checkpoint.late')).toHaveLength(1);
    opening.error = null;
    put(primary, 'key', Buffer.from('second'), 2);
    await rounds.end(2);
    expect(told?.failing).toBe(0);
  });

  test('a round that took longer than it comes is followed by as long a rest', async () => {
    const timers = vi.spyOn(globalThis, 'setTimeout');
    const nowMs = (): number => (clockMs += 90_000);
    const rounds = newRounds(newPrimary(), { everyMs: 20, nowMs });
    rounds.begin();
    await vi.waitFor(() => {
      expect(timers.mock.calls.some(([, ms]) => (ms ?? 0) >= 90_000)).toBe(true);
    });
    timers.mockRestore();
    await rounds.end(0);
  });

  test('what a save that was cut short has left is taken out by the next', async () => {
    const primary = newPrimary();
    await newRounds(primary).end(1);
    const file = new CheckpointFile(folder.fileOf(0), GEOMETRY.imageBytes);
    file.transact(() => file.put(0x8000 + 99, Buffer.alloc(65_536, 1)));
    await file.close();
    put(primary, 'key', Buffer.from('second'), 2);
    await newRounds(primary).end(2);
    const after = new CheckpointFile(folder.fileOf(0), null);
    expect(after.keys()).not.toContain(0x8000 + 99);
    await after.close();
    expect(await savedValue('key')).toBe('second');
  });

  test('how old what is saved is is known before the first round', async () => {
    await newRounds(newPrimary()).end(1);
    const rounds = newRounds(newPrimary());
    rounds.begin();
    await rounds.end(0);
    expect(told).toMatchObject({ partitions: 1, oldestSavedAtMs: 7_000 });
  });
});

describe('a note of what is being read', () => {
  test('counts readings that were cut short, and goes with one that was not', () => {
    folder.make();
    expect(folder.beginReading(0)).toBe(0);
    expect(folder.beginReading(0)).toBe(1);
    folder.endReading(0);
    expect(folder.beginReading(0)).toBe(0);
  });

  test('that the disk does not take is no reason not to read', () => {
    folder.make();
    const note = `${folder.fileOf(0)}.reading`;
    mkdirSync(note);
    expect(() => appendFileSync(note, '.')).toThrow('EISDIR');
    expect(() => folder.beginReading(0)).not.toThrow();
    expect(() => folder.endReading(0)).not.toThrow();
    expect(existsSync(note)).toBe(true);
  });
});
