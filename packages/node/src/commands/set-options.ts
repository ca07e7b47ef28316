/** The options of SET and GETEX: rows of words, what each excludes, and what its argument means.
 *  Parsing fills one reused object, so that SET EX allocates nothing. */

import type { Args } from '../resp/args.ts';
import { invalidExpireTime, NOT_AN_INTEGER } from './errors.ts';
import {
  absoluteMs,
  MS_FROM_NOW,
  SECONDS_FROM_NOW,
  type TimeUnit,
  UNIX_MS,
  UNIX_SECONDS,
} from './expiry-times.ts';

export const OPTION_NX = 1;
export const OPTION_XX = 2;
export const OPTION_GET = 4;
export const OPTION_KEEPTTL = 8;
export const OPTION_PERSIST = 16;
export const OPTION_IFEQ = 512;
export const OPTION_IFNE = 1024;
export const OPTION_IFDEQ = 2048;
export const OPTION_IFDNE = 4096;
/** Each is about the value that was there. */
const CONDITIONS: number =
  OPTION_NX | OPTION_XX | OPTION_IFEQ | OPTION_IFNE | OPTION_IFDEQ | OPTION_IFDNE;
const OPTION_EX = 32;
const OPTION_PX = 64;
const OPTION_EXAT = 128;
const OPTION_PXAT = 256;
/** Every option that sets, keeps or drops the expiry: they exclude one another. */
const EXPIRY_OPTIONS =
  OPTION_KEEPTTL | OPTION_PERSIST | OPTION_EX | OPTION_PX | OPTION_EXAT | OPTION_PXAT;

interface OptionRow {
  readonly word: string;
  readonly bit: number;
  /** Options that may not stand beside it. */
  readonly excludes: number;
  /** Unit of the argument that follows; none when absent. */
  readonly time?: TimeUnit;
  /** A value, or a digest, follows, to be compared. */
  readonly compares?: true;
}

const NX: OptionRow = condition('NX', OPTION_NX);
const XX: OptionRow = condition('XX', OPTION_XX);
const IFEQ: OptionRow = { ...condition('IFEQ', OPTION_IFEQ), compares: true };
const IFNE: OptionRow = { ...condition('IFNE', OPTION_IFNE), compares: true };
const IFDEQ: OptionRow = { ...condition('IFDEQ', OPTION_IFDEQ), compares: true };
const IFDNE: OptionRow = { ...condition('IFDNE', OPTION_IFDNE), compares: true };
const GET: OptionRow = { word: 'GET', bit: OPTION_GET, excludes: 0 };
const KEEPTTL: OptionRow = expiryOption('KEEPTTL', OPTION_KEEPTTL);
const PERSIST: OptionRow = expiryOption('PERSIST', OPTION_PERSIST);
const TIMES: readonly OptionRow[] = [
  { ...expiryOption('EX', OPTION_EX), time: SECONDS_FROM_NOW },
  { ...expiryOption('PX', OPTION_PX), time: MS_FROM_NOW },
  { ...expiryOption('EXAT', OPTION_EXAT), time: UNIX_SECONDS },
  { ...expiryOption('PXAT', OPTION_PXAT), time: UNIX_MS },
];

export const SET_OPTIONS: readonly OptionRow[] = [
  ...[...TIMES, NX, XX, GET, KEEPTTL, IFEQ, IFNE, IFDEQ, IFDNE],
];
export const GETEX_OPTIONS: readonly OptionRow[] = [...TIMES, PERSIST];

function condition(word: string, bit: number): OptionRow {
  return { word, bit, excludes: CONDITIONS & ~bit };
}

function expiryOption(word: string, bit: number): OptionRow {
  return { word, bit, excludes: EXPIRY_OPTIONS & ~bit };
}

/** What was asked for. One object is reused for every command: read it before the next parse. */
export class WriteOptions {
  bits = 0;
  /** Unix ms, when one of EX PX EXAT PXAT was given and `settleTime` accepted it; else 0. */
  expiresAtMs = 0;
  /** The argument that IFEQ, IFNE, IFDEQ or IFDNE compares with. */
  comparedAt = 0;
  private unit: TimeUnit | undefined;
  private timeAt = 0;

  has(bit: number): boolean {
    return (this.bits & bit) !== 0;
  }

  /** Reads the words from argument `from` on; false where they are a syntax error. */
  parse(rows: readonly OptionRow[], args: Args, from: number): boolean {
    this.bits = 0;
    this.expiresAtMs = 0;
    this.unit = undefined;
    for (let i = from; i < args.count; i++) {
      const row = rowOf(rows, args, i);
      if (row === null || (this.bits & row.excludes) !== 0) return false;
      this.bits |= row.bit;
      if (row.compares === true) this.comparedAt = ++i;
      if (row.time !== undefined) {
        this.unit = row.time;
        this.timeAt = ++i;
      }
      if (i === args.count) return false;
    }
    return true;
  }

  /** Makes unix ms of the time that was given, if one was. Apart from `parse`, because GETEX looks
   *  at the key in between.
   *  @returns the error reply, or null. */
  settleTime(commandName: string, args: Args, nowMs: number): string | null {
    if (this.unit === undefined) return null;
    const time = args.rounded(this.timeAt);
    if (Number.isNaN(time)) return NOT_AN_INTEGER;
    this.expiresAtMs = absoluteMs(args, this.timeAt, time, this.unit, nowMs);
    return time > 0 && !Number.isNaN(this.expiresAtMs) ? null : invalidExpireTime(commandName);
  }
}

function rowOf(rows: readonly OptionRow[], args: Args, i: number): OptionRow | null {
  for (const row of rows) if (args.is(i, row.word)) return row;
  return null;
}
