/** One whole reply of a server, RESP2, as a value. For programs that ask servers; nodes pass replies on as they are. */
import { Buffer } from 'node:buffer';

/** An error reply: a value like others, since one command of a pipeline may fail alone. */
export class ReplyError {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type ReplyValue = string | number | Buffer | null | ReplyError | readonly ReplyValue[];

const LF = 0x0a;

/** `bytes[start..end)` is one whole reply, as ReplyScanner finds it. Bulk strings are copies. */
export function replyValue(bytes: Buffer, start: number, end: number): ReplyValue {
  return new Reading(bytes, start, end).next();
}

class Reading {
  readonly #bytes: Buffer;
  readonly #end: number;
  #at: number;

  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  next(): ReplyValue {
    const type = String.fromCharCode(this.#bytes[this.#at]);
    const lineEnd = this.#bytes.indexOf(LF, this.#at);
    const line = this.#bytes.toString('latin1', this.#at + 1, lineEnd - 1);
    this.#at = Math.min(lineEnd + 1, this.#end);
    switch (type) {
      case '+':
        return line;
      case '-':
        return new ReplyError(line);
      case ':':
        return Number(line);
      case '$':
        return this.#bulk(Number(line));
      case '*':
        return this.#array(Number(line));
    }
    return new ReplyError(`ERR a reply of type "${type}" was not asked for`);
  }

  #bulk(length: number): Buffer | null {
    if (length < 0) return null;
    const value = Buffer.from(this.#bytes.subarray(this.#at, this.#at + length));
    this.#at += length + 2;
    return value;
  }

  #array(length: number): readonly ReplyValue[] | null {
    if (length < 0) return null;
    const values: ReplyValue[] = [];
    for (let i = 0; i < length; i++) values.push(this.next());
    return values;
  }
}
