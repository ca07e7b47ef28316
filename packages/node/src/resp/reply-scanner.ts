/** Cuts a stream of replies into whole ones, RESP2 and RESP3, without building values.
 *  One counter stands for the nesting: a reply is complete when no element is due any more, and an
 *  aggregate of n makes n more due. So a cut anywhere costs no second look at what was scanned.
 *  For replies of other nodes: limits are the sender's, a malformed byte sets `invalid` for
 *  good. */

import { Buffer } from 'node:buffer';

const LF = 0x0a;
const CR = 0x0d;
const MINUS = 0x2d;
const BANG = 0x21;
const DOLLAR = 0x24;
const PERCENT = 0x25;
const STAR = 0x2a;
const EQUALS = 0x3d;
const GREATER = 0x3e;
const TILDE = 0x7e;
/** By type: 1 where it is one line. */
const LINE_TYPES: Uint8Array = new Uint8Array(256);
for (const type of Buffer.from('+-:_#,(')) LINE_TYPES[type] = 1;
const SHORT_LINE_BYTES = 32;
const NOTHING: Buffer = Buffer.alloc(0);

export class ReplyScanner {
  /** The reply that `next` found is buffer[start .. end). */
  buffer: Buffer = Buffer.alloc(0);
  start = 0;
  end = 0;
  invalid = false;

  /** Bytes of `buffer` that hold something; the rest is room. */
  private filled = 0;
  /** Scanned so far. */
  private at = 0;
  /** Elements due until the reply that begins at `end` is whole; 0 = it has not begun. */
  private due = 0;
  /** What `count` has read. */
  private counted = 0;
  /** Memory of its own, for replies that have not arrived whole. */
  private own: Buffer = NOTHING;

  /** Adds what arrived: `bytes` of `data`, which is kept until it is scanned, or until `keep`. Ranges found before
   *  become invalid. */
  push(data: Buffer, bytes: number = data.length): void {
    const left = this.filled - this.end;
    if (left === 0) {
      this.buffer = data;
      this.filled = bytes;
      this.at -= this.end;
    } else {
      this.append(data, bytes, left);
    }
    this.start = 0;
    this.end = 0;
  }

  /** What was pushed will be used for something else: what is left of it, an unfinished reply, is kept elsewhere. */
  keep(): void {
    const left = this.filled - this.end;
    if (left > 0 && this.buffer !== this.own) this.append(NOTHING, 0, left);
    this.start = 0;
    this.end = this.filled - left;
  }

  /** Moves to the next whole reply; false when there is none yet. */
  next(): boolean {
    if (this.invalid) return false;
    if (this.due === 0) {
      if (this.end >= this.filled) return false;
      this.due = 1;
      this.at = this.end;
    }
    while (this.due > 0) {
      const next = this.element();
      if (next < 0) return false;
      this.at = next;
      this.due--;
    }
    this.start = this.end;
    this.end = this.at;
    return true;
  }

  /** The position after the element at `at`, or -1 when it is not all there. Aggregates add what
   *  they announce to `due`. */
  private element(): number {
    const { buffer, at } = this;
    if (at >= this.filled) return -1;
    const type = buffer[at];
    if (type === DOLLAR || type === EQUALS || type === BANG) {
      const next = this.count(at + 1);
      if (next === -1) return -1;
      const end = this.counted < 0 ? next : next + this.counted + 2;
      return end <= this.filled ? end : -1;
    }
    if (LINE_TYPES[type] === 1) return this.lineEnd(at);
    if (type !== STAR && type !== TILDE && type !== GREATER && type !== PERCENT) {
      this.invalid = true;
      return -1;
    }
    const next = this.count(at + 1);
    if (next !== -1) this.due += Math.max(0, type === PERCENT ? 2 * this.counted : this.counted);
    return next;
  }

  /** Most lines are short: a search costs more than to look. */
  private lineEnd(at: number): number {
    const { buffer, filled } = this;
    const near = Math.min(filled, at + SHORT_LINE_BYTES);
    for (let i = at + 1; i < near; i++) if (buffer[i] === LF) return i + 1;
    if (near === filled) return -1;
    const end = buffer.indexOf(LF, near);
    return end === -1 || end >= filled ? -1 : end + 1;
  }

  /** The position after a line that holds a number, which becomes `counted`; -1 when it is not all there. */
  private count(at: number): number {
    const { buffer, filled } = this;
    let i = at;
    const negative = i < filled && buffer[i] === MINUS;
    if (negative) i++;
    let value = 0;
    for (; i < filled; i++) {
      const digit = buffer[i] - 0x30;
      if (digit >= 0 && digit <= 9) {
        value = value * 10 + digit;
        continue;
      }
      if (buffer[i] !== CR) {
        this.invalid = true;
        return -1;
      }
      this.counted = negative ? -value : value;
      return i + 2 <= filled ? i + 2 : -1;
    }
    return -1;
  }

  /** The unfinished reply moves to the front of a buffer that has room for `data` behind it. */
  private append(data: Buffer, bytes: number, left: number): void {
    const needed = left + bytes;
    const fits = needed <= this.own.length;
    const target = fits ? this.own : Buffer.allocUnsafeSlow(Math.max(needed, left * 2, 4096));
    // In place already, as long as one reply is arriving: moving it each time would be quadratic.
    if (target !== this.buffer || this.end > 0) this.buffer.copy(target, 0, this.end, this.filled);
    data.copy(target, left, 0, bytes);
    this.own = target;
    this.buffer = target;
    this.filled = needed;
    this.at -= this.end;
  }
}
