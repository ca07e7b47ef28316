/** The records of one partition of a backup: its image brought into memory, checked as a follower checks what arrived,
 *  and walked bucket by bucket. */
import {
  attachPartition,
  CHUNK_BYTES,
  createPartition,
  type Partition,
  ROLE_FOLLOWER,
} from '@ingot/store';
import { refusal } from '../shared/errors.ts';
import type { BackupReader } from './backup-reader.ts';

export interface BackupRecord {
  readonly key: Buffer;
  readonly value: Buffer;
  /** Unix ms; 0: never. */
  readonly expiresAtMs: number;
}

/** Reads the image of a partition into `partition`, which is new. Yields the bytes read. */
export function* readImage(reader: BackupReader, partition: Partition): Generator<number> {
  const part = reader.parts[partition.id];
  partition.setRole(ROLE_FOLLOWER, part.epoch);
  partition.beginBulk(part.seq);
  yield* reader.chunks(
    partition.id,
    ({ chunk }) => {
      partition.chunkLands(chunk);
      return partition.chunkBytesView(chunk, 0, CHUNK_BYTES);
    },
    ({ chunk, stamp }) => partition.chunkLanded(chunk, stamp),
  );
  const broken = partition.becomeConsistent(part.generation) ?? foreign(partition);
  if (broken !== null) {
    throw refusal(
      'BACKUP_REFUSED',
      `${reader.path} is refused: the image of partition ${partition.id} breaks a rule: ${broken}`,
    );
  }
  partition.sawClock(part.clockMs);
}

function foreign(partition: Partition): string | null {
  const owner = partition.imageOwner();
  return owner === partition.id ? null : `it is that of partition ${owner}`;
}

/** Records that are neither expired nor flushed; `expired` is called for each that is left out for its expiry. */
export function* recordsOf(
  reader: BackupReader,
  id: number,
  nowMs: number,
  expired: () => void,
): Generator<BackupRecord> {
  const partition = attachPartition(createPartition(reader.geometry, id));
  for (const _ of readImage(reader, partition));
  let found: BackupRecord[] = [];
  const visit = (ref: number): void => {
    const expiresAtMs = partition.expiresAtMs(ref);
    if (expiresAtMs !== 0 && expiresAtMs <= nowMs) expired();
    else if (!partition.isAbsent(ref, nowMs)) found.push(recordAt(partition, ref, expiresAtMs));
  };
  for (let bucket = 0; ; ) {
    bucket = partition.scanBucket(bucket, visit);
    yield* found;
    found = [];
    if (bucket === 0) return;
  }
}

function recordAt(partition: Partition, ref: number, expiresAtMs: number): BackupRecord {
  const keyAt = partition.keyOffset(ref);
  const key = Buffer.from(partition.imageBuffer.subarray(keyAt, keyAt + partition.keyBytes(ref)));
  const value = Buffer.allocUnsafe(partition.valueBytes(ref));
  partition.copyValue(ref, 0, value.length, value, 0);
  return { key, value, expiresAtMs };
}
