/** The checkpoint of one partition on disk: an LMDB file of its own, and the one place that knows LMDB.
 *
 *    key                  value
 *    0 .. 32,767          the bytes of that chunk, 65,536
 *    REDO_KEY + i         redo, in the order of the keys
 *    TABLE_KEY            what is known of each chunk, see checkpoint-table.ts
 *    META_KEY             what the rest is, see checkpoint-meta.ts
 *
 *  One save is one transaction, which is on disk once it has ended; one that is cut short leaves the former
 *  one as it was. Owner: the storage worker, or before it runs whoever loads. */
import { appendFileSync, existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import { tornFile } from './torn-file.ts';

export const REDO_KEY = 0x1_0000;
export const META_KEY = 0x200_0000;
export const TABLE_KEY = 0x200_0001;

const FILE_NAME = /^partition-(\d+)\.mdb$/;
const MIB = 1_048_576;

export class CheckpointFile {
  readonly #root: RootDatabase<Uint8Array, number>;
  #lent: Uint8Array | null = null;
  #view: Uint8Array = new Uint8Array(0);

  /** `imageBytes`: null opens what is there, and changes nothing; else the file is made where it is missing, and
   *  may hold two versions of an image and their redo. Throws where the file is torn or no such file. */
  constructor(path: string, imageBytes: number | null) {
    if (imageBytes === null || existsSync(path)) {
      const torn = tornFile(path);
      if (torn !== null) throw new Error(torn);
    }
    this.#root = open({
      path,
      encoding: 'binary',
      noSubdir: true,
      // Not 'uint32': with such keys lmdb 3.5.6 loses its list of free pages when the file is opened again.
      keyEncoding: 'ordered-binary',
      // A transaction is on disk once it has ended; no promise is made behind our back.
      overlappingSync: false,
      eventTurnBatching: false,
      ...(imageBytes === null ? { readOnly: true } : { mapSize: 4 * imageBytes + 256 * MIB }),
    });
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

  /** All of what `work` puts, or where it throws nothing. On disk when it resolves. */
  async transact<T>(work: () => Promise<T>): Promise<T> {
    return await this.#root.transactionSync(work);
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
