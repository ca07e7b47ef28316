/** What raw bytes carry along: counted, not timed, in a real partition.
 *
 *  A bulk sends whole chunks, with the index, the headers and the unused ends of slots in them;
 *  redo sends the after-image of a change. Which of the two is less depends on how much of a
 *  chunk has changed. And they are not compressed: what zstd would make of the records of the
 *  serialization table. */
import { zstdCompressSync } from 'node:zlib';
import {
  attachPartition,
  CHUNK_BYTES,
  createPartition,
  hashKey,
  invariant,
  type Partition,
  planGeometry,
  REDO_RECORD_BYTES_MAX,
  SET_OK,
} from '../../packages/store/src/index.ts';
import { CODECS, type CodecId } from './codecs/index.ts';
import { QUOTE_BYTES } from './quote.ts';
import { FRAME_HEADER_BYTES } from '../../packages/replication/src/frame.ts';

const CAPACITY_BYTES = 2 ** 26;
/** Filled to about this much of the capacity. */
const FILL_BYTES = 2 ** 23;
const KEY_BYTES = 16;
const NOW_MS = 1;
/** A batch of 1 MiB. */
const ZSTD_RECORDS = 16_384;

export const VALUE_SIZES: readonly number[] = [4, 16, 64, 256, 1_000, 4_000, 16_000];
export const CHUNK_FRAME_BYTES: number = FRAME_HEADER_BYTES + CHUNK_BYTES;

export interface Slack {
  readonly valueBytes: number;
  readonly recordsPerChunk: number;
  /** Bytes of a full bulk per byte of keys and values. */
  readonly bulkPerByte: number;
  /** Redo of one overwrite of a value by one of the same size. */
  readonly redoBytes: number;
  /** From so many changed records in a chunk on, the chunk is less than their redo. */
  readonly evenAt: number;
}

export function measureSlack(valueBytes: number): Slack {
  const geometry = planGeometry({ partitions: 1, capacityBytes: CAPACITY_BYTES });
  const partition = attachPartition(createPartition(geometry, 0));
  partition.promote(1, NOW_MS);
  const records = Math.floor(FILL_BYTES / (KEY_BYTES + valueBytes));
  for (let i = 0; i < records; i++) set(partition, i, valueBytes);
  let chunks = 0;
  for (let chunk = 0; chunk < geometry.chunkCount; chunk++) {
    if (!partition.chunkIsFree(chunk)) chunks++;
  }
  set(partition, records >>> 1, valueBytes);
  const redoBytes = lastRedoBytes(partition);
  return {
    valueBytes,
    recordsPerChunk: records / chunks,
    bulkPerByte: (chunks * CHUNK_FRAME_BYTES) / (records * (KEY_BYTES + valueBytes)),
    redoBytes,
    evenAt: Math.ceil(CHUNK_FRAME_BYTES / redoBytes),
  };
}

/** Bytes per byte of records, as they are and after zstd. */
export function measureZstd(id: CodecId): { readonly plain: number; readonly zstd: number } {
  const payload = Buffer.concat([...CODECS[id].encoder(ZSTD_RECORDS).encode()]);
  const bytes = ZSTD_RECORDS * QUOTE_BYTES;
  return { plain: payload.length / bytes, zstd: zstdCompressSync(payload).length / bytes };
}

function set(partition: Partition, i: number, valueBytes: number): void {
  const key = Buffer.from(`key:${String(i).padStart(KEY_BYTES - 4, '0')}`);
  const value = Buffer.alloc(valueBytes, i);
  const hash = hashKey(key, 0, KEY_BYTES);
  partition.enter();
  const outcome = partition.set(hash, key, 0, KEY_BYTES, value, 0, valueBytes, 0, NOW_MS);
  partition.leave();
  invariant(outcome === SET_OK, 'the records fit');
}

function lastRedoBytes(partition: Partition): number {
  const from = partition.ringFind(partition.stats().seq);
  return partition.ringCopy(from, REDO_RECORD_BYTES_MAX, Buffer.alloc(REDO_RECORD_BYTES_MAX));
}
