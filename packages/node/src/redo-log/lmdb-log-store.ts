/** The redo log in an LMDB file of its own below the data dir, a group per key. The one file of the log that knows LMDB. */
import { Buffer } from 'node:buffer';
import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import type { RootDatabase } from 'lmdb';
import { openLmdbFile } from '../checkpoint/lmdb-file.ts';
import type { LogChange, LogStore } from './log-store.ts';

const MIB = 1_048_576;

export class LmdbLogStore implements LogStore {
  readonly #root: RootDatabase<Uint8Array, number>;

  /** `bytesMax`: null opens what is there, and changes nothing. Throws DamagedFile where the file is torn. */
  constructor(path: string, bytesMax: number | null) {
    this.#root = openLmdbFile(path, bytesMax === null ? null : 2 * bytesMax + 64 * MIB);
  }

  commit({ group, remove }: LogChange): void {
    this.#root.transactionSync(() => {
      if (remove !== null) {
        for (let n = remove.from; n < remove.to; n++) this.#root.removeSync(n);
      }
      if (group !== null) this.#root.putSync(group.number, group.bytes);
    });
  }

  firstNumber(): number {
    for (const number of this.#root.getKeys({ limit: 1 })) return number;
    return 1;
  }

  lastNumber(): number {
    for (const number of this.#root.getKeys({ reverse: true, limit: 1 })) return number;
    return 0;
  }

  *groups(): IterableIterator<{ number: number; bytes: Buffer }> {
    for (const number of this.#root.getKeys()) {
      const found = this.#root.getBinary(number);
      if (found !== undefined) yield { number, bytes: Buffer.from(found) };
    }
  }

  async close(): Promise<void> {
    await this.#root.close();
  }
}

export function logPath(dataDir: string): string {
  return join(dataDir, 'redo-log.mdb');
}

/** Under a name that nothing has yet, which is returned. Nobody has it open. */
export function setLogAside(dataDir: string): string {
  const path = logPath(dataDir);
  let count = 1;
  while (existsSync(`${path}.refused-${count}`)) count++;
  const aside = `${path}.refused-${count}`;
  renameSync(path, aside);
  return aside;
}

export function hasLog(dataDir: string): boolean {
  return existsSync(logPath(dataDir));
}
