/** The bytes of a backup file, see FORMAT.md beside this room. Pure: encodes blocks, and decodes what others read.
 *
 *  What comes off the disk is range-checked before it is used; a decoder returns the broken rule as a string. */
import { crc32 } from 'node:zlib';
import { CHUNK_BYTES, FORMAT_VERSION, HISTORY_MAX, type HistoryEntry } from '@ingot/store';
import { z } from 'zod';

export const BACKUP_VERSION = 1;
const MAGIC: Buffer = Buffer.from('INGB');
const END_MAGIC: Buffer = Buffer.from('BGNI');
export const PREAMBLE_BYTES = 16;
export const TAIL_BYTES = 16;
export const BLOCK_HEADER_BYTES = 16;
export const ROW_BYTES = 16;
const ALIGNMENT = 16;
const CHUNK_COUNT_MAX = 32_768;
const LITTLE_ENDIAN = 0x0102;

/** By the four letters of a block, the most that its JSON may have. */
export const BLOCK_BYTES_MAX = { HEAD: 65_536, PART: 65_536, FOOT: 1_048_576 } as const;
export type BlockKind = keyof typeof BLOCK_BYTES_MAX;

export interface BackupHead {
  /** Of the cluster that was backed up. */
  readonly clusterId: string;
  /** Of the program that wrote the file. */
  readonly program: string;
  readonly startedAtMs: number;
  /** Of the images. */
  readonly storeFormat: number;
  readonly byteOrder: number;
  readonly chunkBytes: number;
  readonly partitions: number;
  readonly copies: number;
  readonly capacityBytes: number;
  readonly capacityLimitBytes: number;
  readonly capacityMaxBytes: number;
  readonly valueMaxBytes: number;
  readonly eviction: 'sieve' | 'volatile-ttl' | 'noeviction';
}

/** The copy of one partition: as the primary of this epoch had it at this seq. */
export interface BackupPart {
  readonly partition: number;
  readonly epoch: number;
  readonly seq: number;
  readonly generation: number;
  readonly history: readonly HistoryEntry[];
  /** Highest clock that the copy had seen, unix ms. */
  readonly clockMs: number;
  readonly takenAtMs: number;
  /** Node that it was read from, and whether that led the partition. */
  readonly node: string;
  readonly led: boolean;
  readonly keys: number;
  readonly usedBytes: number;
  /** Of the table, and chunks behind it. */
  readonly rows: number;
  readonly chunks: number;
  readonly tableCrc32: number;
}

export interface BackupFoot {
  readonly endedAtMs: number;
  readonly keys: number;
  readonly usedBytes: number;
  readonly chunks: number;
  /** By partition: where its block begins. */
  readonly offsets: readonly number[];
}

const PARTITIONS_MAX = 4_096;
const count = z.int().min(0);
const headSchema: z.ZodType<BackupHead> = z.object({
  clusterId: z.string().min(1).max(256),
  program: z.string().max(64),
  startedAtMs: z.number(),
  storeFormat: count,
  byteOrder: count,
  chunkBytes: count,
  partitions: z.int().min(1).max(PARTITIONS_MAX),
  copies: count,
  capacityBytes: count,
  capacityLimitBytes: count,
  capacityMaxBytes: count,
  valueMaxBytes: count,
  eviction: z.enum(['sieve', 'volatile-ttl', 'noeviction']),
});
const historySchema: z.ZodType<HistoryEntry> = z.object({
  epoch: count,
  generation: count,
  startSeq: count,
});
const partSchema: z.ZodType<BackupPart> = z.object({
  partition: count,
  epoch: count,
  seq: count,
  generation: count,
  history: z.array(historySchema).min(1).max(HISTORY_MAX),
  clockMs: z.number(),
  takenAtMs: z.number(),
  node: z.string(),
  led: z.boolean(),
  keys: count,
  usedBytes: count,
  rows: z.int().min(0).max(CHUNK_COUNT_MAX),
  chunks: z.int().min(1).max(CHUNK_COUNT_MAX),
  tableCrc32: count,
});
const footSchema: z.ZodType<BackupFoot> = z.object({
  endedAtMs: z.number(),
  keys: count,
  usedBytes: count,
  chunks: count,
  offsets: z.array(count).max(PARTITIONS_MAX),
});

/** One chunk that is not as in an empty image. */
export interface ChunkRow {
  readonly chunk: number;
  /** Generation of its last change. */
  readonly stamp: number;
  /** Of its bytes; 0 where it has none. */
  readonly crc32: number;
  /** Its bytes are in the file; else it is all zero. */
  readonly stored: boolean;
}

export const IMAGE_WORDS: Pick<BackupHead, 'storeFormat' | 'byteOrder' | 'chunkBytes'> = {
  storeFormat: FORMAT_VERSION,
  byteOrder: LITTLE_ENDIAN,
  chunkBytes: CHUNK_BYTES,
};

export function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

export function encodePreamble(): Buffer {
  const bytes = Buffer.alloc(PREAMBLE_BYTES);
  MAGIC.copy(bytes);
  bytes.writeUInt32LE(BACKUP_VERSION, 4);
  return bytes;
}

/** What is wrong with the first bytes of a file; null: nothing. */
export function brokenPreamble(bytes: Buffer): string | null {
  if (bytes.length < PREAMBLE_BYTES || !bytes.subarray(0, 4).equals(MAGIC)) {
    return 'it is no backup of Ingot';
  }
  const version = bytes.readUInt32LE(4);
  if (version === BACKUP_VERSION) return null;
  return `it has backup format ${version}, this program reads ${BACKUP_VERSION}`;
}

/** Header, JSON, zeros up to the next multiple of 16. */
export function encodeBlock(kind: BlockKind, content: object): Buffer {
  const json = Buffer.from(JSON.stringify(content));
  const bytes = Buffer.alloc(BLOCK_HEADER_BYTES + aligned(json.length));
  bytes.write(kind, 0, 'latin1');
  bytes.writeUInt32LE(json.length, 4);
  bytes.writeUInt32LE(crc32(json), 8);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 12)), 12);
  json.copy(bytes, BLOCK_HEADER_BYTES);
  return bytes;
}

/** Bytes of JSON of the block that begins with this header, or the broken rule. */
export function blockLength(kind: BlockKind, header: Buffer): number | string {
  if (header.length < BLOCK_HEADER_BYTES) return 'it is cut short';
  const isSound = crc32(header.subarray(0, 12)) === header.readUInt32LE(12);
  if (!isSound || header.toString('latin1', 0, 4) !== kind) return `its ${kind} block is damaged`;
  const length = header.readUInt32LE(4);
  return length <= BLOCK_BYTES_MAX[kind] ? length : `its ${kind} block is too long`;
}

export function decodeHead(header: Buffer, json: Buffer): BackupHead | string {
  const said = decodeJson('HEAD', headSchema, header, json);
  if (typeof said === 'string') return said;
  const { storeFormat, byteOrder, chunkBytes } = said;
  if (storeFormat !== FORMAT_VERSION) {
    return `its images have store format ${storeFormat}, this program reads ${FORMAT_VERSION}`;
  }
  if (byteOrder !== LITTLE_ENDIAN) return 'its images have the other byte order';
  return chunkBytes === CHUNK_BYTES ? said : `its chunks have ${chunkBytes} bytes`;
}

export function decodePart(header: Buffer, json: Buffer): BackupPart | string {
  return decodeJson('PART', partSchema, header, json);
}

export function decodeFoot(header: Buffer, json: Buffer): BackupFoot | string {
  return decodeJson('FOOT', footSchema, header, json);
}

function decodeJson<T>(
  kind: BlockKind,
  schema: z.ZodType<T>,
  header: Buffer,
  json: Buffer,
): T | string {
  if (crc32(json) !== header.readUInt32LE(8)) return `its ${kind} block is damaged`;
  try {
    return schema.parse(JSON.parse(json.toString()));
  } catch {
    return `its ${kind} block cannot be read`;
  }
}

export function encodeRows(rows: readonly ChunkRow[]): Buffer {
  const bytes = Buffer.alloc(rows.length * ROW_BYTES);
  rows.forEach((row, i) => {
    bytes.writeUInt32LE(row.chunk, i * ROW_BYTES);
    bytes.writeUInt32LE(row.stamp, i * ROW_BYTES + 4);
    bytes.writeUInt32LE(row.crc32, i * ROW_BYTES + 8);
    bytes.writeUInt32LE(row.stored ? 1 : 0, i * ROW_BYTES + 12);
  });
  return bytes;
}

/** The rows, or the broken rule. `chunkCount`: of the images. */
export function decodeRows(
  bytes: Buffer,
  { chunks, tableCrc32 }: BackupPart,
  chunkCount: number,
): ChunkRow[] | string {
  if (crc32(bytes) !== tableCrc32) return 'its table of chunks is damaged';
  const rows: ChunkRow[] = [];
  for (let at = 0; at < bytes.length; at += ROW_BYTES) {
    rows.push({
      chunk: bytes.readUInt32LE(at),
      stamp: bytes.readUInt32LE(at + 4),
      crc32: bytes.readUInt32LE(at + 8),
      stored: bytes.readUInt32LE(at + 12) === 1,
    });
  }
  const ascends = rows.every(({ chunk }, i) => i === 0 || chunk > rows[i - 1].chunk);
  if (!ascends || (rows.at(-1)?.chunk ?? 0) >= chunkCount) return 'its table of chunks is wrong';
  const stored = rows.filter((row) => row.stored).length;
  return stored === chunks ? rows : 'its table of chunks is wrong';
}

/** The last bytes of a file: without them it is cut short. */
export function encodeTail(footAt: number): Buffer {
  const bytes = Buffer.alloc(TAIL_BYTES);
  bytes.writeBigUInt64LE(BigInt(footAt));
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 8)), 8);
  END_MAGIC.copy(bytes, 12);
  return bytes;
}

/** Where the FOOT block begins, or the broken rule. */
export function decodeTail(bytes: Buffer, fileBytes: number): number | string {
  const isTail = bytes.length === TAIL_BYTES && bytes.subarray(12).equals(END_MAGIC);
  if (!isTail || crc32(bytes.subarray(0, 8)) !== bytes.readUInt32LE(8)) return 'it is cut short';
  const at = Number(bytes.readBigUInt64LE(0));
  const isInside = at >= PREAMBLE_BYTES && at <= fileBytes - TAIL_BYTES - BLOCK_HEADER_BYTES;
  return isInside ? at : 'its end points outside of it';
}
