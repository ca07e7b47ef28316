/** EXPIRE and TTL in all their spellings, PERSIST, and TYPE: what a key is besides its value.
 *  Relative times count from `execution.nowMs`. A time that has passed deletes the key, as in
 *  Redis. */

import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Execution } from '../serving/execution.ts';
import { invalidExpireTime, NOT_AN_INTEGER, unsupportedOption } from './errors.ts';
import {
  absoluteMs,
  MS_FROM_NOW,
  SECONDS_FROM_NOW,
  type TimeUnit,
  UNIX_MS,
  UNIX_SECONDS,
} from './expiry-times.ts';
import { dropExpiry, expireAt, find, lookUp } from './records.ts';
import { type CommandRow, command, FIRST_KEY, type Run } from './row.ts';

const NX = 1;
const XX = 2;
const GT = 4;
const LT = 8;

/** Each condition, and when it lets the new time pass; `current` 0 = the key never expires. */
const CONDITIONS: readonly {
  readonly word: string;
  readonly bit: number;
  readonly holds: (current: number, next: number) => boolean;
}[] = [
  { word: 'NX', bit: NX, holds: (current) => current === 0 },
  { word: 'XX', bit: XX, holds: (current) => current !== 0 },
  { word: 'GT', bit: GT, holds: (current, next) => current !== 0 && next > current },
  { word: 'LT', bit: LT, holds: (current, next) => current === 0 || next < current },
];

const NX_NOT_ALONE = 'ERR NX and XX, GT or LT options at the same time are not compatible';
const GT_AND_LT = 'ERR GT and LT options at the same time are not compatible';

function conditionBit(args: Args, i: number): number {
  for (const { word, bit } of CONDITIONS) if (args.is(i, word)) return bit;
  return 0;
}

function expire(name: string, unit: TimeUnit): Run {
  return (execution, args, out) => {
    let bits = 0;
    for (let i = 3; i < args.count; i++) {
      const bit = conditionBit(args, i);
      if (bit === 0) return out.error(unsupportedOption(args, i));
      bits |= bit;
    }
    if ((bits & NX) !== 0 && bits !== NX) return out.error(NX_NOT_ALONE);
    if ((bits & GT) !== 0 && (bits & LT) !== 0) return out.error(GT_AND_LT);
    const time = args.rounded(2);
    if (Number.isNaN(time)) return out.error(NOT_AN_INTEGER);
    const expiresAtMs = absoluteMs(args, 2, time, unit, execution.nowMs);
    if (Number.isNaN(expiresAtMs)) return out.error(invalidExpireTime(name));

    const ref = find(execution, args, 1);
    if (ref === 0) return out.integer(0);
    const current = execution.partition.expiresAtMs(ref);
    for (const { bit, holds } of CONDITIONS) {
      if ((bits & bit) !== 0 && !holds(current, expiresAtMs)) return out.integer(0);
    }
    out.integer(expireAt(execution, args, 1, expiresAtMs));
  };
}

/** TTL and kin: -2 without the key, -1 without an expiry, else what `say` makes of it. */
function timeLeft(say: (expiresAtMs: number, nowMs: number) => number): Run {
  return (execution, args, out) => {
    const ref = lookUp(execution, args, 1);
    if (ref === 0) return out.integer(-2);
    const expiresAtMs = execution.partition.expiresAtMs(ref);
    out.integer(expiresAtMs === 0 ? -1 : say(expiresAtMs, execution.nowMs));
  };
}

/** To the nearest second, as Redis rounds. */
const seconds = (ms: number): number => Math.floor((ms + 500) / 1000);

const leftMs = (expiresAtMs: number, nowMs: number): number => Math.max(0, expiresAtMs - nowMs);

function persist(execution: Execution, args: Args, out: ReplyWriter): void {
  const ref = find(execution, args, 1);
  const expires = ref !== 0 && execution.partition.expiresAtMs(ref) !== 0;
  out.integer(expires ? dropExpiry(execution, args, 1) : 0);
}

function expireRow(name: string, unit: TimeUnit, summary: string): CommandRow {
  return command({
    name,
    arity: -3,
    kind: 'write',
    flags: ['write', 'fast'],
    group: 'generic',
    keys: FIRST_KEY,
    summary,
    run: expire(name, unit),
  });
}

function readRow(name: string, summary: string, run: Run): CommandRow {
  return command({
    name,
    arity: 2,
    kind: 'read',
    flags: ['readonly', 'fast'],
    group: 'generic',
    keys: FIRST_KEY,
    summary,
    run,
  });
}

export const EXPIRY_COMMANDS: readonly CommandRow[] = [
  expireRow('expire', SECONDS_FROM_NOW, 'Sets the expiry of a key in seconds from now.'),
  expireRow('pexpire', MS_FROM_NOW, 'Sets the expiry of a key in milliseconds from now.'),
  expireRow('expireat', UNIX_SECONDS, 'Sets the expiry of a key as Unix seconds.'),
  expireRow('pexpireat', UNIX_MS, 'Sets the expiry of a key as Unix milliseconds.'),
  readRow(
    'ttl',
    'Returns the seconds until a key expires.',
    timeLeft((atMs, nowMs) => seconds(leftMs(atMs, nowMs))),
  ),
  readRow('pttl', 'Returns the milliseconds until a key expires.', timeLeft(leftMs)),
  readRow('expiretime', 'Returns the Unix second at which a key expires.', timeLeft(seconds)),
  readRow(
    'pexpiretime',
    'Returns the Unix millisecond at which a key expires.',
    timeLeft((atMs) => atMs),
  ),
  command({
    name: 'persist',
    arity: 2,
    kind: 'write',
    flags: ['write', 'fast'],
    group: 'generic',
    keys: FIRST_KEY,
    summary: 'Removes the expiry of a key.',
    run: persist,
  }),
  readRow('type', 'Returns the type of a key: string or none.', (execution, args, out) =>
    out.simple(lookUp(execution, args, 1) === 0 ? 'none' : 'string'),
  ),
];
