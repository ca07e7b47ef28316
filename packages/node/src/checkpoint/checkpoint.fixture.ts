/** A copy, its checkpoint in a folder of its own, and writers that come between any two steps. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  attachPartition,
  createPartition,
  hashKey,
  type Partition,
  planGeometry,
  type Geometry,
} from '@ingot/store';
import { CheckpointFile } from './checkpoint-file.ts';
import type { CheckpointMeta, CheckpointOwner } from './checkpoint-meta.ts';
import { loadCheckpoint } from './load.ts';
import { saveCheckpoint, type SaveFigures, type SaveOptions } from './save.ts';
import { readSavedState } from './saved-state.ts';

const MIB = 1_048_576;

export const GEOMETRY: Geometry = planGeometry({
  partitions: 1,
  capacityBytes: 16 * MIB,
  capacityMaxBytes: 16 * MIB,
});

export const OWNER: CheckpointOwner = {
  clusterId: 'cluster-1',
  node: 'n1',
  partition: 0,
  geometry: GEOMETRY,
};

export function newCopy(id = 0): Partition {
  return attachPartition(createPartition(GEOMETRY, id));
}

export function put(partition: Partition, key: string, value: Buffer, nowMs = 1): void {
  const name = Buffer.from(key);
  partition.enter();
  const hash = hashKey(name, 0, name.length);
  partition.set(hash, name, 0, name.length, value, 0, value.length, 0, nowMs);
  partition.leave();
}

export function get(partition: Partition, key: string): string | null {
  const name = Buffer.from(key);
  const ref = partition.find(hashKey(name, 0, name.length), name, 0, name.length, 1);
  if (ref === 0) return null;
  const value = Buffer.alloc(partition.valueBytes(ref));
  partition.copyValue(ref, 0, value.length, value, 0);
  return value.toString();
}

export class Disk {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'ingot-checkpoint-'));
  readonly path: string = join(this.folder, 'partition-0.mdb');

  /** Into a file that is opened for it, as after a start; `between` runs whenever the save lets others work. */
  async save(
    partition: Partition,
    between: () => void = () => {},
    changes: Partial<SaveOptions> = {},
  ): Promise<SaveFigures> {
    const file = new CheckpointFile(this.path, GEOMETRY.imageBytes);
    try {
      const saved = readSavedState(file, OWNER);
      return await saveCheckpoint({
        partition,
        owner: OWNER,
        file,
        saved: typeof saved === 'string' ? null : saved,
        endedLife: 0,
        nowMs: () => 1,
        pause: async () => between(),
        mayWrite: () => {},
        ...changes,
      });
    } finally {
      await file.close();
    }
  }

  /** The copy that the file holds, or why it is refused. */
  async load(owner: CheckpointOwner = OWNER): Promise<Partition | string> {
    let file: CheckpointFile;
    try {
      file = new CheckpointFile(this.path, null);
    } catch (error) {
      return (error as Error).message;
    }
    try {
      const partition = newCopy(owner.partition);
      const outcome = loaded(file, owner, partition);
      return typeof outcome === 'string' ? outcome : partition;
    } finally {
      await file.close();
    }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }
}

function loaded(
  file: CheckpointFile,
  owner: CheckpointOwner,
  partition: Partition,
): CheckpointMeta | string {
  const steps = loadCheckpoint(file, owner, partition);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}
