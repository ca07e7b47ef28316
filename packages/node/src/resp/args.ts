/** One parsed command: a window over the receive buffer.
 *  Owner: the batch executor, which reuses a single Args for every command of a worker.
 *  Invariant: valid only until the batch ends. Whoever needs bytes longer takes `copy(i)`.
 *  Argument 0 is the command name. Reading never allocates, except `text`, `copy` and `bigint`. */

import { Buffer } from 'node:buffer';
import { readInt64, readSafeInteger } from '@ingot/store';

/** The largest double below 2^63. */
const INT64_ROUNDED_MAX = 2 ** 63 - 1024;

export class Args {
  /** Where the bytes of every argument are. */
  buf: Buffer = Buffer.alloc(0);
  /** Number of arguments, the command name included. */
  count = 0;

  private table: Int32Array = new Int32Array(0);
  private first = 0;

  /** Points the window at `count` (start, bytes) pairs of `table`, from argument index `first`
   *  on. */
  aim(buf: Buffer, table: Int32Array, first: number, count: number): void {
    this.buf = buf;
    this.table = table;
    this.first = first << 1;
    this.count = count;
  }

  /** Builds arguments of their own memory: queued, forwarded or generated commands, and tests. */
  static of(...parts: readonly (string | Uint8Array)[]): Args {
    return Args.from(parts);
  }

  static from(parts: readonly (string | Uint8Array)[]): Args {
    const pieces = parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part));
    const table = new Int32Array(pieces.length * 2);
    let start = 0;
    pieces.forEach((piece, i) => {
      table[i * 2] = start;
      table[i * 2 + 1] = piece.length;
      start += piece.length;
    });
    const args = new Args();
    args.aim(Buffer.concat(pieces), table, 0, pieces.length);
    return args;
  }

  /** The same arguments in memory of their own, for later. */
  detach(): Args {
    return this.slice(0, this.count);
  }

  /** The same arguments where they are, for later: nobody may change that memory. */
  share(): Args {
    const own = new Args();
    const table = this.table.slice(this.first, this.first + this.count * 2);
    own.aim(this.buf, table, 0, this.count);
    return own;
  }

  /** Arguments [first, first + count), in memory of their own. */
  slice(first: number, count: number): Args {
    return Args.from(Array.from({ length: count }, (_, i) => this.view(first + i)));
  }

  /** Byte offset of argument `i` in `buf`. */
  start(i: number): number {
    return this.table[this.first + (i << 1)];
  }

  /** Byte length of argument `i`. */
  bytes(i: number): number {
    return this.table[this.first + (i << 1) + 1];
  }

  /** Bytes from the command name to the end of the last argument, as they lie in `buf`. */
  get span(): number {
    const last = this.count - 1;
    return this.start(last) + this.bytes(last) - this.start(0);
  }

  /** True when argument `i` is `upperWord`, ASCII case ignored. */
  is(i: number, upperWord: string): boolean {
    const bytes = this.bytes(i);
    if (bytes !== upperWord.length) return false;
    const buf = this.buf;
    const start = this.start(i);
    for (let k = 0; k < bytes; k++) {
      let byte = buf[start + k];
      if (byte >= 0x61 && byte <= 0x7a) byte -= 0x20;
      if (byte !== upperWord.charCodeAt(k)) return false;
    }
    return true;
  }

  /** Argument `i` decoded as UTF-8. */
  text(i: number): string {
    const start = this.start(i);
    return this.buf.toString('utf8', start, start + this.bytes(i));
  }

  /** Argument `i` in memory of its own. */
  copy(i: number): Buffer {
    return Buffer.from(this.view(i));
  }

  /** Argument `i` where it lies. */
  view(i: number): Uint8Array {
    const start = this.start(i);
    return this.buf.subarray(start, start + this.bytes(i));
  }

  /** Argument `i` as a safe integer, or NaN: not an integer, or beyond 2^53 (ask `bigint`). */
  integer(i: number): number {
    return readSafeInteger(this.buf, this.start(i), this.bytes(i));
  }

  /** Argument `i` as a signed 64-bit integer, or NaN; beyond 2^53 rounded, within the range. */
  rounded(i: number): number {
    const small = this.integer(i);
    if (!Number.isNaN(small)) return small;
    const large = this.bigint(i);
    return large === null ? Number.NaN : Math.min(Number(large), INT64_ROUNDED_MAX);
  }

  /** Argument `i` as a signed 64-bit integer, or null. */
  bigint(i: number): bigint | null {
    return readInt64(this.buf, this.start(i), this.bytes(i));
  }
}
