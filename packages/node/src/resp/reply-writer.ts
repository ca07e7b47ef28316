/** Encodes replies, RESP2 or RESP3, into one growing output buffer.
 *  Owner: a data worker has one for its batches; forwarding and late replies use their own.
 *  A long value is *lent*: its bytes stay where they are, and only their place between the others is
 *  noted. So `length` counts none of them, and whoever writes the replies asks for `pieces`.
 *  Invariant: bytes before `length` are whole replies or a whole prefix of one; nothing here
 *  throws. A reply that would pass `limitBytes` is dropped and `overflowed` set: whoever drives the
 *  writer rewinds and answers with an error instead (memory stays bounded even for one absurd
 *  command). Why by hand: integers become digits without a string, and short copies are loops,
 *  because one call into the runtime costs as much as a whole GET does here. */

import { Buffer } from 'node:buffer';

export type Protocol = 2 | 3;

const CR = 0x0d;
const LF = 0x0a;
const COLON = 0x3a;
const DOLLAR = 0x24;
const STAR = 0x2a;

const BYTES_INITIAL = 64 * 1024;
/** A buffer that one reply made larger than this is not kept. */
const KEPT_BYTES_MAX = 1024 * 1024;
const LIMIT_BYTES_DEFAULT = 512 * 1024 * 1024;
/** Below this a byte loop beats the flat cost (about 45 ns) of Buffer.copy. */
const LOOP_BYTES_MAX = 32;
/** Up to this length words are copied faster than by one call. */
const WORDS_BYTES_MAX = 160;
const CRLF_WORD = 0x0a0d;
/** `$n\r\n` and `$nn\r` as little-endian words. */
const BULK_HEADERS: Int32Array = Int32Array.from({ length: 100 }, (_, n) =>
  Buffer.from(`$${n}\r\n`).readInt32LE(),
);
/** Views of the output up to this length are made once per length. */
const KEPT_VIEW_BYTES_MAX = 2048;
/** Longest header: type byte, sign, 20 digits, CRLF. */
const HEADER_BYTES_MAX = 24;
const CRLF: Buffer = Buffer.from('\r\n');

/** A value in memory of somebody else, who is told when it is not needed any more. Never empty. */
export interface Lent {
  readonly views: readonly Buffer[];
  readonly bytes: number;
  release(): void;
}

/** Replies that were taken out of a writer, lent values included. */
export interface Written {
  readonly text: Buffer;
  readonly lent: readonly Lent[];
  /** How many bytes of the text come before each. */
  readonly lentAt: readonly number[];
  readonly lentBytes: number;
}

export class ReplyWriter {
  protocol: Protocol = 2;
  /** Replies are buffer[0 .. length). Replaced when it grows: do not keep it over a write. */
  buffer: Buffer;
  length = 0;
  overflowed = false;
  readonly limitBytes: number;
  /** The same memory as `buffer`, for words that begin anywhere. */
  private words: DataView;
  /** Values between the replies' bytes, and how many bytes come before each. */
  private lent: Lent[] = [];
  private lentAt: number[] = [];
  /** Of all that is lent. */
  lentBytes = 0;
  private views: (Buffer | undefined)[] = [];

  constructor(initialBytes: number = BYTES_INITIAL, limitBytes: number = LIMIT_BYTES_DEFAULT) {
    this.buffer = Buffer.allocUnsafeSlow(initialBytes);
    this.words = wordsOf(this.buffer);
    this.limitBytes = limitBytes;
  }

  /** A position to `rewind` to: everything written since is forgotten. */
  mark(): number {
    return this.length;
  }

  rewind(mark: number): void {
    this.length = mark;
    this.overflowed = false;
    if (this.lentBytes > 0) this.giveBack(mark);
  }

  /** Nobody writes what lies behind `mark`. */
  private giveBack(mark: number): void {
    const { lent, lentAt } = this;
    while (lent.length > 0 && (lentAt.at(-1) as number) > mark) {
      const last = lent.pop() as Lent;
      lentAt.pop();
      this.lentBytes -= last.bytes;
      last.release();
    }
  }

  ok(): void {
    if (!this.reserve(5)) return;
    const at = this.length;
    const out = this.buffer;
    out[at] = 0x2b;
    out[at + 1] = 0x4f;
    out[at + 2] = 0x4b;
    out[at + 3] = CR;
    out[at + 4] = LF;
    this.length = at + 5;
  }

  /** `+text`: ASCII without line breaks. */
  simple(text: string): void {
    this.line('+', text);
  }

  /** `-text`: with its code word, e.g. 'ERR no such key'. Line breaks become blanks. */
  error(text: string): void {
    this.line('-', text.replace(/[\r\n]/g, ' '));
  }

  integer(value: number | bigint): void {
    // The header's digits are exact to 2^53.
    if (Number.isSafeInteger(value)) this.header(COLON, value as number);
    else this.line(':', BigInt(value).toString());
  }

  bulk(source: Uint8Array, start: number, bytes: number): void {
    if (!this.reserve(bytes + HEADER_BYTES_MAX + 2)) return;
    this.header(DOLLAR, bytes);
    let at = this.length;
    const out = this.buffer;
    if (bytes > LOOP_BYTES_MAX) {
      (source as Buffer).copy(out, at, start, start + bytes);
      at += bytes;
    } else {
      for (let i = 0; i < bytes; i++) out[at++] = source[start + i];
    }
    out[at] = CR;
    out[at + 1] = LF;
    this.length = at + 2;
  }

  /** As `bulk`, of bytes that `words` shows, too: short ones are copied by words that begin anywhere. */
  bulkOf(source: Uint8Array, words: DataView, start: number, bytes: number): void {
    if (bytes > WORDS_BYTES_MAX || bytes < 4) {
      this.bulk(source, start, bytes);
      return;
    }
    if (!this.reserve(bytes + HEADER_BYTES_MAX + 2)) return;
    const out = this.words;
    let at = this.length;
    if (bytes < 100) {
      out.setInt32(at, BULK_HEADERS[bytes], true);
      out.setUint8(at + 4, LF);
      at += bytes < 10 ? 4 : 5;
    } else {
      this.header(DOLLAR, bytes);
      at = this.length;
    }
    let i = 0;
    for (; i + 16 <= bytes; i += 16) {
      out.setInt32(at + i, words.getInt32(start + i, true), true);
      out.setInt32(at + i + 4, words.getInt32(start + i + 4, true), true);
      out.setInt32(at + i + 8, words.getInt32(start + i + 8, true), true);
      out.setInt32(at + i + 12, words.getInt32(start + i + 12, true), true);
    }
    const last = bytes - 4;
    for (; i < last; i += 4) out.setInt32(at + i, words.getInt32(start + i, true), true);
    if (i < bytes) out.setInt32(at + last, words.getInt32(start + last, true), true);
    at += bytes;
    out.setUint16(at, CRLF_WORD, true);
    this.length = at + 2;
  }

  /** A bulk of `bytes` bytes that the caller puts into `buffer`, from the position returned on; -1 past the limit. */
  bulkSpace(bytes: number): number {
    if (!this.reserve(bytes + HEADER_BYTES_MAX + 2)) return -1;
    this.header(DOLLAR, bytes);
    const at = this.length;
    this.buffer[at + bytes] = CR;
    this.buffer[at + bytes + 1] = LF;
    this.length = at + bytes + 2;
    return at;
  }

  /** A bulk whose bytes stay where they are until this is reset, or whoever writes them says so. False, and it is
   *  the caller's still, past the limit. */
  lend(value: Lent): boolean {
    if (!this.reserve(HEADER_BYTES_MAX + 2)) return false;
    this.header(DOLLAR, value.bytes);
    this.lent.push(value);
    this.lentAt.push(this.length);
    this.lentBytes += value.bytes;
    const at = this.length;
    this.buffer[at] = CR;
    this.buffer[at + 1] = LF;
    this.length = at + 2;
    return true;
  }

  bulkText(text: string): void {
    this.textBlock(DOLLAR, '', text);
  }

  /** Text for people: `=txt:` in RESP3, an ordinary bulk in RESP2. */
  verbatim(text: string): void {
    if (this.protocol === 3) this.textBlock(0x3d, 'txt:', text);
    else this.textBlock(DOLLAR, '', text);
  }

  /** What every miss is answered with: written without a string. */
  nil(): void {
    if (this.protocol === 3) this.line('_', '');
    else this.header(DOLLAR, -1);
  }

  /** The absent array: what EXEC answers when a watched key changed. */
  nilArray(): void {
    if (this.protocol === 3) this.line('_', '');
    else this.line('*', '-1');
  }

  array(count: number): void {
    this.header(STAR, count);
  }

  /** Followed by `pairs` keys and values in turn. */
  map(pairs: number): void {
    if (this.protocol === 3) this.header(0x25, pairs);
    else this.header(STAR, pairs * 2);
  }

  set(count: number): void {
    this.header(this.protocol === 3 ? 0x7e : STAR, count);
  }

  double(value: number): void {
    const text = doubleText(value);
    if (this.protocol === 3) this.line(',', text);
    else this.bulkText(text);
  }

  boolean(value: boolean): void {
    if (this.protocol === 3) this.line('#', value ? 't' : 'f');
    else this.header(COLON, value ? 1 : 0);
  }

  /** Bytes that are encoded already: a reply of another node, passed through. */
  raw(source: Uint8Array, start: number, bytes: number): void {
    if (!this.reserve(bytes)) return;
    (source as Buffer).copy(this.buffer, this.length, start, start + bytes);
    this.length += bytes;
  }

  /** `<type><integer>\r\n`, digits written back to front in place. */
  header(type: number, value: number): void {
    if (!this.reserve(HEADER_BYTES_MAX)) return;
    const out = this.buffer;
    let at = this.length;
    out[at++] = type;
    let rest = value;
    if (rest < 0) {
      out[at++] = 0x2d;
      rest = -rest;
    }
    if (rest < 10) {
      out[at++] = 0x30 + rest;
    } else if (rest < 100) {
      const tens = (rest * 0.1) | 0;
      out[at] = 0x30 + tens;
      out[at + 1] = 0x30 + rest - tens * 10;
      at += 2;
    } else {
      let digits = 3;
      for (let power = 1000; rest >= power; power *= 10) digits++;
      for (let i = digits - 1; i >= 0; i--) {
        const next = Math.floor(rest / 10);
        out[at + i] = 0x30 + (rest - next * 10);
        rest = next;
      }
      at += digits;
    }
    out[at] = CR;
    out[at + 1] = LF;
    this.length = at + 2;
  }

  /** Starts over. */
  reset(): void {
    this.rewind(0);
    if (this.buffer.length > KEPT_BYTES_MAX) this.surrender();
  }

  /** Leaves the buffer to whoever still reads it, and starts over in a new one. */
  surrender(): void {
    this.rewind(0);
    this.replaceBuffer(Buffer.allocUnsafeSlow(BYTES_INITIAL));
  }

  /** What was written, as a view of `buffer`. */
  view(): Buffer {
    return this.prefix(this.length);
  }

  /** Making a view costs 0.1 us and garbage, and replies of the same batch size come again and again, so
   *  short views are kept. */
  private prefix(length: number): Buffer {
    if (length > KEPT_VIEW_BYTES_MAX) return this.buffer.subarray(0, length);
    let view = this.views[length];
    if (view === undefined) {
      view = this.buffer.subarray(0, length);
      this.views[length] = view;
    }
    return view;
  }

  /** What was written and what was lent, in order. */
  pieces(): Buffer[] {
    const { buffer, lent, lentAt } = this;
    const pieces: Buffer[] = [];
    let at = 0;
    for (let i = 0; i < lent.length; i++) {
      pieces.push(at === 0 ? this.prefix(lentAt[i]) : buffer.subarray(at, lentAt[i]));
      for (const view of lent[i].views) pieces.push(view);
      at = lentAt[i];
    }
    // What is behind the last one begins with the end of its bulk, and is mostly nothing else.
    if (this.length - at === CRLF.length) pieces.push(CRLF);
    else if (at < this.length) pieces.push(buffer.subarray(at, this.length));
    return pieces;
  }

  /** Hands over what was lent: the caller releases it. */
  surrenderLent(): Lent[] {
    const { lent } = this;
    this.lent = [];
    this.lentAt = [];
    this.lentBytes = 0;
    return lent;
  }

  /** Takes the written bytes out as memory of their own and starts over. */
  take(): Buffer {
    const isWhole = this.lentBytes === 0;
    const written = this.buffer.subarray(0, this.length);
    const taken = isWhole ? Buffer.from(written) : Buffer.concat(this.pieces());
    this.reset();
    return taken;
  }

  /** Takes out what was written since `mark`. What was lent is the caller's to release, or to `append` again. */
  cut(mark: number): Written {
    const text = Buffer.from(this.buffer.subarray(mark, this.length));
    const from = this.lentAt.findIndex((at) => at > mark);
    const lent = from === -1 ? [] : this.lent.splice(from);
    const lentAt = from === -1 ? [] : this.lentAt.splice(from).map((at) => at - mark);
    const lentBytes = lent.reduce((sum, { bytes }) => sum + bytes, 0);
    this.lentBytes -= lentBytes;
    this.rewind(mark);
    return { text, lent, lentAt, lentBytes };
  }

  append({ text, lent, lentAt, lentBytes }: Written): void {
    const from = this.length;
    this.raw(text, 0, text.length);
    for (const [i, value] of lent.entries()) {
      this.lent.push(value);
      this.lentAt.push(from + lentAt[i]);
    }
    this.lentBytes += lentBytes;
  }

  private line(type: string, text: string): void {
    if (!this.reserve(text.length * 3 + 3)) return;
    const out = this.buffer;
    let at = this.length;
    out[at++] = type.charCodeAt(0);
    at += out.write(text, at, 'utf8');
    out[at] = CR;
    out[at + 1] = LF;
    this.length = at + 2;
  }

  private textBlock(type: number, prefix: string, text: string): void {
    const bytes = Buffer.byteLength(text) + prefix.length;
    if (!this.reserve(bytes + HEADER_BYTES_MAX + 2)) return;
    this.header(type, bytes);
    const out = this.buffer;
    let at = this.length;
    at += out.write(prefix, at, 'latin1');
    at += out.write(text, at, 'utf8');
    out[at] = CR;
    out[at + 1] = LF;
    this.length = at + 2;
  }

  /** Makes room for `bytes` more; false, and nothing may be written, once past the limit. */
  private reserve(bytes: number): boolean {
    const needed = this.length + bytes;
    if (needed <= this.buffer.length && !this.overflowed) return true;
    if (this.overflowed || needed > this.limitBytes) {
      this.overflowed = true;
      return false;
    }
    const larger = Buffer.allocUnsafeSlow(
      Math.min(this.limitBytes, Math.max(needed, this.buffer.length * 2)),
    );
    this.buffer.copy(larger, 0, 0, this.length);
    this.replaceBuffer(larger);
    return true;
  }

  private replaceBuffer(buffer: Buffer): void {
    this.buffer = buffer;
    this.words = wordsOf(buffer);
    this.views = [];
  }
}

function wordsOf(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
}

function doubleText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return 'inf';
  if (value === Number.NEGATIVE_INFINITY) return '-inf';
  return Number.isNaN(value) ? 'nan' : String(value);
}
