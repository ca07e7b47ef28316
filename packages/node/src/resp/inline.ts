/** Inline commands: a line of words, quoted as redis-cli and telnet users do.
 *  Rules are those of Redis' sdssplitargs: blanks separate; "..." knows \n \r \t \b \a \xHH and
 *  \any; '...' knows \' only; a closing quote ends its word and must be followed by a blank. */

import type { Buffer } from 'node:buffer';

const BACKSLASH = 0x5c;
const DOUBLE = 0x22;
const SINGLE = 0x27;

const ESCAPES: Readonly<Record<string, number>> = { n: 0x0a, r: 0x0d, t: 0x09, b: 0x08, a: 0x07 };

/** Unquotes the line [start, end) of `source` into `target` from offset 0. Returns (start, bytes)
 *  pairs of the words, or null when a quote is left open or followed by something. A word is never
 *  longer than its quoted form, so `target` needs room for the line only. */
export function splitInline(
  source: Buffer,
  start: number,
  end: number,
  target: Buffer,
): Int32Array | null {
  const words: number[] = [];
  let out = 0;
  let at = start;
  for (;;) {
    while (at < end && isBlank(source[at])) at++;
    if (at >= end || source[at] === 0) return Int32Array.from(words);
    const wordAt = out;
    let quote = 0;
    for (;;) {
      if (at >= end || source[at] === 0) {
        if (quote !== 0) return null;
        break;
      }
      const byte = source[at];
      if (quote === 0) {
        if (isBlank(byte)) break;
        if (byte === DOUBLE || byte === SINGLE) quote = byte;
        else target[out++] = byte;
        at++;
      } else if (byte === quote) {
        at++;
        if (at < end && source[at] !== 0 && !isBlank(source[at])) return null;
        break;
      } else if (byte === BACKSLASH && quote === DOUBLE && at + 1 < end && source[at + 1] !== 0) {
        const hex = hexByte(source, at, end);
        target[out++] = hex >= 0 ? hex : escaped(source[at + 1]);
        at += hex >= 0 ? 4 : 2;
      } else if (byte === BACKSLASH && source[at + 1] === SINGLE && at + 1 < end) {
        target[out++] = SINGLE;
        at += 2;
      } else {
        target[out++] = byte;
        at++;
      }
    }
    words.push(wordAt, out - wordAt);
  }
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}

function escaped(byte: number): number {
  return ESCAPES[String.fromCharCode(byte)] ?? byte;
}

/** The byte of `\xHH` at `at`, or -1. */
function hexByte(source: Buffer, at: number, end: number): number {
  if (at + 3 >= end || source[at + 1] !== 0x78) return -1;
  const high = hexDigit(source[at + 2]);
  const low = hexDigit(source[at + 3]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
