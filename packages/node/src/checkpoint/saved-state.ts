/** What a checkpoint file holds, as far as the next save has to know: read and checked before it is built on. */
import { crc32 } from 'node:zlib';
import { type CheckpointFile, META_KEY, TABLE_KEY } from './checkpoint-file.ts';
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
  return table.storedCount() === meta.chunks ? { meta, table } : 'its table of chunks is damaged';
}
