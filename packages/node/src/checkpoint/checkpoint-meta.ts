/** What a checkpoint says of itself, and whether it is one that this node may load.
 *  As JSON with a checksum before it, so that other versions can at least read what they refuse. Pure. */
import { crc32 } from 'node:zlib';
import { CHUNK_BYTES, FORMAT_VERSION, type Geometry } from '@ingot/store';
import { z } from 'zod';
import type { Slot } from './checkpoint-file.ts';

/** Of this file and checkpoint-table.ts; the images in it have `storeFormat`.
 *  1: everything in slot 1, a save is one transaction. 2: two slots. */
export const CHECKPOINT_VERSION = 2;
const LITTLE_ENDIAN = 0x0102;

export interface CheckpointMeta {
  readonly version: number;
  readonly storeFormat: number;
  readonly byteOrder: number;
  readonly chunkBytes: number;
  readonly clusterId: string;
  readonly node: string;
  readonly partition: number;
  readonly partitions: number;
  readonly chunkCount: number;
  readonly valueMaxBytes: number;
  /** The life of the node whose memory this is, up to its end; 0: that life went on. */
  readonly endedLife: number;
  /** Where the copying began: the redo goes on from there, and the next save from its generation. */
  readonly start: { readonly seq: number; readonly generation: number };
  /** What the copy is once chunks and redo are in it. */
  readonly seq: number;
  readonly generation: number;
  readonly checked: boolean;
  /** Highest clock that the copy had seen, unix ms. */
  readonly clockMs: number;
  readonly history: readonly {
    readonly epoch: number;
    readonly generation: number;
    readonly startSeq: number;
  }[];
  readonly redoSlot: Slot;
  readonly redoPieces: number;
  readonly redoBytes: number;
  readonly redoCrc32: number;
  readonly tableBytes: number;
  readonly tableCrc32: number;
  readonly chunks: number;
  readonly savedAtMs: number;
}

/** Whose checkpoint it must be. */
export interface CheckpointOwner {
  readonly clusterId: string;
  readonly node: string;
  readonly partition: number;
  readonly geometry: Geometry;
}

const count = z.int().min(0);
const schema = z.object({
  version: count,
  storeFormat: count,
  byteOrder: count,
  chunkBytes: count,
  clusterId: z.string(),
  node: z.string(),
  partition: count,
  partitions: count,
  chunkCount: count,
  valueMaxBytes: count,
  endedLife: count,
  start: z.object({ seq: count, generation: count }),
  seq: count,
  generation: count,
  checked: z.boolean(),
  clockMs: z.number(),
  history: z.array(z.object({ epoch: count, generation: count, startSeq: count })).max(64),
  redoSlot: z.literal([1, 2]),
  redoPieces: count,
  redoBytes: count,
  redoCrc32: count,
  tableBytes: count,
  tableCrc32: count,
  chunks: count,
  savedAtMs: z.number(),
});

/** By version: what such a checkpoint says, in today's words. An upgrade reads what the version before it has saved. */
const READERS: ReadonlyMap<number, (said: unknown) => CheckpointMeta> = new Map([
  [1, (said) => ({ ...schema.omit({ redoSlot: true }).parse(said), redoSlot: 1 })],
  [2, (said) => schema.parse(said)],
]);

const CRC_BYTES = 4;

export function encodeMeta(meta: CheckpointMeta): Buffer {
  const text = Buffer.from(JSON.stringify(meta));
  const bytes = Buffer.alloc(CRC_BYTES + text.length);
  bytes.writeUInt32LE(crc32(text), 0);
  text.copy(bytes, CRC_BYTES);
  return bytes;
}

/** The meta, or what is wrong with its bytes. */
export function decodeMeta(bytes: Uint8Array): CheckpointMeta | string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (buffer.length <= CRC_BYTES) return 'what it says of itself is cut short';
  const text = buffer.subarray(CRC_BYTES);
  if (crc32(text) !== buffer.readUInt32LE(0)) return 'what it says of itself is damaged';
  try {
    const said: unknown = JSON.parse(text.toString());
    const { version } = z.object({ version: count }).parse(said);
    const reader = READERS.get(version);
    if (reader !== undefined) return reader(said);
    const known = [...READERS.keys()].join(' and ');
    return `it has checkpoint version ${version}, this node reads ${known}`;
  } catch {
    return 'what it says of itself cannot be read';
  }
}

/** What stays the same from one save to the next. */
export function ownersWords(
  owner: CheckpointOwner,
): Pick<
  CheckpointMeta,
  | 'version'
  | 'storeFormat'
  | 'byteOrder'
  | 'chunkBytes'
  | 'clusterId'
  | 'node'
  | 'partition'
  | 'partitions'
  | 'chunkCount'
  | 'valueMaxBytes'
> {
  const { clusterId, node, partition, geometry } = owner;
  const { partitions, chunkCount, valueMaxBytes } = geometry;
  return {
    version: CHECKPOINT_VERSION,
    storeFormat: FORMAT_VERSION,
    byteOrder: LITTLE_ENDIAN,
    chunkBytes: CHUNK_BYTES,
    ...{ clusterId, node, partition, partitions, chunkCount, valueMaxBytes },
  };
}

/** Why this checkpoint is not to be loaded by that owner; null where it may be. */
export function foreignTo(meta: CheckpointMeta, owner: CheckpointOwner): string | null {
  const said = (what: string, is: string | number, due: string | number): string =>
    `it is of ${what} ${is}, this is ${due}`;
  const expected = ownersWords(owner);
  if (meta.storeFormat !== expected.storeFormat)
    return said('store format', meta.storeFormat, expected.storeFormat);
  if (meta.byteOrder !== expected.byteOrder) return 'it has the other byte order';
  if (meta.clusterId !== expected.clusterId)
    return said('cluster', meta.clusterId, expected.clusterId);
  if (meta.node !== expected.node) return said('node', meta.node, expected.node);
  if (meta.partition !== expected.partition)
    return said('partition', meta.partition, expected.partition);
  const geometry = ({
    partitions,
    chunkCount,
    chunkBytes,
    valueMaxBytes,
  }: typeof expected): string =>
    `${partitions} partitions of ${chunkCount} x ${chunkBytes} bytes, values up to ${valueMaxBytes}`;
  if (geometry(meta) !== geometry(expected))
    return said('a cluster of', geometry(meta), geometry(expected));
  return null;
}
