/** What the killed process and who looks after it agree on: the shape of the copy, its keys, and how a value tells that it is
 *  whole and belongs to its key. */
import { existsSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import {
  attachPartition,
  createPartition,
  type Geometry,
  hashKey,
  type Partition,
  planGeometry,
} from '@ingot/store';
import { CheckpointFile } from '../../packages/node/src/checkpoint/checkpoint-file.ts';
import type { CheckpointOwner } from '../../packages/node/src/checkpoint/checkpoint-meta.ts';
import { loadCheckpoint } from '../../packages/node/src/checkpoint/load.ts';

export const KEYS = 1_500;
const VALUE_BYTES_MAX = 9_000;
const MIB = 1_048_576;

export const GEOMETRY: Geometry = planGeometry({
  partitions: 1,
  capacityBytes: 24 * MIB,
  capacityMaxBytes: 24 * MIB,
});

export const OWNER: CheckpointOwner = {
  ...{ clusterId: 'crash', node: 'n1', partition: 0, geometry: GEOMETRY },
};

export function nameOf(key: number): Buffer {
  return Buffer.from(`key-${key}`);
}

/** Key and checksum, then bytes that have it. */
export function valueOf(key: number, number: number): Buffer {
  const bytes = Buffer.alloc(8 + (number % VALUE_BYTES_MAX), number & 0xff);
  bytes.writeUInt32LE(key, 0);
  bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4);
  return bytes;
}

export function write(partition: Partition, key: number, value: Buffer): void {
  const name = nameOf(key);
  partition.enter();
  const hash = hashKey(name, 0, name.length);
  partition.set(hash, name, 0, name.length, value, 0, value.length, 0, Date.now());
  partition.leave();
}

/** What is wrong with what a reader of this copy would get; null where nothing is. */
export function wrongIn(partition: Partition): string | null {
  for (let key = 0; key < KEYS; key++) {
    const name = nameOf(key);
    const ref = partition.find(hashKey(name, 0, name.length), name, 0, name.length, 1);
    if (ref === 0) continue;
    const value = Buffer.alloc(partition.valueBytes(ref));
    partition.copyValue(ref, 0, value.length, value, 0);
    const isOwn = value.readUInt32LE(0) === key;
    if (!isOwn || value.readUInt32LE(4) !== crc32(value.subarray(8))) return `key ${key} is wrong`;
  }
  return partition.verify();
}

/** The copy that the file holds, a new one where there is no file yet, or why it is refused. */
export async function readCopy(path: string): Promise<Partition | string> {
  const partition = attachPartition(createPartition(GEOMETRY, 0));
  if (!existsSync(path)) return partition;
  const file = new CheckpointFile(path, null);
  try {
    const steps = loadCheckpoint(file, OWNER, partition);
    for (;;) {
      const step = steps.next();
      if (step.done === true) return typeof step.value === 'string' ? step.value : partition;
    }
  } finally {
    await file.close();
  }
}
