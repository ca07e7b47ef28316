/** What a checkpoint file holds, as far as the next save has to know: read and checked before it is built on. */
import { crc32 } from 'node:zlib';
import { type CheckpointFile, chunkKey, META_KEY, redoKey, TABLE_KEY } from './checkpoint-file.ts';
import {
  type CheckpointMeta,
  type CheckpointOwner,
  decodeMeta,
  foreignTo,
} from './checkpoint-meta.ts';
import { CheckpointTable } from './checkpoint-table.ts';

export interface SavedState {
  readonly meta: CheckpointMeta;
  readonly table: CheckpointTable;
  /** `Partition.landings` of the copy that was saved; null: it was another process's. */
  readonly landings: number | null;
}

/** Takes out what a save that came to nothing has left: nothing names it. */
export function removeRemains(file: CheckpointFile, { meta, table }: SavedState): void {
  const named = new Set([META_KEY, TABLE_KEY]);
  for (let chunk = 0; chunk < table.chunkCount; chunk++) {
    const slot = table.slot(chunk);
    if (slot !== 0) named.add(chunkKey(chunk, slot));
  }
  for (let piece = 0; piece < meta.redoPieces; piece++) named.add(redoKey(piece, meta.redoSlot));
  const remains = file.keys().filter((key) => !named.has(key));
  if (remains.length === 0) return;
  file.transact(() => {
    for (const key of remains) file.remove(key);
  });
}

/** What the file says, or why it is not to be used. */
export function readSavedState(file: CheckpointFile, owner: CheckpointOwner): SavedState | string {
  const metaBytes = file.get(META_KEY);
  if (metaBytes === null) return 'it holds no checkpoint';
  const meta = decodeMeta(metaBytes);
  if (typeof meta === 'string') return meta;
  const foreign = foreignTo(meta, owner);
  if (foreign !== null) return foreign;
  const tableBytes = file.get(TABLE_KEY);
  const isWhole =
    tableBytes?.length === meta.tableBytes && crc32(tableBytes) === meta.tableCrc32 >>> 0;
  if (tableBytes === null || !isWhole) return 'its table of chunks is damaged';
  const table = CheckpointTable.decode(tableBytes, meta.chunkCount);
  const isSame = table.storedCount() === meta.chunks;
  return isSame ? { meta, table, landings: null } : 'its table of chunks is damaged';
}
