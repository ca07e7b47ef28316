/** Random commands that a cache of strings and Redis must answer alike, from a seed.
 *
 *  A sequence plays on a dozen keys, so that commands meet each other's values. Times are either past
 *  or so far ahead that nothing expires while a sequence runs on two servers one after the other.
 *  Left out: what no two servers answer alike (RANDOMKEY, SCAN's cursors, INFO), expiry times beyond
 *  2^53 ms, which Ingot rounds, and SET with a past Unix time, after which Redis counts the key in
 *  DBSIZE until somebody asks for it. */
import type { Words } from './conversation.ts';

export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** mulberry32: uniform in [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mix = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mix ^= mix + Math.imul(mix ^ (mix >>> 7), mix | 61);
    return ((mix ^ (mix >>> 14)) >>> 0) / 2 ** 32;
  }

  below(count: number): number {
    return Math.floor(this.next() * count);
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)];
  }

  times<T>(most: number, make: () => T): T[] {
    return Array.from({ length: 1 + this.below(most) }, make);
  }
}

type Word = string | Buffer;
type Template = (deal: Deal) => Word[];

const BINARY = Buffer.from([0x00, 0xff, 0x0d, 0x0a, 0x2a, 0x24]);
const KEY_TAILS: readonly Word[] = ['', BINARY, ...words('a b counter long user:1 user:2 h[a]t *')];
const VALUES: readonly Word[] = [
  '',
  ' 1',
  'x'.repeat(2_000),
  BINARY,
  ...words('0 -1 10 1.5 007 text 9007199254740993'),
  ...words('9223372036854775807 -9223372036854775808 9223372036854775808'),
];
const NUMBERS = ['1', '-1', '0', '41', '-1000000', 'x', '', '1.0', '+1'];
const EXTREMES = ['9223372036854775807', '-9223372036854775808', '9223372036854775808'];
/** Seconds and ms from now: past, far ahead, or no time at all. */
const RELATIVE_TIMES = ['100000', '5000000', '1000000', '0', '-1', 'x', '1.5', ''];
const ABSOLUTE_SECONDS = ['4000000000', '4100000000', '0', '-5', 'y'];
const ABSOLUTE_MS = ['4000000000123', '4100000000499', '4100000000500', '0', '-5', 'y'];
const PATTERNS = ['*', '*a*', '*user:?', '*[ab]', '*[^a]', '*h\\[a\\]t', 'none*', '*:[0-1]'];
const OPTION_WORDS = ['NX', 'XX', 'GET', 'KEEPTTL', 'PERSIST', 'GT', 'LT', 'nx', 'ZZ'];

/** What the commands of one sequence draw from. */
class Deal {
  readonly dice: Dice;
  /** All keys are of one slot, as transactions want them. */
  readonly tagged: boolean;
  readonly #keys: readonly Buffer[];

  constructor(dice: Dice) {
    this.dice = dice;
    this.tagged = dice.below(2) === 0;
    const head = this.tagged ? '{tag}' : '';
    this.#keys = KEY_TAILS.map((tail) => Buffer.concat([Buffer.from(head), Buffer.from(tail)]));
  }

  key(): Word {
    return this.dice.pick(this.#keys);
  }

  value(): Word {
    return this.dice.pick(VALUES);
  }

  number(): Word {
    return this.dice.pick(this.dice.below(4) === 0 ? EXTREMES : NUMBERS);
  }

  relative(): Word {
    return this.dice.pick(RELATIVE_TIMES);
  }

  time(): Word[] {
    return this.dice.pick([
      () => ['EX', this.relative()],
      () => ['px', this.relative()],
      () => ['EXAT', this.dice.pick(ABSOLUTE_SECONDS)],
      () => ['PXAT', this.dice.pick(ABSOLUTE_MS)],
      () => ['EX'],
    ])();
  }

  options(): Word[] {
    const { dice } = this;
    return dice
      .times(3, () => (dice.below(3) === 0 ? this.time() : [dice.pick(OPTION_WORDS)]))
      .slice(dice.below(2))
      .flat();
  }
}

const KEY_COMMANDS = words(
  'GET STRLEN TYPE TTL PTTL EXPIRETIME PEXPIRETIME PERSIST INCR DECR GETDEL get',
);
const MANY_KEYS_COMMANDS = words('DEL UNLINK EXISTS TOUCH MGET');
const KEY_VALUE_COMMANDS = words('SET SETNX GETSET APPEND');

function words(text: string): string[] {
  return text.split(' ');
}

/** A command in its proper form; how often each kind comes is how often it stands here. */
const KEYED: readonly Template[] = [
  (deal) => [deal.dice.pick(KEY_COMMANDS), deal.key()],
  (deal) => [deal.dice.pick(KEY_COMMANDS), deal.key()],
  (deal) => [deal.dice.pick(KEY_VALUE_COMMANDS), deal.key(), deal.value()],
  (deal) => ['SET', deal.key(), deal.value()],
  (deal) => ['SET', deal.key(), deal.value(), ...deal.options()],
  (deal) => ['SET', deal.key(), deal.value(), ...deal.options()],
  (deal) => [deal.dice.pick(['INCRBY', 'DECRBY']), deal.key(), deal.number()],
  (deal) => [deal.dice.pick(MANY_KEYS_COMMANDS), ...deal.dice.times(4, () => deal.key())],
  (deal) => ['MSET', ...deal.dice.times(3, () => [deal.key(), deal.value()]).flat()],
  (deal) => [deal.dice.pick(['EXPIRE', 'PEXPIRE']), deal.key(), deal.relative()],
  (deal) => ['EXPIRE', deal.key(), deal.relative(), ...deal.options()],
  (deal) => ['EXPIREAT', deal.key(), deal.dice.pick(ABSOLUTE_SECONDS), ...deal.options()],
  (deal) => ['PEXPIREAT', deal.key(), deal.dice.pick(ABSOLUTE_MS)],
  (deal) => ['GETEX', deal.key(), ...deal.options()],
  (deal) => ['SETEX', deal.key(), deal.relative(), deal.value()],
  (deal) => ['PSETEX', deal.key(), deal.relative(), deal.value()],
  (deal) => ['ECHO', deal.value()],
  (deal) => ['PING', ...deal.dice.times(2, () => deal.value()).slice(1)],
];

/** Not part of transactions: Ingot refuses to queue what covers all partitions. */
const OTHERS: readonly Template[] = [
  (deal) => ['KEYS', deal.dice.pick(PATTERNS)],
  () => ['DBSIZE'],
  (deal) => ['SELECT', deal.dice.pick(['0', '16', 'x'])],
  (deal) => ['CLIENT', deal.dice.pick(['GETNAME', 'NOSUCH', 'SETNAME'])],
  (deal) => ['SCAN', '0', 'COUNT', '1000000', 'MATCH', deal.dice.pick(PATTERNS)],
  (deal) => [
    'SCAN',
    deal.dice.pick(['0', 'x']),
    deal.dice.pick(['ZZ', 'MATCH']),
    'x',
    'COUNT',
    '0',
  ],
  (deal) => ['NOSUCH', deal.number(), deal.relative()],
];

/** Drops or adds a word now and then: wrong arities and stray options. */
function damaged(command: Word[], dice: Dice): Word[] {
  const at = 1 + dice.below(command.length);
  switch (dice.below(24)) {
    case 0:
      return command.toSpliced(at, 1);
    case 1:
      return command.toSpliced(at, 0, dice.pick(OPTION_WORDS));
    default:
      return command;
  }
}

/** A transaction over keys of one slot; now and then a command in it is refused, so EXEC is too. */
function transaction(deal: Deal): Words[] {
  const { dice } = deal;
  const queued = dice.times(5, () =>
    dice.below(16) === 0 ? words(dice.pick(['GET', 'NOSUCH a'])) : dice.pick(KEYED)(deal),
  );
  return [['MULTI'], ...queued, [dice.pick(words('EXEC EXEC EXEC DISCARD'))]];
}

/** About `count` commands. */
export function randomSequence(seed: number, count: number): Words[] {
  const dice = new Dice(seed);
  const deal = new Deal(dice);
  const sequence: Words[] = [];
  while (sequence.length < count) {
    const kind = dice.below(12);
    if (kind === 0 && deal.tagged) sequence.push(...transaction(deal));
    else sequence.push(damaged(dice.pick(kind < 3 ? OTHERS : KEYED)(deal), dice));
  }
  return sequence;
}
