/** Writes a backup, partition by partition, beside where it is to be: FILE.part, which becomes FILE once all of it is on
 *  disk. What is cut short is no backup. Owner: the command, which calls `add` one at a time. */
import { existsSync } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { crc32 } from 'node:zlib';
import { CHUNK_BYTES, type Partition } from '@ingot/store';
import { refusal } from '../shared/errors.ts';
import {
  type BackupHead,
  type BackupPart,
  type ChunkRow,
  encodeBlock,
  encodePreamble,
  encodeRows,
  encodeTail,
} from './backup-format.ts';

/** What the copy itself does not know. */
export type TakenFrom = Pick<BackupPart, 'node' | 'led' | 'takenAtMs' | 'clockMs'>;

const CHUNKS_PER_WRITE = 64;

export class BackupWriter {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #offsets: number[] = [];
  #bytes = 0;
  #keys = 0;
  #usedBytes = 0;
  #chunks = 0;

  private constructor(path: string, file: FileHandle) {
    this.#path = path;
    this.#file = file;
  }

  /** Refuses to write over what is there. */
  static async create(path: string, head: BackupHead): Promise<BackupWriter> {
    if (existsSync(path)) {
      throw refusal('BACKUP_EXISTS', `${path} is there already; give another name, or remove it`);
    }
    const file = await open(partOf(path), 'w', 0o600).catch((error: unknown) => {
      throw unwritable(path, error);
    });
    const writer = new BackupWriter(path, file);
    await writer.#write([encodePreamble(), encodeBlock('HEAD', head)]);
    return writer;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** `partition`: a consistent copy that nobody writes to. */
  async add(partition: Partition, from: TakenFrom): Promise<void> {
    const rows = rowsOf(partition);
    const stored = rows.filter((row) => row.stored).map(({ chunk }) => chunk);
    const table = encodeRows(rows);
    const { base, history } = partition.offer();
    const { keys, usedBytes } = partition.stats();
    const part: BackupPart = {
      ...{ partition: partition.id, ...from, history: [...history] },
      ...{ epoch: base?.epoch ?? 0, seq: base?.seq ?? 0, generation: base?.generation ?? 0 },
      ...{ keys, usedBytes, rows: rows.length, chunks: stored.length, tableCrc32: crc32(table) },
    };
    this.#offsets[partition.id] = this.#bytes;
    this.#keys += keys;
    this.#usedBytes += usedBytes;
    this.#chunks += stored.length;
    await this.#write([encodeBlock('PART', part), table]);
    for (let at = 0; at < stored.length; at += CHUNKS_PER_WRITE) {
      const views = stored
        .slice(at, at + CHUNKS_PER_WRITE)
        .map((chunk) => partition.chunkBytesView(chunk, 0, CHUNK_BYTES));
      await this.#write(views);
    }
  }

  /** On disk, under its name, when this resolves. */
  async finish(endedAtMs: number): Promise<void> {
    const [keys, usedBytes, chunks] = [this.#keys, this.#usedBytes, this.#chunks];
    const foot = { endedAtMs, keys, usedBytes, chunks, offsets: this.#offsets };
    await this.#write([encodeBlock('FOOT', foot), encodeTail(this.#bytes)]);
    try {
      await this.#file.sync();
      await this.#file.close();
      await rename(partOf(this.#path), this.#path);
      const folder = await open(dirname(resolve(this.#path)), 'r');
      await folder.sync();
      await folder.close();
    } catch (error) {
      throw unwritable(this.#path, error);
    }
  }

  /** Nothing of it stays. */
  async abandon(): Promise<void> {
    await this.#file.close().catch(() => undefined);
    await rm(partOf(this.#path), { force: true });
  }

  async #write(pieces: readonly Uint8Array[]): Promise<void> {
    const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
    let written = 0;
    try {
      ({ bytesWritten: written } = await this.#file.writev([...pieces]));
    } catch (error) {
      throw unwritable(this.#path, error);
    }
    // The kernel takes less than it was given where the disk is about to be full.
    if (written !== bytes) throw unwritable(this.#path, { code: 'ENOSPC' });
    this.#bytes += bytes;
  }
}

const partOf = (path: string): string => `${path}.part`;

/** Chunks that were ever written to. */
function rowsOf(partition: Partition): ChunkRow[] {
  const rows: ChunkRow[] = [];
  const touched = partition.chunksTouched();
  for (let chunk = 0; chunk < partition.geometry.chunkCount; chunk++) {
    const stamp = partition.stamps[chunk];
    const stored = chunk < touched && !partition.chunkIsFree(chunk);
    if (!stored && stamp === 0) continue;
    const sum = stored ? crc32(partition.chunkBytesView(chunk, 0, CHUNK_BYTES)) : 0;
    rows.push({ chunk, stamp, crc32: sum, stored });
  }
  return rows;
}

function unwritable(path: string, error: unknown): Error {
  const { code, message } = error as NodeJS.ErrnoException;
  return refusal(
    'BACKUP_UNWRITABLE',
    `${path} cannot be written (${code ?? message}); check the disk`,
  );
}
