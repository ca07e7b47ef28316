/** Feeds a parser the way a connection does, however the bytes are cut, and holds it to its rules at each call: it throws
 *  nothing, looks at nothing outside of what it was given, goes forward only, and does not begin a long command anew. */
import { Buffer } from 'node:buffer';
import { LINE_BYTES_MAX, type ParserLimits } from '../../packages/node/src/resp/limits.ts';
import {
  BATCH_COMMANDS_MAX,
  Parser,
  SkippedCommand,
  type Unfinished,
} from '../../packages/node/src/resp/parser.ts';
import { type Outcome, shortened, tooLong } from './outcome.ts';

/** What lies around the bytes that the parser may look at: read, it would make commands of its own. */
const AROUND = Buffer.from('\r\n$1\r\nz\r\n*1\r\n$4\r\nEVIL\r\n');
/** An unfinished command with more arguments goes on where it was. */
const REPEATED_ARGUMENTS_MAX = 65;

const LF = 0x0a;
const STAR = 0x2a;

export class RuleBroken extends Error {}

function rule(holds: boolean, text: string): asserts holds {
  if (!holds) throw new RuleBroken(text);
}

export interface Feeding {
  readonly limits: ParserLimits;
  readonly unknown: boolean;
}

/** Where `bytes` is cut: ends of pieces, the last of them its length. */
export type Cuts = readonly number[];

export function whole(bytes: Buffer): Cuts {
  return [bytes.length];
}

export function byteByByte(bytes: Buffer): Cuts {
  return Array.from({ length: bytes.length }, (_, i) => i + 1);
}

/** Many small pieces here, few long ones there. */
export function cutAtRandom(bytes: Buffer, random: () => number, piecesMax = 1_000): Cuts {
  const cuts: number[] = [];
  let at = 0;
  const longest = Math.max(1, bytes.length * random());
  while (at < bytes.length) {
    const left = bytes.length - at;
    const piece = 1 + Math.floor(random() ** 3 * Math.min(longest, left));
    at += cuts.length < piecesMax ? Math.min(piece, left) : left;
    cuts.push(at);
  }
  return cuts;
}

/** One parser, used for one stream after the other, as a worker does. */
export class Feeder {
  readonly #parser: Parser;
  readonly #feeding: Feeding;
  #commands: (readonly string[])[] = [];
  #error: string | null = null;
  /** What is not consumed, with something around it. */
  #room: Buffer = Buffer.alloc(0);
  #long: Unfinished | null = null;

  constructor(feeding: Feeding) {
    this.#feeding = feeding;
    this.#parser = new Parser(feeding.limits);
    this.#parser.restrict(feeding.unknown);
  }

  feed(bytes: Buffer, cuts: Cuts): Outcome {
    this.#commands = [];
    this.#error = null;
    this.#long = null;
    let consumed = 0;
    let from = 0;
    for (const end of cuts) {
      // Of a command that is skipped nothing is kept.
      if (this.#isSkipping) rule(from - consumed < 32, 'a skip keeps bytes');
      consumed = this.#take(bytes, consumed, end);
      if (this.#error !== null) break;
      from = end;
    }
    const waits = this.#error === null && (consumed < bytes.length || this.#long !== null);
    return { commands: this.#commands, error: this.#error, waits };
  }

  /** All calls for what is there up to `end`. */
  #take(bytes: Buffer, from: number, end: number): number {
    const held = end - from;
    const before = AROUND.length;
    const needed = held + before * 2;
    if (this.#room.length < needed) this.#room = Buffer.alloc(needed * 2);
    const room = this.#room;
    AROUND.copy(room, 0);
    bytes.copy(room, before, from, end);
    AROUND.copy(room, before + held);
    let start = before;
    for (;;) {
      const next = this.#parse(start, before + held);
      if (this.#error !== null || next === start) break;
      start = next;
    }
    return from + start - before;
  }

  #parse(start: number, end: number): number {
    const parser = this.#parser;
    parser.parse(this.#room, start, end, this.#long);
    const { consumed, commands } = parser;
    this.#long = parser.long;
    rule(consumed >= start && consumed <= end, `consumed ${consumed - start} of ${end - start}`);
    rule(commands <= BATCH_COMMANDS_MAX, `${commands} commands in a batch`);
    rule(parser.skipped === 0 || commands === 0, 'a skipped command beside others');
    let last = start;
    for (let i = 0; i < commands; i++) {
      const commandEnd = parser.ends[i];
      rule(commandEnd > last && commandEnd <= consumed, `command ${i} ends before it begins`);
      last = commandEnd;
      this.#commands.push(shortened(this.#words(i, start, end), this.#valueBytesMax));
    }
    if (parser.skipped > 0) this.#commands.push(tooLong(parser.skipped));
    if (parser.error !== null) this.#error = parser.error;
    else if (consumed === start) this.#checkUnfinished(start, end);
    return consumed;
  }

  get #isSkipping(): boolean {
    return this.#long instanceof SkippedCommand;
  }

  get #valueBytesMax(): number {
    const { limits } = this.#feeding;
    return limits.valueBytesMax ?? limits.maxBulkBytes;
  }

  #words(i: number, start: number, end: number): string[] {
    const { buffer, args, firstArgs, argCounts } = this.#parser;
    const count = argCounts[i];
    rule(count > 0 && count <= this.#feeding.limits.maxArguments, `${count} arguments`);
    const isInline = buffer !== this.#room;
    const [low, high] = isInline ? [0, LINE_BYTES_MAX] : [start, end];
    const words: string[] = [];
    for (let k = firstArgs[i]; k < firstArgs[i] + count; k++) {
      const [at, bytes] = [args[k * 2], args[k * 2 + 1]];
      rule(bytes >= 0 && at >= low && at + bytes <= high, `an argument at ${at}, ${bytes} long`);
      words.push(buffer.toString('latin1', at, at + bytes));
    }
    return words;
  }

  /** What came of a command is not looked at again for each piece that comes. */
  #checkUnfinished(start: number, end: number): void {
    const room = this.#room;
    if (this.#long !== null || room[start] !== STAR) return;
    let args = 0;
    for (let at = room.indexOf(LF, start) + 1; at > 0 && at < end; args++) {
      const line = room.indexOf(LF, at);
      if (line < 0 || line >= end) break;
      const next = line + 3 + Number(room.toString('latin1', at + 1, line - 1));
      if (!(next <= end)) break;
      at = next;
    }
    rule(args <= REPEATED_ARGUMENTS_MAX, `${args} arguments would be parsed once more`);
  }
}
