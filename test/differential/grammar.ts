/** Random commands: each row is a command in its proper form, and how often it comes. What is a command
 *  of Ingot's table only is drawn, so a row may stand here before its command does. */
import fc, { type Arbitrary } from 'fast-check';
import { KEY_BYTES_MAX } from '@ingot/store';
import { commandIndexByName } from '../../packages/node/src/commands/table.ts';
import {
  exactUnixMs,
  exactUnixSeconds,
  float,
  number,
  pattern,
  relativeTime,
  split,
  unixMs,
  unixSeconds,
  values,
  type Word,
  type Words,
} from './words.ts';

type Part = string | Arbitrary<Word | Words>;

interface Row {
  readonly weight: number;
  readonly names: readonly string[];
  /** What follows the name. */
  readonly parts: readonly Part[];
}

function row(names: string, ...parts: readonly Part[]): Row {
  return often(1, names, ...parts);
}

function often(weight: number, names: string, ...parts: readonly Part[]): Row {
  return { weight, names: split(names), parts };
}

const some = (part: Arbitrary<Word | Words>, max: number, min = 1): Arbitrary<Words> =>
  fc.array(part, { minLength: min, maxLength: max, size: 'max' }).map((words) => words.flat());

const words = (...parts: readonly Part[]): Arbitrary<Words> =>
  fc
    .tuple(...parts.map((part) => (typeof part === 'string' ? fc.constant<Words>([part]) : part)))
    .map((drawn) => drawn.flat());

const one = (text: string): Arbitrary<Word> => fc.constantFrom(...split(text));

const time: Arbitrary<Words> = fc.oneof(
  words('EX', relativeTime),
  words('px', relativeTime),
  words('EXAT', unixSeconds),
  words('PXAT', unixMs),
  words('EX'),
);
const OPTION_WORDS = 'NX XX GET KEEPTTL PERSIST GT LT nx ZZ';
/** Without GT and LT, which may meet times that do not compare. */
const STRAY_WORDS = 'NX XX GET KEEPTTL PERSIST nx ZZ';
const options = some(
  fc.oneof({ weight: 2, arbitrary: one(OPTION_WORDS) }, { weight: 1, arbitrary: time }),
  3,
  0,
);
const conditions = some(one('NX XX GT LT gt ZZ'), 2, 0);
const bitOffset = one('0 1 7 8 9 100 8191 -1 4294967296 x');
const bit = fc.oneof({ weight: 8, arbitrary: one('0 1') }, { weight: 1, arbitrary: one('2 x -1') });
const range = one('0 1 -1 2 5 -5 100 -100 9223372036854775807 x');
const bitType = fc.oneof(
  { weight: 6, arbitrary: one('u8 i8 u1 i5 u63 i64 u16') },
  { weight: 1, arbitrary: one('u64 i65 u0 x8 u') },
);
const fieldOffset = one('0 1 #0 #1 #3 7 100 -1 x #x');
const fieldOperation = fc.oneof(
  words('GET', bitType, fieldOffset),
  words('SET', bitType, fieldOffset, number),
  words('INCRBY', bitType, fieldOffset, number),
  words('OVERFLOW', one('WRAP SAT FAIL sat x')),
);

const restoredFor = one('0 0 0 100000 -1 x');
const restoreOptions = some(
  fc.oneof(
    { weight: 6, arbitrary: one('REPLACE') },
    { weight: 1, arbitrary: one('ABSTTL FREQ 5 IDLETIME replace x') },
  ),
  3,
  0,
);

/** What the rows are filled with. */
interface Drawn {
  readonly key: Arbitrary<Word>;
  readonly value: Arbitrary<Word>;
  readonly payload: Arbitrary<Word>;
  /** Words. */
  readonly offsets: string;
}

function keyed({ key, value, payload, offsets }: Drawn): Row[] {
  const several = some(key, 4);
  const rows = [
    often(6, 'GET'),
    often(2, 'STRLEN TTL PTTL EXPIRETIME PEXPIRETIME TYPE'),
    often(3, 'PERSIST INCR DECR GETDEL get'),
  ].map(({ weight, names }) => ({ weight, names, parts: [key] }));
  return [
    ...rows,
    often(4, 'SET SETNX GETSET APPEND', key, value),
    often(4, 'SET', key, value),
    often(4, 'SET', key, value, options),
    often(2, 'INCRBY DECRBY', key, number),
    row('INCRBYFLOAT', key, float),
    often(2, 'DEL UNLINK EXISTS TOUCH MGET', several),
    row('MSET', some(words(key, value), 3)),
    often(2, 'EXPIRE PEXPIRE', key, relativeTime),
    row('EXPIRE PEXPIRE', key, relativeTime, conditions),
    row('EXPIREAT', key, unixSeconds),
    row('EXPIREAT', key, exactUnixSeconds, conditions),
    row('PEXPIREAT', key, unixMs),
    row('PEXPIREAT', key, exactUnixMs, conditions),
    often(2, 'GETEX', key, options),
    row('SETEX PSETEX', key, relativeTime, value),
    often(2, 'GETRANGE SUBSTR', key, range, range),
    row('SETRANGE', key, one(offsets), value),
    row('OBJECT', one('ENCODING encoding REFCOUNT'), key),
    row('DUMP', key),
    often(2, 'RESTORE', key, restoredFor, payload, restoreOptions),
    row('GETBIT', key, bitOffset),
    often(2, 'SETBIT', key, bitOffset, bit),
    row('BITCOUNT', key, some(range, 2, 0), some(one('BIT BYTE x'), 1, 0)),
    row('BITPOS', key, bit, some(range, 2, 0), some(one('BIT BYTE x'), 1, 0)),
    row('BITFIELD', key, some(fieldOperation, 3, 0)),
    row('BITFIELD_RO', key, some(words('GET', bitType, fieldOffset), 3, 0)),
    row('BITFIELD_RO', key, some(fieldOperation, 2)),
    row('ECHO', value),
    row('PING', some(value, 2, 0)),
    row('SELECT', one('0 16 x')),
  ];
}

/** Commands over several keys that want them of one slot. */
function ofOneSlotOnly(key: Arbitrary<Word>, value: Arbitrary<Word>): Row[] {
  const several = some(key, 4);
  return [
    row('MSETNX', some(words(key, value), 3)),
    row('LCS', key, key, some(one('LEN IDX WITHMATCHLEN MINMATCHLEN 2 x'), 4, 0)),
    row('COPY', key, key, some(one('REPLACE DB 0 replace x'), 2, 0)),
    often(2, 'RENAME RENAMENX', key, key),
    row('BITOP', one('AND OR XOR NOT not x'), key, several),
  ];
}

/** Not part of transactions: Ingot refuses to queue what covers all partitions. */
const OTHERS: readonly Row[] = [
  row('KEYS', pattern),
  row('DBSIZE'),
  row('FLUSHALL FLUSHDB', some(one('ASYNC SYNC sync x'), 1, 0)),
  row('CLIENT', one('GETNAME NOSUCH SETNAME')),
  row('CLIENT', 'SETNAME', fc.constantFrom('web', 'a b', '')),
  row('NOSUCH', number, relativeTime),
  row('UNWATCH DISCARD EXEC'),
];

/** Never damaged: what is left might be a cursor, which means something to its server alone, or a HELLO,
 *  which says who answers. */
const WHOLE: readonly Row[] = [
  row('HELLO', one('1 4 x')),
  row('HELLO', one('2 3'), one('x SETNAME'), some(one('a b'), 1, 0)),
  row('HELLO', one('2 3'), 'AUTH', some(one('default a'), 2, 0)),
  row('AUTH', some(one('default x'), 3, 0)),
  row('RESET RANDOMKEY'),
  row('WAIT', one('0 x -1'), one('0 1 x -1')),
  row('CLIENT', 'NO-EVICT', one('on OFF x')),
  row('CLIENT', 'REPLY', one('ON on x')),
  row('CLIENT', 'UNBLOCK', one('999999999 x'), some(one('ERROR TIMEOUT x'), 2, 0)),
  row('CLIENT', 'PAUSE', one('x -1'), some(one('WRITE ALL x'), 1, 0)),
  row('CLIENT', 'KILL', one('x ID TYPE'), some(one('999999999 x ID'), 2, 0)),
  row('CLIENT', one('GETREDIR UNPAUSE'), some(one('x'), 1, 0)),
  row('CONFIG', one('RESETSTAT SET REWRITE x'), some(one('x'), 1, 0)),
  row('OBJECT', 'FREQ', one('nosuch')),
  row('MEMORY', 'USAGE', 'nosuch', some(one('SAMPLES 5 x -1'), 2, 0)),
  row('SLOWLOG', one('RESET x'), some(one('x'), 1, 0)),
  row('LATENCY', one('HISTORY GRAPH x'), some(one('nosuch'), 1, 0)),
  row('COMMAND', 'GETKEYS', one('GET SET MSET MGET BITOP OBJECT PING x'), some(one('a b c'), 3, 0)),
  row('SCAN', '0', 'COUNT', '1000000', 'MATCH', pattern),
  row('SCAN', '0', 'COUNT', '1000000', 'TYPE', one('string list STRING')),
  row('SCAN', one('0 x'), 'COUNT', one('1000000 x 0 -1'), some(one('ZZ MATCH TYPE'), 2, 0)),
  row('SCAN', 'x', some(one('ZZ COUNT 5'), 2, 0)),
  row('SCAN'),
];

function arbitraryOf(rows: readonly Row[]): Arbitrary<Words> {
  const known = rows.flatMap(({ names, ...rest }) => {
    const ours = names.filter((name) => name === 'NOSUCH' || commandIndexByName(name) >= 0);
    return ours.length === 0 ? [] : [{ ...rest, names: ours }];
  });
  return fc.oneof(
    ...known.map(({ weight, names, parts }) => ({
      weight,
      arbitrary: words(fc.constantFrom(...names), ...parts),
    })),
  );
}

/** All that a row draws and that is a command of the table. */
export const DRAWN_NAMES: readonly string[] = [
  ...new Set(
    [
      ...keyed({ key: one('k'), value: one('v'), payload: one('p'), offsets: '0' }),
      ...ofOneSlotOnly(one('k'), one('v')),
      ...OTHERS,
      ...WHOLE,
    ]
      .flatMap(({ names }) => names.map((name) => name.toUpperCase()))
      .filter((name) => commandIndexByName(name) >= 0),
  ),
];

/** Drops or adds a word now and then: wrong arities and stray options. */
function damaged(
  command: Arbitrary<Words>,
  stray: Arbitrary<Word>,
  atEnd = false,
): Arbitrary<Words> {
  const blow = fc.record({ at: fc.nat(6), added: fc.option(stray) });
  const hurt = fc.tuple(command, blow).map(([drawn, { at, added }]) => {
    // A long value would become a key, which is one of the exclusions.
    if (drawn.some((word) => word.length > KEY_BYTES_MAX)) return drawn;
    const index = atEnd ? drawn.length : 1 + (at % drawn.length);
    return added === null ? drawn.toSpliced(index, 1) : drawn.toSpliced(index, 0, added);
  });
  return fc.oneof({ weight: 11, arbitrary: command }, { weight: 1, arbitrary: hurt });
}

export interface Commands {
  /** On keys, or on nothing: what a transaction may hold. */
  readonly keyed: Arbitrary<Words>;
  readonly any: Arbitrary<Words>;
}

/** `long`: values and offsets beyond a chunk of an image, too. */
export function commandsOn(
  key: Arbitrary<Word>,
  payload: Arbitrary<Word>,
  { ofOneSlot, long }: { ofOneSlot: boolean; long: boolean },
): Commands {
  const offsets = `0 1 3 20 -1 x${long ? ' 70000' : ''}`;
  const onKeys = arbitraryOf(keyed({ key, value: values(long), payload, offsets }));
  const onOneSlot = ofOneSlot ? arbitraryOf(ofOneSlotOnly(key, values(long))) : onKeys;
  const others = arbitraryOf(OTHERS);
  const whole = arbitraryOf(WHOLE);
  const strayOption = one(STRAY_WORDS);
  return {
    keyed: fc.oneof({ weight: 8, arbitrary: onKeys }, { weight: 1, arbitrary: onOneSlot }),
    any: fc.oneof(
      { weight: 24, arbitrary: damaged(onKeys, strayOption) },
      // What is added may stand where a key is read; what is taken away must not be BITOP's AND.
      { weight: 3, arbitrary: damaged(onOneSlot, key, true) },
      { weight: 2, arbitrary: damaged(others, strayOption) },
      { weight: 2, arbitrary: whole },
    ),
  };
}
