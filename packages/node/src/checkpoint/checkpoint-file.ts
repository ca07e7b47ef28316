/** The checkpoint of one partition on disk: an LMDB file of its own, and the one place that knows what is in it.
 *
 *    key                  value
 *    0 .. 32,767          the bytes of that chunk, 65,536, where its slot is 1
 *    32,768 .. 65,535     the same, where it is 2
 *    0x1_0000 + i         redo, in the order of the keys, where its slot is 1
 *    0x100_0000 + i       the same, where it is 2
 *    TABLE_KEY            what is known of each chunk, see checkpoint-table.ts
 *    META_KEY             what the rest is, see checkpoint-meta.ts
 *
 *  A save puts what changed into the slots that the former one does not use, in as many transactions as it takes, and
 *  names them by the last one, with table and meta: it is on disk once that has ended, and one that is cut short leaves
 *  the former one as it was. Owner: the storage worker, or before it runs whoever loads.
 *  These change together: this, checkpoint-table.ts, checkpoint-meta.ts with a new CHECKPOINT_VERSION and a reader of the
 *  former one, and a file of the former one in golden/. */
import { appendFileSync, existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { RootDatabase } from 'lmdb';
import { openLmdbFile } from './lmdb-file.ts';

/** Which of two places: what is there and what takes its place are never in the same one. */
export type Slot = 1 | 2;

const CHUNK_KEYS = [0, 0x8000] as const;
const REDO_KEYS = [0x1_0000, 0x100_0000] as const;
export const META_KEY = 0x200_0000;
export const TABLE_KEY = 0x200_0001;

export function chunkKey(chunk: number, slot: Slot): number {
  return CHUNK_KEYS[slot - 1] + chunk;
}

export function redoKey(piece: number, slot: Slot): number {
  return REDO_KEYS[slot - 1] + piece;
}

export function otherSlot(slot: Slot | 0): Slot {
  return slot === 1 ? 2 : 1;
}

const FILE_NAME = /^partition-(\d+)\.mdb$/;
const MIB = 1_048_576;

export class CheckpointFile {
  readonly #root: RootDatabase<Uint8Array, number>;
  #lent: Uint8Array | null = null;
  #view: Uint8Array = new Uint8Array(0);

  /** `imageBytes`: null opens what is there, and changes nothing; else the file is made where it is missing, and
   *  may hold two versions of an image and their redo. Throws DamagedFile where the file is torn. */
  constructor(path: string, imageBytes: number | null) {
    this.#root = openLmdbFile(path, imageBytes === null ? null : 4 * imageBytes + 256 * MIB);
  }

  /** Valid until the next `get`, of whatever file: lmdb lends one buffer. null where there is none. */
  get(key: number): Uint8Array | null {
    const found = this.#root.getBinaryFast(key);
    if (found === undefined) return null;
    // Its buffer is longer than its length says.
    if (found !== this.#lent || this.#view.length !== found.length) {
      this.#lent = found;
      this.#view = new Uint8Array(found.buffer, found.byteOffset, found.length);
    }
    return this.#view;
  }

  /** Inside `transact` alone. */
  put(key: number, bytes: Uint8Array): void {
    this.#root.putSync(key, bytes);
  }

  remove(key: number): void {
    this.#root.removeSync(key);
  }

  /** All of what `work` puts, or where it throws nothing. On disk when it returns. */
  transact(work: () => void): void {
    this.#root.transactionSync(work);
  }

  keys(): number[] {
    return [...this.#root.getKeys()];
  }

  async close(): Promise<void> {
    await this.#root.close();
  }
}

/** The folder of a node's checkpoints, below its data dir. */
export class CheckpointFolder {
  readonly path: string;

  constructor(dataDir: string) {
    this.path = join(dataDir, 'checkpoints');
  }

  fileOf(partition: number): string {
    return join(this.path, `partition-${partition}.mdb`);
  }

  make(): void {
    mkdirSync(this.path, { recursive: true });
  }

  /** The partitions of which there is a file. */
  partitions(): number[] {
    if (!existsSync(this.path)) return [];
    return readdirSync(this.path)
      .flatMap((name) => {
        const match = FILE_NAME.exec(name);
        return match === null ? [] : [Number(match[1])];
      })
      .toSorted((a, b) => a - b);
  }

  bytesOf(partition: number): number {
    return statSync(this.fileOf(partition), { throwIfNoEntry: false })?.size ?? 0;
  }

  remove(partition: number): void {
    const path = this.fileOf(partition);
    for (const file of [path, `${path}-lock`, `${path}.reading`]) rmSync(file, { force: true });
  }

  removeAll(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  /** Notes that the file is about to be read. Returns how often that was begun before, and never came to an end:
   *  a page that is damaged may end the process, and must not do so at every start. A disk that takes no note is no
   *  reason not to read. */
  beginReading(partition: number): number {
    const note = `${this.fileOf(partition)}.reading`;
    let before = 0;
    try {
      before = statSync(note, { throwIfNoEntry: false })?.size ?? 0;
      appendFileSync(note, '.');
    } catch {
      // It is full, or may only be read.
    }
    return before;
  }

  endReading(partition: number): void {
    try {
      rmSync(`${this.fileOf(partition)}.reading`, { force: true });
    } catch {
      // What stays counts as one more reading at the next start.
    }
  }
}
