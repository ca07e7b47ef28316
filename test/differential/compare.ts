/** Whether two servers answered a list of commands alike: byte by byte, but for the order of keys, for
 *  the clock, which ticks between the two, and for what the exclusions name. */
import { isDeepStrictEqual } from 'node:util';
import { decodeReply, type Reply } from '../../packages/node/src/commands/reply.fixture.ts';
import { isExcluded } from './exclusions.ts';
import type { Words } from './words.ts';

/** One command, and what the two said. */
export interface Answered {
  readonly words: Words;
  readonly ours: Buffer;
  readonly theirs: Buffer;
}

export interface Difference {
  readonly at: number;
  readonly ours: string;
  readonly theirs: string;
}

/** Replies that count time, and in what. */
const CLOCK_MS: Readonly<Record<string, number>> = {
  TTL: 1_000,
  EXPIRETIME: 1_000,
  PTTL: 1,
  PEXPIRETIME: 1,
};

const SHOWN_MAX = 200;
const OK = Buffer.from('+OK\r\n');
const QUEUED = Buffer.from('+QUEUED\r\n');

/** The first command whose replies differ, or null. Both servers were asked within `slackMs`. */
export function firstDifference(answered: readonly Answered[], slackMs: number): Difference | null {
  for (const [at, { words, ours, theirs }] of answered.entries()) {
    if (ours.equals(theirs)) continue;
    const [one, other] = [decodeReply(ours), decodeReply(theirs)];
    const isSame =
      nameOf(words) === 'EXEC'
        ? alikeExec(queuedBefore(answered, at), one, other, slackMs)
        : ours[0] === theirs[0] && alike(words, one, other, slackMs);
    if (!isSame) return { at, ours: show(ours), theirs: show(theirs) };
  }
  return null;
}

function alike(words: Words, ours: Reply, theirs: Reply, slackMs: number): boolean {
  if (isExcluded(words, ours, theirs)) return true;
  const name = nameOf(words);
  if (typeof ours === 'number' && typeof theirs === 'number') {
    const unitMs = CLOCK_MS[name];
    const apart = Math.abs(ours - theirs);
    return unitMs !== undefined && ours > 0 && theirs > 0 && apart <= 1 + slackMs / unitMs;
  }
  if (name === 'RANDOMKEY') return typeof ours === 'string' && typeof theirs === 'string';
  if (!Array.isArray(ours) || !Array.isArray(theirs)) return false;
  if (name === 'SCAN') return ours[0] === theirs[0] && sameSet(ours[1], theirs[1]);
  return name === 'KEYS' && sameSet(ours, theirs);
}

function sameSet(ours: Reply, theirs: Reply): boolean {
  if (!Array.isArray(ours) || !Array.isArray(theirs)) return false;
  return ours.length === theirs.length && isDeepStrictEqual(new Set(ours), new Set(theirs));
}

function alikeExec(queued: readonly Words[], ours: Reply, theirs: Reply, slackMs: number): boolean {
  if (!Array.isArray(ours) || !Array.isArray(theirs) || ours.length !== theirs.length) return false;
  return ours.every(
    (reply, i) =>
      isDeepStrictEqual(reply, theirs[i]) || alike(queued[i], reply, theirs[i], slackMs),
  );
}

/** The commands that the EXEC at `at` runs. A MULTI between is refused, and they stay queued. */
function queuedBefore(answered: readonly Answered[], at: number): readonly Words[] {
  const multi = answered.findLastIndex(
    ({ words, ours }, i) => i < at && nameOf(words) === 'MULTI' && ours.equals(OK),
  );
  return answered
    .slice(multi + 1, at)
    .flatMap(({ words, ours }) => (ours.equals(QUEUED) ? [words] : []));
}

function nameOf([name]: Words): string {
  return name.toString().toUpperCase();
}

export function show(bytes: Buffer | string): string {
  const text = bytes.toString('latin1');
  const shown = text.slice(0, SHOWN_MAX);
  return JSON.stringify(shown) + (shown === text ? '' : ` and ${text.length - SHOWN_MAX} more`);
}
