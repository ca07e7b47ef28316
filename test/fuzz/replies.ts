/** Cuts a stream of replies apart and is strict about it: a byte that RESP2 and RESP3 do not have is a problem, so is a
 *  reply that ends in the middle. */
import type { Buffer } from 'node:buffer';

export interface Replies {
  readonly replies: readonly Buffer[];
  /** What is wrong behind them, or null. */
  readonly problem: string | null;
}

const LINES: Readonly<Record<string, RegExp>> = {
  '+': /^[^\r\n]*$/,
  '-': /^[^\r\n]+$/,
  ':': /^-?[0-9]+$/,
  _: /^$/,
  '#': /^[tf]$/,
  ',': /^(-?(inf|[0-9.]+(e[-+]?[0-9]+)?)|nan)$/,
  '(': /^-?[0-9]+$/,
};
/** Aggregates, and how many elements there are for each that is announced. */
const AGGREGATES: Readonly<Record<string, number>> = { '*': 1, '~': 1, '>': 1, '%': 2 };
const COUNT = /^(0|[1-9][0-9]*)$/;
const SHOWN_BYTES = 60;
const DEPTH_MAX = 32;

class Invalid extends Error {}

export function repliesOf(bytes: Buffer): Replies {
  const replies: Buffer[] = [];
  let at = 0;
  while (at < bytes.length) {
    let end = -1;
    try {
      end = endOfReply(bytes, at, 0);
    } catch (error) {
      if (!(error instanceof Invalid)) throw error;
      const shown = bytes.toString('latin1', at, at + SHOWN_BYTES);
      const problem = `${error.message} in reply ${replies.length}: ${JSON.stringify(shown)}`;
      return { replies, problem };
    }
    replies.push(bytes.subarray(at, end));
    at = end;
  }
  return { replies, problem: null };
}

function endOfReply(bytes: Buffer, at: number, depth: number): number {
  if (depth > DEPTH_MAX) throw new Invalid('too deep');
  if (at >= bytes.length) throw new Invalid('the end');
  const type = String.fromCharCode(bytes[at]);
  const lineEnd = bytes.indexOf('\r\n', at);
  if (lineEnd < 0) throw new Invalid('a line without an end');
  const line = bytes.toString('latin1', at + 1, lineEnd);
  const next = lineEnd + 2;
  const simple = LINES[type];
  if (simple !== undefined) {
    if (!simple.test(line)) throw new Invalid(`a ${type} that is none`);
    return next;
  }
  const isNil = line === '-1' && (type === '$' || type === '*');
  if (isNil) return next;
  if (!COUNT.test(line)) throw new Invalid('a length that is none');
  const count = Number(line);
  if (type === '$' || type === '=') {
    const end = next + count;
    if (bytes.toString('latin1', end, end + 2) !== '\r\n')
      throw new Invalid('a bulk of another length');
    return end + 2;
  }
  const perElement = AGGREGATES[type];
  if (perElement === undefined) throw new Invalid('an unknown type');
  let end = next;
  for (let i = 0; i < count * perElement; i++) end = endOfReply(bytes, end, depth + 1);
  return end;
}
