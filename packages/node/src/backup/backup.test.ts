import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  attachPartition,
  createPartition,
  type Partition,
  PartitionMap,
  planGeometry,
  ROLE_FOLLOWER,
} from '@ingot/store';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ClusterStatus } from '../control/types.ts';
import {
  type BackupHead,
  encodeBlock,
  encodePreamble,
  encodeRows,
  encodeTail,
  IMAGE_WORDS,
} from './backup-format.ts';
import { BackupReader } from './backup-reader.ts';
import { BackupWriter } from './backup-writer.ts';
import { recordsOf } from './records.ts';
import { sourcesOf } from './sources.ts';

const MIB = 1_048_576;
const NOW_MS = 1_750_000_000_000;
const GOLDEN = join(import.meta.dirname, 'golden', 'format-1.txt');
const head: BackupHead = {
  ...{ clusterId: 'a-cluster', program: 'ingot 0.1.0', startedAtMs: NOW_MS, ...IMAGE_WORDS },
  ...{ partitions: 2, copies: 2, capacityBytes: 16 * MIB, capacityLimitBytes: 16 * MIB },
  ...{ capacityMaxBytes: 32 * MIB, valueMaxBytes: MIB, eviction: 'sieve' },
};
const geometry = planGeometry(head);

let folder: string;
const file = (name: string): string => join(folder, name);

/** A primary, as it would be read from. */
function primary(id: number, fill: (map: PartitionMap) => void): Partition {
  const partition = attachPartition(createPartition(geometry, id));
  partition.promote(3, NOW_MS);
  fill(new PartitionMap(partition));
  return partition;
}

async function written(name: string): Promise<string> {
  const writer = await BackupWriter.create(file(name), head);
  const from = { node: 'n1', led: true, takenAtMs: NOW_MS, clockMs: NOW_MS };
  const many = primary(1, (map) => {
    for (let i = 0; i < 500; i++) map.set(Buffer.from(`k${i}`), Buffer.from(`v${i}`), NOW_MS);
    map.set(Buffer.from('long'), Buffer.alloc(200_000, 7), NOW_MS);
    map.set(Buffer.from('soon'), Buffer.from('x'), NOW_MS, { expiresAtMs: NOW_MS + 10 });
    map.set(Buffer.from('later'), Buffer.from('y'), NOW_MS, { expiresAtMs: NOW_MS + 1_000 });
    map.delete(Buffer.from('k7'), NOW_MS);
  });
  for (const partition of [many, primary(0, () => undefined)]) {
    partition.setRole(ROLE_FOLLOWER, 3);
    await writer.add(partition, from);
  }
  await writer.finish(NOW_MS + 5);
  return file(name);
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ingot-backup-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('backup file', () => {
  test('holds every record that had not expired, and says where it was taken', async () => {
    const reader = new BackupReader(await written('whole'));
    let expired = 0;
    const records = [...recordsOf(reader, 1, NOW_MS + 500, () => expired++)];
    const found = new Map(records.map((record) => [record.key.toString(), record]));
    expect([found.size, expired]).toEqual([501, 1]);
    expect(found.get('long')?.value).toEqual(Buffer.alloc(200_000, 7));
    expect(found.get('later')?.expiresAtMs).toBe(NOW_MS + 1_000);
    expect(found.has('k7')).toBe(false);
    expect([...recordsOf(reader, 0, NOW_MS, () => undefined)]).toEqual([]);
    expect(reader.parts[1]).toMatchObject({ epoch: 3, node: 'n1', keys: 502 });
    expect(reader.foot).toMatchObject({ keys: 502, endedAtMs: NOW_MS + 5 });
    expect([...reader.verify()]).toHaveLength(reader.foot.chunks);
    reader.close();
  });

  test('every damaged byte is noticed: by what is read at once, or by the comparison', async () => {
    const path = await written('damaged');
    const bytes = readFileSync(path);
    const size = bytes.length;
    // Zeros behind the JSON of a block mean nothing; all else counts.
    for (let i = 0; i < 200; i++) {
      const at = Math.floor((i * size) / 200) & ~15;
      const before = bytes[at];
      bytes[at] ^= 0x41;
      writeFileSync(path, bytes);
      expect(() => {
        const reader = new BackupReader(path);
        try {
          for (const _ of reader.verify());
        } finally {
          reader.close();
        }
      }, `byte ${at}`).toThrow(/is refused: /);
      bytes[at] = before;
    }
  });

  test('wherever it is cut, it is refused', async () => {
    const path = await written('cut');
    for (let size = statSync(path).size - 1; size > 0; size = Math.floor(size * 0.7)) {
      truncateSync(path, size);
      expect(() => new BackupReader(path), `${size} bytes`).toThrow(/is refused: its? /);
    }
  });

  test('the bytes of format 1 are golden', () => {
    const part = {
      ...{ partition: 1, epoch: 3, seq: 505, generation: 2, clockMs: NOW_MS, takenAtMs: NOW_MS },
      history: [{ epoch: 3, generation: 1, startSeq: 1 }],
      ...{ node: 'n1', led: false, keys: 4, usedBytes: 65_536, rows: 2, chunks: 1, tableCrc32: 9 },
    };
    const rows = [
      { chunk: 0, stamp: 2, crc32: 0xdeadbeef, stored: true },
      { chunk: 9, stamp: 1, crc32: 0, stored: false },
    ];
    const foot = { endedAtMs: NOW_MS, keys: 4, usedBytes: 65_536, chunks: 1, offsets: [16, 32] };
    const pieces = [
      ...[encodePreamble(), encodeBlock('HEAD', head), encodeBlock('PART', part)],
      ...[encodeRows(rows), encodeBlock('FOOT', foot), encodeTail(4_096)],
    ];
    const text = pieces
      .map((piece) => piece.toString('hex').replace(/.{1,96}/g, '$&\n'))
      .join('\n');
    expect(text).toBe(readFileSync(GOLDEN, 'utf8'));
  });
});

describe('sources', () => {
  const status = (states: readonly string[], primary: string | null = 'n1'): ClusterStatus => {
    const followers = states.map((state, i) => ({ node: `n${i + 2}`, state }));
    const nodes = ['n1', 'n2', 'n3'].map((id, i) => ({
      ...{ id, state: i === 2 && states[1] === 'down' ? 'down' : 'up', advertise: `host${i + 1}` },
      ports: { replication: 7_500 },
    }));
    return {
      map: { nodes, placement: [{ epoch: 5, primary, followers: [] }] },
      nodes: [{ node: 'n1', status: { partitions: [{ id: 0, followers }] } }],
    } as unknown as ClusterStatus;
  };
  const named = (of: ClusterStatus, load?: ReadonlyMap<string, number>): string[] =>
    sourcesOf(of, 0, load).map(({ node }) => node);

  test('followers in step come first, those that gave least before others, the primary last', () => {
    expect(named(status(['streaming', 'streaming']), new Map([['n2', 4]]))).toEqual([
      ...['n3', 'n2', 'n1'],
    ]);
    expect(named(status(['bulk', 'streaming']))).toEqual(['n3', 'n1']);
    expect(named(status(['checking', 'catchup']))).toEqual(['n1']);
  });

  test('nobody is asked about a partition without a primary', () => {
    expect(named(status(['streaming'], null))).toEqual([]);
  });
});
