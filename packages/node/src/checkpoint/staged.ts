/** What a save writes, in transactions of a bounded size: each is held in memory as a whole until it is on disk.
 *
 *  Until the last of them the file says what it said before: what is put goes into places that nothing names yet, and what
 *  is named is removed by the last one, which puts the new names. Owner: one save. */
import { CHUNK_BYTES } from '@ingot/store';
import type { CheckpointFile } from './checkpoint-file.ts';

/** Held here, and once more as LMDB's pages while it is committed. */
export const STAGED_BYTES_MAX = 16_777_216;

export class Staged {
  readonly #file: CheckpointFile;
  readonly #puts = new Map<number, Buffer>();
  readonly #removals = new Set<number>();
  readonly #putsAtEnd = new Map<number, Buffer>();
  readonly #removalsAtEnd = new Set<number>();
  readonly #spare: Buffer[] = [];
  readonly #mayWrite: (bytes: number) => void;
  #bytes = 0;

  /** `mayWrite` throws where so many bytes are not to be written now. */
  constructor(file: CheckpointFile, mayWrite: (bytes: number) => void) {
    this.#file = file;
    this.#mayWrite = mayWrite;
  }

  /** Of a chunk's length, to be put. */
  buffer(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES);
  }

  /** Where nothing is named. Keeps the bytes. */
  put(key: number, bytes: Buffer): void {
    this.#removals.delete(key);
    this.#puts.set(key, bytes);
    this.#bytes += bytes.length;
    if (this.#bytes >= STAGED_BYTES_MAX) this.#commit(() => {});
  }

  /** Of what was put by this save. */
  remove(key: number): void {
    this.#puts.delete(key);
    this.#removals.add(key);
  }

  putAtEnd(key: number, bytes: Buffer): void {
    this.#bytes += bytes.length;
    this.#putsAtEnd.set(key, bytes);
  }

  removeAtEnd(key: number): void {
    this.#removalsAtEnd.add(key);
  }

  /** From here on the file says what is new. On disk when it returns. */
  end(): void {
    this.#commit(() => {
      for (const key of this.#removalsAtEnd) this.#file.remove(key);
      for (const [key, bytes] of this.#putsAtEnd) this.#file.put(key, bytes);
    });
  }

  #commit(last: () => void): void {
    this.#mayWrite(this.#bytes);

    this.#file.transact(() => {
      for (const key of this.#removals) this.#file.remove(key);
      for (const [key, bytes] of this.#puts) this.#file.put(key, bytes);
      last();
    });
    for (const bytes of this.#puts.values()) {
      if (bytes.length === CHUNK_BYTES) this.#spare.push(bytes);
    }
    this.#puts.clear();
    this.#removals.clear();
    this.#bytes = 0;
  }
}
