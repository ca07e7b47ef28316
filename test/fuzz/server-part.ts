/** Damaged streams to live nodes, several at a time: every command is answered once and in RESP, a witness beside them is
 *  served all the time, and when all are gone nothing is left of them. */
import { Buffer } from 'node:buffer';
import { COMMANDS } from '../../packages/node/src/commands/table.ts';
import { DEFAULT_LIMITS } from '../../packages/node/src/resp/limits.ts';
import { INTERNAL_COMMANDS } from '../../packages/node/src/serving/internal-commands.ts';
import { randomFrom } from '../support/random.ts';
import { encode } from '../support/resp-connection.ts';
import { corpusOf } from './corpus.ts';
import { CLOSED_WITHIN_MS, exchange } from './exchange.ts';
import { cutAtRandom } from './feeding.ts';
import { isHarmful, isSilent } from './harm.ts';
import { mutated } from './mutators.ts';
import type { Outcome } from './outcome.ts';
import type { Fuzzed, Fuzzing } from './parts.ts';
import { referenceOf } from './reference.ts';
import { repliesOf } from './replies.ts';
import { type Case, CASES_APART, Rounds } from './rounds.ts';
import { Tally } from './tally.ts';
import { type Door, onTargets, PASSWORD } from './targets.ts';

const PIECES_MAX = 20;
const SAYS_PASSWORD_SHARE = 0.7;
const BREAKS_SHARE = 0.1;

const LIMITS = { ...DEFAULT_LIMITS, valueBytesMax: 2 ** 20 };
const NAMES = new Set([...COMMANDS, ...INTERNAL_COMMANDS].map(({ name }) => name.toLowerCase()));

/** Beginnings of errors that must have come. */
const ERRORS: readonly string[] = [
  ...[
    'ERR unknown command',
    'ERR wrong number of arguments',
    'ERR syntax error',
    'ERR Protocol error',
  ],
  ...['ERR value is not an integer', 'ERR unknown subcommand', 'NOPROTO', 'NOAUTH', 'WRONGPASS'],
  ...[
    'EXECABORT',
    'CROSSSLOT',
    'MOVED',
    'ERR invalid expire time',
    'ERR no such key',
    'ERR invalid cursor',
  ],
  ...['ERR EXEC without MULTI', 'ERR malformed command between nodes', 'ERR bit'],
];

export async function fuzzServers({ seed, goesOn, targets: given }: Fuzzing): Promise<Fuzzed> {
  const tally = new Tally([
    ...[...NAMES].map((name) => `command: ${name}`),
    ...ERRORS.map((text) => `error: ${text}`),
    ...['ended by the node', 'broken off', 'answered in full', 'witness rounds'],
  ]);
  const broken = await onTargets(given, (targets) => {
    const saying = { doors: targets.doors, draw: drawing(seed), problemOf };
    return new Rounds(targets, saying, tally).run(goesOn);
  });
  return { broken, tally };
}

/** The next stream, or null where it would spoil the run. */
function drawing(seed: number): (doors: readonly Door[], i: number) => Case | null {
  const corpus = corpusOf(seed, randomFrom(seed));
  return (doors, i) => {
    const random = randomFrom(seed * CASES_APART + i);
    const door = doors[Math.floor(random() * doors.length)];
    // First as they are: every command is reached.
    const isWhole = i < corpus.length;
    const says = door.unknown && (isWhole || random() < SAYS_PASSWORD_SHARE);
    const stream = isWhole ? corpus[i] : mutated(corpus, random);
    const bytes = says ? Buffer.concat([encode('AUTH', PASSWORD), stream]) : stream;
    const ends = !isWhole && random() < BREAKS_SHARE ? 'breaks' : 'half';
    const next: Case = { door, bytes, cutsSeed: Math.floor(random() * 2 ** 31), ends };
    return isHarmful(commandsOf(next).commands) ? null : next;
  };
}

/** As far as it can be said beforehand. */
function commandsOf({ bytes }: Case): Outcome {
  return referenceOf(bytes, { limits: LIMITS, unknown: false });
}

async function problemOf(
  one: Case,
  tally?: Tally,
  withinMs: number = CLOSED_WITHIN_MS,
): Promise<string | null> {
  const { door, bytes, cutsSeed, ends } = one;
  const expected = commandsOf(one);
  const cuts = cutAtRandom(bytes, randomFrom(cutsSeed), PIECES_MAX);
  let heard;
  try {
    heard = await exchange(door.port, bytes, cuts, ends, withinMs);
  } catch (error) {
    return String(error);
  }
  tally?.case();
  if (ends === 'breaks' || heard.reset) {
    tally?.count('broken off');
    return null;
  }
  const { replies, problem } = repliesOf(heard.bytes);
  if (tally !== undefined) note(tally, expected, replies);
  if (problem !== null) return problem;
  // Of a stranger's, the limits are narrower, and an error may come early.
  const most = expected.commands.length + (expected.error === null && !door.unknown ? 0 : 1);
  if (replies.length > most) return `${replies.length} replies to ${most} commands`;
  if (door.unknown || isSilent(expected.commands) || replies.length === most) return null;
  return `${replies.length} replies to ${most} commands, and then the end`;
}

function note(tally: Tally, { commands, error }: Outcome, replies: readonly Buffer[]): void {
  tally.count(error === null ? 'answered in full' : 'ended by the node');
  for (const [i, reply] of replies.entries()) {
    const name = commands[i]?.[0]?.toLowerCase();
    if (name !== undefined && NAMES.has(name)) tally.count(`command: ${name}`);
    if (reply[0] !== 0x2d) continue;
    const text = reply.toString('latin1', 1, 60);
    const known = ERRORS.find((beginning) => text.startsWith(beginning));
    tally.count(`error: ${known ?? text.replace(/['"].*|[0-9].*|\r.*/s, '')}`);
  }
}
