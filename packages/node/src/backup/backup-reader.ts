/** Reads a backup. Opening reads what it says of itself; `images` reads the rest, each chunk against its checksum.
 *  Whatever is wrong refuses the file as a whole, in one sentence: BackupRefused. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { CHUNK_BYTES, type Geometry, planGeometry } from '@ingot/store';
import { refusal } from '../shared/errors.ts';
import {
  aligned,
  type BackupFoot,
  type BackupHead,
  type BackupPart,
  BLOCK_HEADER_BYTES,
  type BlockKind,
  blockLength,
  brokenPreamble,
  type ChunkRow,
  decodeFoot,
  decodeHead,
  decodePart,
  decodeRows,
  decodeTail,
  PREAMBLE_BYTES,
  ROW_BYTES,
  TAIL_BYTES,
} from './backup-format.ts';

export class BackupReader {
  readonly path: string;
  readonly head: BackupHead;
  readonly foot: BackupFoot;
  /** By partition. */
  readonly parts: readonly BackupPart[];
  readonly fileBytes: number;
  readonly geometry: Geometry;
  readonly #file: number;

  constructor(path: string) {
    this.path = path;
    this.#file = this.#open();
    this.fileBytes = fstatSync(this.#file).size;
    this.#must(brokenPreamble(this.#read(0, PREAMBLE_BYTES)));
    this.head = this.#block('HEAD', PREAMBLE_BYTES, decodeHead);
    const tailAt = Math.max(0, this.fileBytes - TAIL_BYTES);
    const footAt = decodeTail(this.#read(tailAt, TAIL_BYTES), this.fileBytes);
    this.foot = this.#block('FOOT', this.#sound(footAt), decodeFoot);
    this.geometry = geometryOf(this.head);
    const { partitions } = this.head;
    if (this.foot.offsets.length !== partitions) this.#refuse('it does not hold every partition');
    this.parts = this.foot.offsets.map((at, id) => {
      const part = this.#block('PART', at, decodePart);
      return part.partition === id ? part : this.#refuse(`partition ${id} is not where it says`);
    });
  }

  close(): void {
    closeSync(this.#file);
  }

  /** Where the chunks of a partition lie, and what they are. */
  rows(id: number): { rows: ChunkRow[]; chunksAt: number } {
    const part = this.parts[id];
    const header = this.#blockHeader('PART', this.foot.offsets[id]);
    const tableAt = this.foot.offsets[id] + BLOCK_HEADER_BYTES + aligned(header.length);
    const table = this.#read(tableAt, part.rows * ROW_BYTES);
    const rows = this.#sound(decodeRows(table, part, this.geometry.chunkCount));
    return { rows, chunksAt: tableAt + table.length };
  }

  /** Reads each chunk of a partition that has bytes to where `place` says, and compares it with its checksum. Yields
   *  the bytes read. */
  *chunks(
    id: number,
    place: (row: ChunkRow) => Buffer,
    landed: (row: ChunkRow) => void = () => undefined,
  ): Generator<number> {
    const { rows, chunksAt } = this.rows(id);
    let at = chunksAt;
    for (const row of rows) {
      if (row.stored) {
        const bytes = place(row);
        const read = readSync(this.#file, bytes, 0, CHUNK_BYTES, at);
        if (read !== CHUNK_BYTES) this.#refuse('it is cut short');
        if (crc32(bytes) !== row.crc32) {
          this.#refuse(`chunk ${row.chunk} of partition ${id} is damaged`);
        }
        at += CHUNK_BYTES;
        yield CHUNK_BYTES;
      }
      landed(row);
    }
  }

  /** Compares every byte with its checksum. Yields the bytes read. */
  *verify(): Generator<number> {
    const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    for (let id = 0; id < this.parts.length; id++) yield* this.chunks(id, () => buffer);
  }

  #open(): number {
    try {
      return openSync(this.path, 'r');
    } catch (error) {
      return this.#refuse(`it cannot be read: ${(error as NodeJS.ErrnoException).code}`);
    }
  }

  #block<T>(kind: BlockKind, at: number, decode: (header: Buffer, json: Buffer) => T | string): T {
    const { bytes, length } = this.#blockHeader(kind, at);
    const json = this.#read(at + BLOCK_HEADER_BYTES, length);
    return this.#sound(decode(bytes, json));
  }

  #blockHeader(kind: BlockKind, at: number): { bytes: Buffer; length: number } {
    const bytes = this.#read(at, BLOCK_HEADER_BYTES);
    return { bytes, length: this.#sound(blockLength(kind, bytes)) };
  }

  /** As many bytes as there are, up to `length`. */
  #read(at: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    return bytes.subarray(0, readSync(this.#file, bytes, 0, length, at));
  }

  #sound<T>(said: T | string): T {
    return typeof said === 'string' ? this.#refuse(said) : said;
  }

  #must(broken: string | null): void {
    if (broken !== null) this.#refuse(broken);
  }

  #refuse(why: string): never {
    throw refusal('BACKUP_REFUSED', `${this.path} is refused: ${why}`);
  }
}

function geometryOf(head: BackupHead): Geometry {
  const { partitions, capacityBytes, capacityMaxBytes, valueMaxBytes } = head;
  return planGeometry({ partitions, capacityBytes, capacityMaxBytes, valueMaxBytes });
}
