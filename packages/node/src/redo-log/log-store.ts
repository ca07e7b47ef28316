/** Where groups are kept: LMDB, or in tests a disk that loses what was not flushed. */

/** One transaction: all of it or nothing, and on disk when `commit` returns. */
export interface LogChange {
  /** The group to add; null: none. */
  readonly group: { readonly number: number; readonly bytes: Buffer } | null;
  /** Groups from .. to-1 go. */
  readonly remove: { readonly from: number; readonly to: number } | null;
}

export interface LogStore {
  /** Throws what the disk says; then the store is to be opened anew, and may hold the change or not. */
  commit(change: LogChange): void;
  /** Of the oldest group; 1: there is none. */
  firstNumber(): number;
  /** Of the newest group; 0: there is none. */
  lastNumber(): number;
  /** Ascending. */
  groups(): IterableIterator<{ readonly number: number; readonly bytes: Buffer }>;
  close(): Promise<void>;
}
