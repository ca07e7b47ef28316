/** Damaged streams to live nodes, several at a time: every command is answered once and in RESP, a witness beside them is
 *  served all the time, and when all are gone nothing is left of them. */
import { Buffer } from 'node:buffer';
import { COMMANDS } from '../../packages/node/src/commands/table.ts';
import { DEFAULT_LIMITS } from '../../packages/node/src/resp/limits.ts';
import { INTERNAL_COMMANDS } from '../../packages/node/src/serving/internal-commands.ts';
import { randomFrom } from '../support/random.ts';
import { encode } from '../support/resp-connection.ts';
import { corpusOf } from './corpus.ts';
import { CLOSED_WITHIN_MS, type Ends, exchange } from './exchange.ts';
import { cutAtRandom } from './feeding.ts';
import { isHarmful, isSilent } from './harm.ts';
import { minimal, vectorText } from './minimal.ts';
import { mutated } from './mutators.ts';
import type { Outcome } from './outcome.ts';
import type { Fuzzed, Fuzzing } from './parts.ts';
import { referenceOf } from './reference.ts';
import { repliesOf } from './replies.ts';
import { Tally } from './tally.ts';
import { type Door, PASSWORD, Targets } from './targets.ts';

const AT_ONCE = 8;
const ROUND_CASES = 400;
const PIECES_MAX = 20;
const SAYS_PASSWORD_SHARE = 0.7;
const BREAKS_SHARE = 0.1;
/** A process ended: so many of the last streams may have done it. */
const SUSPECTS_MAX = 24;
const TRIES_MAX = 60;
/** A hang that was seen once. */
const ONCE_MORE_WITHIN_MS = 5_000;

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

interface Case {
  readonly door: Door;
  readonly bytes: Buffer;
  readonly cutsSeed: number;
  readonly ends: Ends;
}

export async function fuzzServers({ seed, goesOn }: Fuzzing): Promise<Fuzzed> {
  const tally = new Tally([
    ...[...NAMES].map((name) => `command: ${name}`),
    ...ERRORS.map((text) => `error: ${text}`),
    ...['ended by the node', 'broken off', 'answered in full', 'witness rounds'],
  ]);
  const targets = await Targets.start();
  try {
    const broken = await new Rounds(targets, seed, tally).run(goesOn);
    return { broken: broken ?? (await targets.end()), tally };
  } finally {
    await targets.stop();
  }
}

class Rounds {
  readonly #targets: Targets;
  readonly #random: () => number;
  readonly #corpus: readonly Buffer[];
  readonly #tally: Tally;
  readonly #latest: Case[] = [];

  constructor(targets: Targets, seed: number, tally: Tally) {
    this.#targets = targets;
    this.#tally = tally;
    this.#random = randomFrom(seed);
    this.#corpus = corpusOf(seed, this.#random);
  }

  async run(goesOn: Fuzzing['goesOn']): Promise<string | null> {
    const { wrong } = this.#targets;
    let goes = true;
    while (goes) {
      let left = ROUND_CASES;
      let broken: string | null = null;
      const work = async (): Promise<void> => {
        while (goes && left-- > 0 && broken === null) {
          broken ??= await this.#one();
          goes &&= goesOn(this.#tally);
        }
      };
      const all = Promise.all(Array.from({ length: AT_ONCE }, work));
      const ended = await Promise.race([all.then(() => null), wrong]);
      if (ended !== null) return this.#blame(ended);
      this.#tally.count('witness rounds', this.#targets.rounds - this.#tally.get('witness rounds'));
      broken ??= await this.#targets.check();
      if (broken !== null) return broken;
    }
    return null;
  }

  /** What is wrong with what comes of the next stream, or null. */
  async #one(): Promise<string | null> {
    const random = this.#random;
    const { doors } = this.#targets;
    const door = doors[Math.floor(random() * doors.length)];
    const says = door.unknown && random() < SAYS_PASSWORD_SHARE;
    const damaged = mutated(this.#corpus, random);
    const bytes = says ? Buffer.concat([encode('AUTH', PASSWORD), damaged]) : damaged;
    const ends = random() < BREAKS_SHARE ? 'breaks' : 'half';
    const next: Case = { door, bytes, cutsSeed: Math.floor(random() * 2 ** 31), ends };
    if (isHarmful(commandsOf(next).commands)) return null;
    this.#latest.push(next);
    if (this.#latest.length > SUSPECTS_MAX) this.#latest.shift();
    const problem = await problemOf(next, this.#tally);
    if (problem === null) return null;
    const shortest = await minimal(
      bytes,
      async (shorter) =>
        !isHarmful(commandsOf({ ...next, bytes: shorter }).commands) &&
        (await problemOf({ ...next, bytes: shorter }, undefined, ONCE_MORE_WITHIN_MS)) !== null,
      TRIES_MAX,
    );
    const why = await problemOf({ ...next, bytes: shortest }, undefined, ONCE_MORE_WITHIN_MS);
    const again = why === null ? ' (and not again when it was said once more)' : '';
    return `${door.name}: ${why ?? problem}${again}\n${vectorText(shortest)}`;
  }

  /** Which of the latest streams ends a process, one by one to a fresh one. */
  async #blame(ended: string): Promise<string> {
    for (const suspect of this.#latest.toReversed()) {
      const kills = async (bytes: Buffer): Promise<boolean> => endsProcess({ ...suspect, bytes });
      if (!(await kills(suspect.bytes))) continue;
      const shortest = await minimal(suspect.bytes, kills, TRIES_MAX);
      return `${ended}\nat ${suspect.door.name}: ${vectorText(shortest)}`;
    }
    const all = this.#latest.map(({ door, bytes }) => `${door.name}: ${vectorText(bytes)}`);
    return `${ended}\nby none of these alone:\n${all.join('\n')}`;
  }
}

/** As far as it can be said beforehand. */
function commandsOf({ bytes }: Case): Outcome {
  return referenceOf(bytes, { limits: LIMITS, unknown: false });
}

async function problemOf(
  one: Case,
  tally?: Tally,
  withinMs = CLOSED_WITHIN_MS,
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

/** Whether it ends a node of its own. */
async function endsProcess(suspect: Case): Promise<boolean> {
  const targets = await Targets.start();
  try {
    const door = targets.doors.find(({ name }) => name === suspect.door.name) ?? suspect.door;
    await problemOf({ ...suspect, door });
    await Promise.race([targets.wrong, targets.check()]);
    return !door.node.isRunning;
  } finally {
    await targets.stop();
  }
}
