/** Random sequences of commands, and how they are sent: RESP2 or RESP3, all at once or one by one, alone
 *  or in transactions, watched keys changed by another connection, keys that expire. */
import fc, { type Arbitrary } from 'fast-check';
import { type Commands, commandsOn } from './grammar.ts';
import { type Dumped, keys, payloads, type Word, type Words } from './words.ts';

export interface Step {
  readonly words: Words;
  /** Sent on the second connection. */
  readonly byOther?: boolean;
  /** Sent again until it is answered nil: waits until a key is gone. */
  readonly untilNil?: boolean;
}

export interface Sequence {
  readonly protocol: 2 | 3;
  /** All that one connection sends, until the other has its turn, in one write. */
  readonly pipelined: boolean;
  readonly steps: readonly Step[];
}

type Item = readonly Step[];

const ITEMS_MAX = 40;
/** Of values in payloads, where those longer than a chunk have a place, and where not. */
const LONG_BYTES_MAX = 1_000_000;
const SHORT_BYTES_MAX = 32_768;

const step = (...words: Word[]): Step => ({ words });

/** EXEC comes out of every second one; now and then a command in it is refused, so EXEC is too. */
function transaction(key: Arbitrary<Word>, commands: Commands): Arbitrary<Item> {
  const refused = fc.constantFrom<Words>(['GET'], ['NOSUCH', 'a'], ['MULTI'], ['WATCH', 'a']);
  const queued = fc.oneof(
    { weight: 16, arbitrary: commands.keyed },
    { weight: 1, arbitrary: refused },
  );
  const parts = fc.record({
    watched: fc.array(key, { maxLength: 2 }),
    between: fc.array(commands.keyed, { maxLength: 2 }),
    byOther: fc.boolean(),
    queued: fc.array(queued, { minLength: 0, maxLength: 5, size: 'max' }),
    end: fc.constantFrom('EXEC', 'EXEC', 'EXEC', 'DISCARD'),
  });
  return parts.map(({ watched, between, byOther, queued: inside, end }) => [
    // A watched key that is absent now may abort a transaction without need: see the exclusions.
    ...watched.map((name) => step('SET', name, 'watched')),
    ...(watched.length > 0 ? [step('WATCH', ...watched)] : []),
    ...between.map((words) => ({ words, byOther })),
    step('MULTI'),
    ...inside.map((words) => ({ words })),
    step(end),
  ]);
}

/** A key expires. */
function lapse(key: Arbitrary<Word>): Arbitrary<Item> {
  const ways = (name: Word): Words[] => [
    ['SET', name, 'short', 'PX', '1'],
    ['PSETEX', name, '1', 'short'],
    ['PEXPIRE', name, '1'],
    ['GETEX', name, 'PX', '1'],
  ];
  return fc
    .tuple(key, fc.nat(3))
    .map(([name, way]) => [{ words: ways(name)[way] }, { words: ['GET', name], untilNil: true }]);
}

interface Kind {
  readonly ofOneSlot: boolean;
  readonly long: boolean;
}

/** Transactions are of one slot, and without long values: both are exclusions. */
function items({ ofOneSlot, long }: Kind, dumped: readonly Dumped[]): Arbitrary<Item[]> {
  const key = keys(ofOneSlot);
  const payload = payloads(dumped, long ? LONG_BYTES_MAX : SHORT_BYTES_MAX);
  const commands = commandsOn(key, payload, { ofOneSlot, long });
  const alone = commands.any.map((words): Item => [{ words }]);
  const choices = [
    { weight: 60, arbitrary: alone },
    { weight: 1, arbitrary: lapse(key) },
    ...(ofOneSlot && !long ? [{ weight: 9, arbitrary: transaction(key, commands) }] : []),
  ];
  return fc.array(fc.oneof(...choices), { minLength: 1, maxLength: ITEMS_MAX, size: 'max' });
}

/** `dumped`: payloads for RESTORE. */
export function sequences(dumped: readonly Dumped[]): Arbitrary<Sequence> {
  const kinds = [
    { weight: 2, kind: { ofOneSlot: true, long: false } },
    { weight: 1, kind: { ofOneSlot: true, long: true } },
    { weight: 2, kind: { ofOneSlot: false, long: true } },
  ].map(({ weight, kind }) => ({ weight, arbitrary: items(kind, dumped) }));
  return fc.record({
    protocol: fc.constantFrom(2 as const, 3 as const),
    pipelined: fc.oneof(
      { weight: 5, arbitrary: fc.constant(true) },
      { weight: 1, arbitrary: fc.constant(false) },
    ),
    steps: fc.oneof(...kinds).map((drawn) => drawn.flat()),
  });
}
