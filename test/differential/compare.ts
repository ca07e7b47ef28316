/** Whether two servers answered a list of commands alike: byte by byte, but for the order of keys and
 *  for the clock, which ticks between the two. */
import { isDeepStrictEqual } from 'node:util';
import { decodeReply, type Reply } from '../../packages/node/src/commands/reply.fixture.ts';
import type { Words } from './conversation.ts';

/** How far replies that count time may be apart: what passes between two servers on a busy machine. */
const CLOCK_SLACK: Readonly<Record<string, number>> = {
  TTL: 60,
  EXPIRETIME: 60,
  PTTL: 60_000,
  PEXPIRETIME: 60_000,
};

const SHOWN_MAX = 80;
const QUEUED = Buffer.from('+QUEUED\r\n');

/** The first command whose replies differ, with both and with what led to it; or null. */
export function firstDifference(
  commands: readonly Words[],
  ours: readonly Buffer[],
  theirs: readonly Buffer[],
): object | null {
  const at = commands.findIndex((words, i) => {
    if (ours[i].equals(theirs[i])) return false;
    const [one, other] = [decodeReply(ours[i]), decodeReply(theirs[i])];
    const name = nameOf(words);
    if (name !== 'EXEC') return !alike(name, one, other);
    return !alikeExec(queuedBefore(commands, theirs, i), one, other);
  });
  if (at < 0) return null;
  return {
    ingot: show(ours[at]),
    redis: show(theirs[at]),
    upToIt: commands.slice(0, at + 1).map((words) => words.map(show).join(' ')),
  };
}

function alike(name: string, ours: Reply, theirs: Reply): boolean {
  if (typeof ours === 'number' && typeof theirs === 'number') {
    return ours > 0 && theirs > 0 && Math.abs(ours - theirs) <= (CLOCK_SLACK[name] ?? 0);
  }
  if (!Array.isArray(ours) || !Array.isArray(theirs)) return false;
  if (name === 'SCAN') return ours[0] === theirs[0] && alike('KEYS', ours[1], theirs[1]);
  return name === 'KEYS' && isDeepStrictEqual(new Set(ours), new Set(theirs));
}

function alikeExec(queued: readonly Words[], ours: Reply, theirs: Reply): boolean {
  if (!Array.isArray(ours) || !Array.isArray(theirs) || ours.length !== theirs.length) return false;
  return ours.every(
    (reply, i) => isDeepStrictEqual(reply, theirs[i]) || alike(nameOf(queued[i]), reply, theirs[i]),
  );
}

/** The commands that the EXEC at `at` runs. */
function queuedBefore(
  commands: readonly Words[],
  replies: readonly Buffer[],
  at: number,
): readonly Words[] {
  const multi = commands.findLastIndex((words, i) => i < at && nameOf(words) === 'MULTI');
  return commands.filter((_words, i) => i > multi && i < at && replies[i].equals(QUEUED));
}

function nameOf([name]: Words): string {
  return name.toString().toUpperCase();
}

function show(bytes: Buffer | string): string {
  const text = bytes.toString('latin1');
  const shown = text.slice(0, SHOWN_MAX);
  return JSON.stringify(shown) + (shown === text ? '' : ` and ${text.length - SHOWN_MAX} more`);
}
