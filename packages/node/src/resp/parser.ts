/** Finds every complete command in a receive buffer at once.
 *
 *  The result is flat Int32Arrays, reused for every batch of a worker: no object, string or closure
 *  per command. Argument k of the whole batch is `args[2k]` (start) and `args[2k + 1]` (bytes);
 *  command i has `argCounts[i]` of them from index `firstArgs[i]` and ends before byte `ends[i]`.
 *
 *  Two things leave the flat path, each as a batch of its own:
 *  - an inline command, whose words are unquoted into `inlineBuffer` (the receive buffer stays as
 *    it came, so bytes that could not be executed yet are simply parsed again);
 *  - a command of many arguments that is still arriving: a LongCommand of its connection collects
 *    it, so that a client that sends byte by byte costs time linear in what it sends.
 *
 *  A command with an argument that is longer than any value may be is passed over as it arrives, without
 *  being kept; `skipped` says so when it ends.
 *
 *  Memory: nothing is allocated from a declared length, only from bytes that are there.
 *  Errors are Redis' texts. Commands before the error stand; nothing after it is looked at. */

import { Buffer } from 'node:buffer';
import { splitInline } from './inline.ts';
import {
  ARGUMENTS_UNKNOWN_MAX,
  BULK_BYTES_UNKNOWN_MAX,
  LINE_BYTES_MAX,
  type ParserLimits,
} from './limits.ts';

const CR = 0x0d;
const LF = 0x0a;
const STAR = 0x2a;
const DOLLAR = 0x24;

/** As little-endian words: CRLF, and what `<type>n\r\n` and `$nn\r` are but for their digits. */
const CRLF_WORD = 0x0a0d;
const ONE_DIGIT = 0x0a0d0000;
const ONE_DIGIT_MASK = 0xffff00ff | 0;
const TWO_DIGITS = 0x0d000000 | DOLLAR;
const TWO_DIGITS_MASK = 0xff0000ff | 0;

/** Commands of one batch. More than this gains nothing and holds the event loop longer. */
export const BATCH_COMMANDS_MAX = 1024;

const ARGS_INITIAL = 4096;
/** An unfinished command with this many arguments continues as a LongCommand. */
const LONG_ARGUMENTS_MIN = 64;

const LINE_DIGITS_MAX = 15;

/** readLine outcomes below zero. */
const INCOMPLETE = -1;
const INVALID = -2;

/** A command of many arguments in the making; its starts are relative to its first byte. */
export class LongCommand {
  args: Int32Array = new Int32Array(0);
  argsWanted = 0;
  argsDone = 0;
  /** Parsed up to here, from the command's first byte on. */
  at = 0;
}

/** A command that is skipped as it arrives, because one of its arguments is too long to keep. */
export class SkippedCommand {
  argsLeft: number;
  /** Of the argument that is being skipped, with its CRLF; 0 = its header comes next. */
  bytesLeft = 0;
  /** Length of the first argument that is too long. */
  readonly tooLong: number;

  constructor(argsLeft: number, tooLong: number) {
    this.argsLeft = argsLeft;
    this.tooLong = tooLong;
  }
}

/** A command that the next call goes on with. */
export type Unfinished = LongCommand | SkippedCommand;

/** Rows of serving/limits.ts. */
export type ParserLimit = 'arguments' | 'bulk' | 'line' | 'unauthenticatedCommand';

export class Parser {
  /** What the batch's arguments lie in: the receive buffer, or `inlineBuffer`. */
  buffer: Buffer = Buffer.alloc(0);
  /** The same bytes, for words that begin anywhere: one load where four bytes would be four. */
  view: DataView = new DataView(this.buffer.buffer, 0, 0);
  commands = 0;
  firstArgs: Int32Array = new Int32Array(BATCH_COMMANDS_MAX);
  argCounts: Int32Array = new Int32Array(BATCH_COMMANDS_MAX);
  /** Where to go on, had everything up to and including command i been executed. */
  ends: Int32Array = new Int32Array(BATCH_COMMANDS_MAX);
  args: Int32Array;
  /** Consumed by the batch as a whole: the end of the last command or of skipped empty lines. */
  consumed = 0;
  /** The protocol error that follows the batch's commands, or null. */
  error: string | null = null;
  /** The limit that it is about, if it is about one. */
  broken: ParserLimit | null = null;
  /** Set when the bytes end within a command of many arguments, or one that is skipped: pass it to
   *  the next call. */
  long: Unfinished | null = null;
  /** A command ends here that was skipped: the length of its argument that is too long; else 0. */
  skipped = 0;
  /** Where the bulk that is still arriving will end, from the first byte of its command on; 0: nobody
   *  knows. */
  wanted = 0;

  private readonly limits: ParserLimits;
  private commandsMax = BATCH_COMMANDS_MAX;
  private argumentsMax: number;
  private bulkBytesMax: number;
  private readonly valueBytesMax: number;
  private readonly flatArgs: Int32Array = new Int32Array(ARGS_INITIAL * 2);
  private readonly inlineBuffer: Buffer = Buffer.alloc(LINE_BYTES_MAX);
  private readonly inlineView: DataView = viewOf(this.inlineBuffer);
  /** The latest buffer that was parsed, mostly the worker's own, and its view. */
  private viewed: Buffer = this.buffer;
  private viewedView: DataView = this.view;
  private argCount = 0;
  /** The number of the line that readLine accepted last. */
  private lineValue = 0;

  constructor(limits: ParserLimits) {
    this.limits = limits;
    this.valueBytesMax = Math.max(limits.valueBytesMax ?? limits.maxBulkBytes, LINE_BYTES_MAX);
    this.args = this.flatArgs;
    this.argumentsMax = limits.maxArguments;
    this.bulkBytesMax = limits.maxBulkBytes;
  }

  /** The commands are words of a line: `buffer` has copies of them, not what was received. */
  get isInline(): boolean {
    return this.buffer !== this.viewed;
  }

  /** For bytes of a client that has not said who it is: one command a time, and a small one. */
  restrict(unknown: boolean): void {
    const { maxArguments, maxBulkBytes } = this.limits;
    this.commandsMax = unknown ? 1 : BATCH_COMMANDS_MAX;
    this.argumentsMax = unknown ? ARGUMENTS_UNKNOWN_MAX : maxArguments;
    this.bulkBytesMax = unknown ? BULK_BYTES_UNKNOWN_MAX : maxBulkBytes;
  }

  /** Parses bytes [start, end). `long` is what the previous call left for the same connection, and
   *  start is then the first byte of that command. */
  parse(buffer: Buffer, start: number, end: number, long: Unfinished | null): void {
    if (buffer !== this.viewed) {
      this.viewed = buffer;
      this.viewedView = viewOf(buffer);
    }
    this.buffer = buffer;
    this.view = this.viewedView;
    this.commands = 0;
    this.argCount = 0;
    this.consumed = start;
    this.error = null;
    this.broken = null;
    this.long = null;
    this.skipped = 0;
    this.wanted = 0;
    this.args = this.flatArgs;
    if (long instanceof SkippedCommand) {
      this.skip(long, start, end);
      return;
    }
    if (long !== null) {
      this.continueLong(long, start, end);
      return;
    }
    let at = start;
    while (at < end && this.commands < this.commandsMax) {
      if (buffer[at] !== STAR) {
        if (this.commands === 0) this.parseInline(at, end);
        return;
      }
      at = this.parseMultiBulk(at, end);
      if (at < 0) return;
      this.consumed = at;
    }
  }

  /** Adds the commands of bytes [start, end), of the same buffer, to those of the latest call, if these bytes are whole
   *  commands and nothing else. False: nothing was added. */
  add(start: number, end: number): boolean {
    const { commands, argCount, buffer } = this;
    let at = start;
    while (at >= 0 && at < end && this.commands < this.commandsMax && buffer[at] === STAR) {
      at = this.parseMultiBulk(at, end);
    }
    if (at === end) {
      this.consumed = end;
      return true;
    }
    this.commands = commands;
    this.argCount = argCount;
    this.error = null;
    this.broken = null;
    this.long = null;
    this.skipped = 0;
    this.wanted = 0;
    return false;
  }

  /** One `*n` command from `at`: where the next one starts, or INCOMPLETE or INVALID. */
  private parseMultiBulk(at: number, end: number): number {
    const buffer = this.buffer;
    const view = this.view;
    let count = at + 4 <= end ? oneDigit(view.getInt32(at, true), STAR) : -1;
    let next = at + 4;
    if (count < 0) {
      next = this.readLine(at + 1, end, 'invalid multibulk length');
      if (next < 0) return next;
      count = this.lineValue;
    }
    if (count > this.argumentsMax) {
      if (count <= this.limits.maxArguments) return this.failUnknown('multibulk length');
      this.fail('invalid multibulk length');
      return this.limit('arguments');
    }
    if (count <= 0) return next;

    const firstArg = this.argCount;
    let args = this.args;
    for (let i = 0; i < count; i++) {
      const cell = (firstArg + i) << 1;
      if (cell === args.length) args = this.growArgs();
      // The common header `$n\r\n` with one or two digits, read without a call.
      const header = next + 5 < end ? view.getInt32(next, true) : 0;
      let bytes = oneDigit(header, DOLLAR);
      if (bytes >= 0) {
        next += 4;
      } else {
        bytes = twoDigits(header);
        if (bytes >= 0 && buffer[next + 4] === LF) {
          next += 5;
        } else {
          next = this.bulkHeader(next, end);
          bytes = this.lineValue;
        }
      }
      if (next < 0 || next + bytes + 2 > end) {
        if (next === INVALID) return INVALID;
        if (next > 0 && bytes > this.valueBytesMax) {
          // In a batch of its own: what comes before it is executed first.
          if (this.commands === 0) this.beginSkip(count - i, bytes, next, end);
          return INCOMPLETE;
        }
        if (next > 0) this.wanted = next + bytes + 2 - at;
        if (i >= LONG_ARGUMENTS_MIN) this.beginLong(at, count);
        return INCOMPLETE;
      }
      args[cell] = next;
      args[cell + 1] = bytes;
      next += bytes;
      if (view.getUint16(next, true) !== CRLF_WORD) {
        return this.fail('expected CRLF after a bulk');
      }
      next += 2;
    }
    this.argCount = firstArg + count;
    this.addCommand(firstArg, count, next);
    return next;
  }

  /** The `$n` line at `at`: where its payload starts (`lineValue` long), or INCOMPLETE, INVALID. */
  private bulkHeader(at: number, end: number): number {
    if (at >= end) return INCOMPLETE;
    const type = this.buffer[at];
    if (type !== DOLLAR) {
      return this.fail(`expected '$', got '${String.fromCharCode(type)}'`);
    }
    const next = this.readLine(at + 1, end, 'invalid bulk length');
    if (next < 0) return next;
    if (this.lineValue < 0) return this.fail('invalid bulk length');
    if (this.lineValue > this.limits.maxBulkBytes) {
      this.fail('invalid bulk length');
      return this.limit('bulk');
    }
    if (this.lineValue > this.bulkBytesMax) return this.failUnknown('bulk length');
    return next;
  }

  /** Reads `<integer>\r\n` from `at` into lineValue: the position after it, or below zero. */
  private readLine(at: number, end: number, invalid: string): number {
    const buffer = this.buffer;
    let i = at;
    const negative = i < end && buffer[i] === 0x2d;
    if (negative) i++;
    const digitsAt = i;
    let value = 0;
    // More digits than a double keeps exactly is invalid whatever they say, and bounds the line.
    for (; i < end; i++) {
      const digit = buffer[i] - 0x30;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
      if (i - digitsAt >= LINE_DIGITS_MAX) return this.fail(invalid);
    }
    if (i >= end) return INCOMPLETE;
    if (i === digitsAt || buffer[i] !== CR) return this.fail(invalid);
    if (buffer[digitsAt] === 0x30 && (negative || i - digitsAt > 1)) return this.fail(invalid);
    if (i + 1 >= end) return INCOMPLETE;
    if (buffer[i + 1] !== LF) return this.fail(invalid);
    this.lineValue = negative ? -value : value;
    return i + 2;
  }

  /** Words of one line, as a batch of one. Empty lines before it are skipped. */
  private parseInline(start: number, end: number): void {
    const buffer = this.buffer;
    let at = start;
    while (at < end && buffer[at] !== STAR) {
      const lineEnd = buffer.indexOf(LF, at);
      if (lineEnd === -1 || lineEnd >= end) {
        if (end - at > LINE_BYTES_MAX) this.failLine();
        return;
      }
      if (lineEnd - at > LINE_BYTES_MAX) {
        this.failLine();
        return;
      }
      const words = splitInline(buffer, at, lineEnd, this.inlineBuffer);
      if (words === null) {
        this.fail('unbalanced quotes in request');
        return;
      }
      at = lineEnd + 1;
      this.consumed = at;
      if (words.length > 0) {
        this.buffer = this.inlineBuffer;
        this.view = this.inlineView;
        this.args = words;
        this.addCommand(0, words.length >> 1, at);
        return;
      }
    }
  }

  private addCommand(firstArg: number, count: number, end: number): void {
    const i = this.commands++;
    this.firstArgs[i] = firstArg;
    this.argCounts[i] = count;
    this.ends[i] = end;
  }

  private fail(text: string): typeof INVALID {
    this.error = `ERR Protocol error: ${text}`;
    return INVALID;
  }

  private failLine(): void {
    this.fail('too big inline request');
    this.limit('line');
  }

  /** Whoever has said the password may do so. */
  private failUnknown(what: string): typeof INVALID {
    this.fail(`unauthenticated ${what}`);
    return this.limit('unauthenticatedCommand');
  }

  private limit(broken: ParserLimit): typeof INVALID {
    this.broken = broken;
    return INVALID;
  }

  private growArgs(): Int32Array {
    const larger = new Int32Array(this.args.length * 2);
    larger.set(this.args);
    this.args = larger;
    return larger;
  }

  private beginLong(start: number, count: number): void {
    const long = new LongCommand();
    long.argsWanted = count;
    this.long = long;
    long.at = this.buffer.indexOf(LF, start) + 1 - start;
  }

  /** The argument whose payload is at `next`, and all that follow, are passed over. */
  private beginSkip(argsLeft: number, bytes: number, next: number, end: number): void {
    const skipped = new SkippedCommand(argsLeft, bytes);
    skipped.bytesLeft = bytes + 2;
    this.skip(skipped, next, end);
  }

  private skip(skipped: SkippedCommand, start: number, end: number): void {
    let at = start;
    while (skipped.argsLeft > 0) {
      if (skipped.bytesLeft === 0) {
        const next = this.bulkHeader(at, end);
        if (next === INVALID) return;
        if (next < 0) break;
        at = next;
        skipped.bytesLeft = this.lineValue + 2;
      }
      const passed = Math.min(skipped.bytesLeft - 2, end - at);
      at += passed;
      skipped.bytesLeft -= passed;
      if (skipped.bytesLeft > 2 || at + 2 > end) break;
      if (this.buffer[at] !== CR || this.buffer[at + 1] !== LF) {
        this.fail('expected CRLF after a bulk');
        return;
      }
      at += 2;
      skipped.bytesLeft = 0;
      skipped.argsLeft--;
    }
    this.consumed = at;
    if (skipped.argsLeft === 0) this.skipped = skipped.tooLong;
    else this.long = skipped;
  }

  /** Takes a LongCommand as far as the bytes go; complete, it is the whole batch. */
  private continueLong(long: LongCommand, start: number, end: number): void {
    let next = start + long.at;
    while (long.argsDone < long.argsWanted) {
      next = this.bulkHeader(next, end);
      const bytes = this.lineValue;
      if (next === INVALID) return;
      if (next > 0 && bytes > this.valueBytesMax) {
        this.beginSkip(long.argsWanted - long.argsDone, bytes, next, end);
        return;
      }
      if (next < 0 || next + bytes + 2 > end) break;
      if (this.buffer[next + bytes] !== CR || this.buffer[next + bytes + 1] !== LF) {
        this.fail('expected CRLF after a bulk');
        return;
      }
      if (long.argsDone * 2 === long.args.length) {
        const larger = new Int32Array(Math.max(ARGS_INITIAL, long.args.length * 2));
        larger.set(long.args);
        long.args = larger;
      }
      long.args[long.argsDone * 2] = next - start;
      long.args[long.argsDone * 2 + 1] = bytes;
      long.argsDone++;
      next += bytes + 2;
      long.at = next - start;
    }
    if (long.argsDone < long.argsWanted) {
      this.long = long;
      return;
    }
    for (let i = 0; i < long.argsDone; i++) long.args[i * 2] += start;
    this.args = long.args;
    this.addCommand(0, long.argsDone, next);
    this.consumed = next;
  }
}

function viewOf(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
}

/** The number n where the word is `<type>n\r\n`, else -1. */
function oneDigit(word: number, type: number): number {
  const digit = ((word >>> 8) & 0xff) - 0x30;
  return (word & ONE_DIGIT_MASK) === (ONE_DIGIT | type) && digit >= 0 && digit <= 9 ? digit : -1;
}

/** The number nn where the word is `$nn\r`, else -1: one that begins with 0 is no such. */
function twoDigits(word: number): number {
  const tens = ((word >>> 8) & 0xff) - 0x30;
  const ones = ((word >>> 16) & 0xff) - 0x30;
  const isNumber = tens >= 1 && tens <= 9 && ones >= 0 && ones <= 9;
  return (word & TWO_DIGITS_MASK) === TWO_DIGITS && isNumber ? tens * 10 + ones : -1;
}
