/** The protocol by the letter, for comparing the parser with: one pass over all bytes at once, no tables, no state, no
 *  shortcuts. The rules are those of redis-server 7.0 (processInlineBuffer, processMultibulkBuffer, string2ll,
 *  sdssplitargs), and where ours are narrower the vectors say so. */
import type { Buffer } from 'node:buffer';
import {
  ARGUMENTS_UNKNOWN_MAX,
  BULK_BYTES_UNKNOWN_MAX,
  LINE_BYTES_MAX,
  type ParserLimits,
} from '../../packages/node/src/resp/limits.ts';
import { type Outcome, shortened } from './outcome.ts';

/** As string2ll takes them, and short enough to be safe integers. */
const INTEGER = /^(0|-?[1-9][0-9]{0,14})$/;
/** The beginning of one; what is wrong with its zeros shows at its CR. */
const MAY_BECOME_INTEGER = /^(-?[0-9]{0,15}|(0|-?[1-9][0-9]{0,14})\r)$/;
const BLANKS = new Set(' \t\n\v\f\r');
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', a: '\x07' };

/** Ends the reading. */
class Stop extends Error {
  readonly protocolError: string | null;
  constructor(protocolError: string | null) {
    super(protocolError ?? 'more is needed');
    this.protocolError = protocolError;
  }
}

const more = (): Stop => new Stop(null);

export interface Rules {
  readonly limits: ParserLimits;
  readonly unknown: boolean;
}

export function referenceOf(bytes: Buffer, { limits, unknown }: Rules): Outcome {
  const text = bytes.toString('latin1');
  const valueBytesMax = limits.valueBytesMax ?? limits.maxBulkBytes;
  const commands: (readonly string[])[] = [];
  let at = 0;

  const readInteger = (invalid: string): number => {
    const end = text.indexOf('\r\n', at);
    const line = text.slice(at, end < 0 ? undefined : end);
    if (end >= 0 && INTEGER.test(line)) {
      at = end + 2;
      return Number(line);
    }
    throw end < 0 && MAY_BECOME_INTEGER.test(line) ? more() : new Stop(invalid);
  };

  const readBulk = (): string => {
    if (at >= text.length) throw more();
    const type = text[at++];
    if (type !== '$') throw new Stop(`expected '$', got '${type}'`);
    const length = readInteger('invalid bulk length');
    if (length < 0 || length > limits.maxBulkBytes) throw new Stop('invalid bulk length');
    if (unknown && length > BULK_BYTES_UNKNOWN_MAX) throw new Stop('unauthenticated bulk length');
    const end = at + length;
    if (end + 2 > text.length) throw more();
    if (text.slice(end, end + 2) !== '\r\n') throw new Stop('expected CRLF after a bulk');
    const word = text.slice(at, end);
    at = end + 2;
    return word;
  };

  const readArray = (): string[] => {
    at++;
    const count = readInteger('invalid multibulk length');
    if (count > limits.maxArguments) throw new Stop('invalid multibulk length');
    if (unknown && count > ARGUMENTS_UNKNOWN_MAX)
      throw new Stop('unauthenticated multibulk length');
    const words: string[] = [];
    for (let i = 0; i < count; i++) words.push(readBulk());
    return words;
  };

  const readLine = (): string[] => {
    const end = text.indexOf('\n', at);
    const bytesSoFar = (end < 0 ? text.length : end) - at;
    if (bytesSoFar > LINE_BYTES_MAX) throw new Stop('too big inline request');
    if (end < 0) throw more();
    const words = wordsOf(text.slice(at, end));
    if (words === null) throw new Stop('unbalanced quotes in request');
    at = end + 1;
    return words;
  };

  while (at < text.length) {
    try {
      const words = text[at] === '*' ? readArray() : readLine();
      if (words.length > 0) commands.push(shortened(words, valueBytesMax));
    } catch (error) {
      if (!(error instanceof Stop)) throw error;
      const { protocolError } = error;
      if (protocolError === null) return { commands, error: null, waits: true };
      return { commands, error: `ERR Protocol error: ${protocolError}`, waits: false };
    }
  }
  return { commands, error: null, waits: false };
}

/** The words of a line, or null where its quotes make no sense. */
function wordsOf(whole: string): string[] | null {
  const line = whole.split('\0', 1)[0];
  const words: string[] = [];
  let at = 0;
  for (;;) {
    while (BLANKS.has(line[at])) at++;
    if (at >= line.length) return words;
    let word = '';
    while (at < line.length && !BLANKS.has(line[at])) {
      const quote = line[at];
      if (quote !== '"' && quote !== "'") {
        word += line[at++];
        continue;
      }
      const quoted = quote === '"' ? doubleQuoted(line, at) : singleQuoted(line, at);
      if (quoted === null) return null;
      word += quoted.text;
      at = quoted.end;
      if (at < line.length && !BLANKS.has(line[at])) return null;
    }
    words.push(word);
  }
}

interface Quoted {
  readonly text: string;
  readonly end: number;
}

function doubleQuoted(line: string, start: number): Quoted | null {
  let text = '';
  for (let at = start + 1; at < line.length; at++) {
    const character = line[at];
    if (character === '"') return { text, end: at + 1 };
    const hex = /^\\x([0-9a-fA-F]{2})/.exec(line.slice(at, at + 4))?.[1];
    if (hex !== undefined) {
      text += String.fromCharCode(Number.parseInt(hex, 16));
      at += 3;
    } else if (character === '\\' && at + 1 < line.length) {
      at++;
      text += ESCAPES[line[at]] ?? line[at];
    } else text += character;
  }
  return null;
}

function singleQuoted(line: string, start: number): Quoted | null {
  let text = '';
  for (let at = start + 1; at < line.length; at++) {
    if (line[at] === "'") return { text, end: at + 1 };
    if (line.startsWith("\\'", at)) at++;
    text += line[at];
  }
  return null;
}
