/** Cuts a stream of replies into whole ones, RESP2 and RESP3, without building values.
 *  One counter stands for the nesting: a reply is complete when no element is due any more, and an
 *  aggregate of n makes n more due. So a cut anywhere costs no second look at what was scanned.
 *  For replies of other nodes: limits are the sender's, a malformed byte sets `invalid` for
 *  good. */

import { Buffer } from 'node:buffer';

const LF = 0x0a;

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

  /** Adds what arrived. `data` is kept until it is scanned; ranges found before become invalid. */
  push(data: Buffer): void {
    const left = this.filled - this.end;
    if (left === 0) {
      this.buffer = data;
      this.filled = data.length;
      this.at -= this.end;
    } else {
      this.append(data, left);
    }
    this.start = 0;
    this.end = 0;
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
    const buffer = this.buffer;
    const at = this.at;
    if (at >= this.filled) return -1;
    const lineEnd = buffer.indexOf(LF, at);
    if (lineEnd < 0 || lineEnd >= this.filled) return -1;
    const next = lineEnd + 1;
    switch (String.fromCharCode(buffer[at])) {
      case '$':
      case '=':
      case '!': {
        const bytes = this.count(at + 1);
        const end = bytes < 0 ? next : next + bytes + 2;
        return end <= this.filled ? end : -1;
      }
      case '*':
      case '~':
      case '>':
        this.due += Math.max(0, this.count(at + 1));
        return next;
      case '%':
        this.due += 2 * this.count(at + 1);
        return next;
      case '+':
      case '-':
      case ':':
      case '_':
      case '#':
      case ',':
      case '(':
        return next;
      default:
        this.invalid = true;
        return -1;
    }
  }

  private count(at: number): number {
    const buffer = this.buffer;
    const negative = buffer[at] === 0x2d;
    let value = 0;
    for (let i = negative ? at + 1 : at; buffer[i] !== 0x0d; i++) {
      const digit = buffer[i] - 0x30;
      if (!(digit >= 0 && digit <= 9)) {
        this.invalid = true;
        return 0;
      }
      value = value * 10 + digit;
    }
    return negative ? -value : value;
  }

  /** The unfinished reply moves to the front of a buffer that has room for `data` behind it. */
  private append(data: Buffer, left: number): void {
    const needed = left + data.length;
    const own = needed <= this.buffer.length ? this.buffer : null;
    const target = own ?? Buffer.allocUnsafeSlow(Math.max(needed, left * 2, 4096));
    // In place already, as long as one reply is arriving: moving it each time would be quadratic.
    if (own === null || this.end > 0) this.buffer.copy(target, 0, this.end, this.filled);
    data.copy(target, left);
    this.buffer = target;
    this.filled = needed;
    this.at -= this.end;
  }
}
