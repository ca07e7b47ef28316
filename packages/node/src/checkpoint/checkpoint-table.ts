/** What a checkpoint knows of each chunk, as a table of three words per chunk; trailing zeros are left out.
 *
 *    stamp    generation of its last change, or a later one up to that of the checkpoint
 *    slot     1, 2: where its bytes are in the file; 0: it is all zero
 *    crc32    of its bytes
 *
 *  A plain value: owned by whoever made it. */
import { crc32 } from 'node:zlib';
import type { Slot } from './checkpoint-file.ts';

const ROW_WORDS = 3;
const SLOT = 1;
const CRC = 2;

export class CheckpointTable {
  readonly chunkCount: number;
  readonly #rows: Uint32Array;

  constructor(chunkCount: number) {
    this.chunkCount = chunkCount;
    this.#rows = new Uint32Array(chunkCount * ROW_WORDS);
  }

  /** Throws where the bytes are not a table of so many chunks. */
  static decode(bytes: Uint8Array, chunkCount: number): CheckpointTable {
    const table = new CheckpointTable(chunkCount);
    const own = new Uint8Array(table.#rows.buffer);
    if (bytes.length > own.length || bytes.length % (4 * ROW_WORDS) !== 0) {
      throw new Error(`a table of ${bytes.length} bytes for ${chunkCount} chunks`);
    }
    own.set(bytes);
    return table;
  }

  encode(): Buffer {
    const used = Math.ceil((this.#rows.findLastIndex((word) => word !== 0) + 1) / ROW_WORDS);
    return Buffer.from(this.#rows.buffer, 0, used * ROW_WORDS * 4);
  }

  clone(): CheckpointTable {
    const copy = new CheckpointTable(this.chunkCount);
    copy.#rows.set(this.#rows);
    return copy;
  }

  stamp(chunk: number): number {
    return this.#rows[chunk * ROW_WORDS];
  }

  setStamp(chunk: number, stamp: number): void {
    this.#rows[chunk * ROW_WORDS] = stamp;
  }

  stamps(): Uint32Array {
    return Uint32Array.from({ length: this.chunkCount }, (_, chunk) => this.stamp(chunk));
  }

  slot(chunk: number): Slot | 0 {
    const slot = this.#rows[chunk * ROW_WORDS + SLOT];
    return slot === 1 || slot === 2 ? slot : 0;
  }

  isStored(chunk: number): boolean {
    return this.slot(chunk) !== 0;
  }

  crc32(chunk: number): number {
    return this.#rows[chunk * ROW_WORDS + CRC];
  }

  store(chunk: number, bytes: Uint8Array, slot: Slot): void {
    this.#rows[chunk * ROW_WORDS + SLOT] = slot;
    this.#rows[chunk * ROW_WORDS + CRC] = crc32(bytes);
  }

  drop(chunk: number): void {
    this.#rows[chunk * ROW_WORDS + SLOT] = 0;
    this.#rows[chunk * ROW_WORDS + CRC] = 0;
  }

  storedCount(): number {
    let stored = 0;
    for (let chunk = 0; chunk < this.chunkCount; chunk++) if (this.isStored(chunk)) stored++;
    return stored;
  }
}
