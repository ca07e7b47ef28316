/** Reads a checkpoint straight into a new image, as a follower takes a bulk: chunks, then redo up to where it is exact.
 *
 *  Whatever comes from the disk is checked before it counts: who it is of, each checksum, what the store checks of
 *  redo and of an image that arrived. A checkpoint that fails anywhere is refused whole: the caller drops the image.
 *  Owner: a loading thread, which alone has the partition. */
import { crc32 } from 'node:zlib';
import { scanRedo } from '@ingot/replication';
import { CHUNK_BYTES, type Partition, ROLE_FOLLOWER, ROLE_NONE } from '@ingot/store';
import { type CheckpointFile, chunkKey, redoKey } from './checkpoint-file.ts';
import type { CheckpointMeta, CheckpointOwner } from './checkpoint-meta.ts';
import { readSavedState, type SavedState } from './saved-state.ts';

/** Yields the bytes read since the last time; returns what was loaded, or why it is refused. `partition` is new. */
export function* loadCheckpoint(
  file: CheckpointFile,
  owner: CheckpointOwner,
  partition: Partition,
): Generator<number, CheckpointMeta | string> {
  const state = readSavedState(file, owner);
  if (typeof state === 'string') return state;
  const { meta } = state;
  partition.setRole(ROLE_FOLLOWER, 0);
  partition.beginBulk(meta.start.seq);
  const broken =
    (yield* loadChunks(file, state, partition)) ??
    (yield* loadRedo(file, meta, partition)) ??
    settle(meta, owner, partition);
  partition.setRole(ROLE_NONE, 0);
  return broken ?? meta;
}

function* loadChunks(
  file: CheckpointFile,
  { table }: SavedState,
  partition: Partition,
): Generator<number, string | null> {
  for (let chunk = 0; chunk < table.chunkCount; chunk++) {
    const stamp = table.stamp(chunk);
    const slot = table.slot(chunk);
    if (slot === 0) {
      if (stamp !== 0) partition.chunkLanded(chunk, stamp);
      continue;
    }
    const bytes = file.get(chunkKey(chunk, slot));
    if (bytes?.length !== CHUNK_BYTES) return `chunk ${chunk} is missing`;
    partition.chunkLands(chunk);
    const image = partition.chunkBytesView(chunk, 0, CHUNK_BYTES);
    image.set(bytes);
    if (crc32(image) !== table.crc32(chunk)) return `chunk ${chunk} is damaged`;
    partition.chunkLanded(chunk, stamp);
    yield CHUNK_BYTES;
  }
  return null;
}

/** Transactions may end in a later piece. */
function* loadRedo(
  file: CheckpointFile,
  meta: CheckpointMeta,
  partition: Partition,
): Generator<number, string | null> {
  let sum = 0;
  let bytes = 0;
  let applied = meta.start.seq;
  let rest: Buffer = Buffer.alloc(0);
  for (let piece = 0; piece < meta.redoPieces; piece++) {
    const found = file.get(redoKey(piece, meta.redoSlot));
    if (found === null) return `redo ${piece} is missing`;
    bytes += found.length;
    sum = crc32(found, sum);
    const records = Buffer.allocUnsafeSlow(rest.length + found.length);
    rest.copy(records);
    records.set(found, rest.length);
    const batch = scanRedo(records, applied);
    if (typeof batch === 'string') return `redo ${piece}: ${batch}`;
    if (batch.wholeEnd > 0) {
      const outcome = partition.applyRedo(records, 0, batch.wholeEnd, meta.clockMs);
      if (!outcome.ok) return `redo ${piece}: ${outcome.why}`;
      applied = batch.wholeSeq;
    }
    rest = records.subarray(batch.wholeEnd);
    yield found.length;
  }
  if (bytes !== meta.redoBytes || sum !== meta.redoCrc32) return 'its redo is damaged';
  return applied === meta.seq ? null : `its redo ends with seq ${applied}, not ${meta.seq}`;
}

function settle(meta: CheckpointMeta, owner: CheckpointOwner, partition: Partition): string | null {
  const broken = partition.becomeConsistent(meta.generation);
  if (broken !== null) return `the image breaks a rule: ${broken}`;
  const history = partition.history();
  const isHistory =
    history.length === meta.history.length &&
    history.every((entry, i) => {
      const { epoch, generation, startSeq } = meta.history[i];
      return (
        entry.epoch === epoch && entry.generation === generation && entry.startSeq === startSeq
      );
    });
  if (!isHistory) return 'the image has another history than it says';
  if (partition.imageOwner() !== owner.partition)
    return `the image is of partition ${partition.imageOwner()}`;
  partition.sawClock(meta.clockMs);
  partition.setChecked(meta.checked);
  partition.setRecovered(true);
  return null;
}
