/** Cuts a stream of replies, RESP2 and RESP3, into pieces of replies as they arrive: nothing is kept, however long a reply
 *  is, but for errors, which are told whole. For replies of other nodes, as ReplyScanner. */

import { Buffer } from 'node:buffer';

const LF = 0x0a;
const CR = 0x0d;
const MINUS = 0x2d;

export interface ReplyPieces {
  /** `bytes` are the next ones of a reply, and its last where `ends`. An error is one piece. */
  piece(bytes: Buffer, ends: boolean): void;
}

export class ReplyStream {
  invalid = false;
  private readonly pieces: ReplyPieces;
  /** Elements due until the reply is whole; 0 = it has not begun. */
  private due = 0;
  /** Of a bulk, with its CRLF. */
  private bytesLeft = 0;
  /** Of the line that is being read; 0 = none. */
  private type = 0;
  private number = 0;
  private isNegative = false;
  /** A part of the reply has been told. */
  private begun = false;
  /** An error that is still arriving. */
  private error: Buffer[] = [];

  constructor(pieces: ReplyPieces) {
    this.pieces = pieces;
  }

  /** `data` is the receiver's. */
  push(data: Buffer): void {
    let at = 0;
    while (at < data.length && !this.invalid) {
      const from = at;
      at = this.advance(data, at);
      const ends = this.due === 0 && this.bytesLeft === 0 && this.type === 0;
      if (ends || at === data.length) this.tell(data.subarray(from, at), ends);
    }
  }

  /** To the end of a reply, or of the data. */
  private advance(data: Buffer, start: number): number {
    let at = start;
    do {
      if (this.bytesLeft > 0) {
        const passed = Math.min(this.bytesLeft, data.length - at);
        this.bytesLeft -= passed;
        at += passed;
        if (this.bytesLeft === 0) this.due--;
      } else at = this.line(data, at);
    } while (at < data.length && this.due > 0 && !this.invalid);
    return at;
  }

  private line(data: Buffer, start: number): number {
    let at = start;
    if (this.type === 0) {
      if (this.due === 0) this.due = 1;
      this.type = data[at++];
      this.number = 0;
      this.isNegative = false;
    }
    const isCounted = '$=!*~>%'.includes(String.fromCharCode(this.type));
    if (!isCounted) {
      if (!'+-:_#,('.includes(String.fromCharCode(this.type))) this.invalid = true;
      const end = data.indexOf(LF, at);
      if (end === -1) return data.length;
      this.type = 0;
      this.due--;
      return end + 1;
    }
    for (; at < data.length; at++) {
      const byte = data[at];
      if (byte === LF) {
        this.counted();
        return at + 1;
      }
      if (byte === MINUS) this.isNegative = true;
      else if (byte >= 0x30 && byte <= 0x39) this.number = this.number * 10 + byte - 0x30;
      else if (byte !== CR) this.invalid = true;
    }
    return at;
  }

  /** The line of a bulk or an aggregate has ended. */
  private counted(): void {
    const type = String.fromCharCode(this.type);
    this.type = 0;
    if (!'$=!'.includes(type)) {
      this.due--;
      if (!this.isNegative) this.due += type === '%' ? 2 * this.number : this.number;
    } else if (this.isNegative) this.due--;
    else this.bytesLeft = this.number + 2;
  }

  private tell(bytes: Buffer, ends: boolean): void {
    const isFirst = !this.begun;
    this.begun = !ends;
    if (this.error.length > 0 || (isFirst && bytes[0] === MINUS)) {
      this.error.push(bytes);
      if (!ends) return;
      const whole = Buffer.concat(this.error);
      this.error = [];
      this.pieces.piece(whole, true);
    } else this.pieces.piece(bytes, ends);
  }
}
