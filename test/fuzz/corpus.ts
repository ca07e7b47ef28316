/** What the fuzzers begin with: the vectors, and streams of real commands of every row of the command table, some of them
 *  with the arguments that the differential test draws. */
import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { COMMANDS } from '../../packages/node/src/commands/table.ts';
import type { CommandRow } from '../../packages/node/src/commands/row.ts';
import { LINE_BYTES_MAX } from '../../packages/node/src/resp/limits.ts';
import { INTERNAL_COMMANDS } from '../../packages/node/src/serving/internal-commands.ts';
import { sequences } from '../differential/sequences.ts';
import type { Word, Words } from '../differential/words.ts';
import { encode } from '../support/resp-connection.ts';
import { isHarmful } from './harm.ts';
import { VECTORS } from './vectors.ts';

/** Longer ones cost more than they find. */
const VECTOR_BYTES_MAX = 20_000;
/** How often they stand in the corpus, beside hundreds of other streams. */
const VECTOR_TIMES = 3;
/** Of arguments, of bytes of a value and of a line: about where the parser goes another way. */
const MANY_ARGUMENTS = [60, 64, 65, 66, 67, 100, 300];
const LONG_BYTES = [LINE_BYTES_MAX - 7, LINE_BYTES_MAX, LINE_BYTES_MAX + 1];
const SEQUENCES = 60;
const PIPELINE_MAX = 12;
/** What is refused for its arguments, and seldom drawn. */
const REFUSED: readonly (readonly string[])[] = [
  ...[
    ['SET', 'a', 'b', 'EX', '0'],
    ['RENAME', 'absent', 'a'],
    ['SELECT', '17'],
    ['HELLO', '9'],
  ],
  ...[
    ['INCR', '{t}1', 'x'],
    ['SCAN', 'x'],
    ['INCRBY', 'a', 'x'],
    ['SETBIT', 'a', '-1', '1'],
  ],
];
/** What DUMP says of an integer. */
const DUMPED = [{ valueBytes: 2, payload: Buffer.from('00c00c0a003c2af8515c04bcd5', 'hex') }];

const WORDS: readonly Word[] = [
  ...'a b {t}1 {t}2 0 1 -1 2 100 5000000 4000000000 9223372036854775807 x * NX XX GET EX PX COUNT'.split(
    ' ',
  ),
  ...'MATCH REPLACE u8 i64 AND ON OFF SKIP local isr LEN 1.5 -inf nan default SETNAME AUTH 3'.split(
    ' ',
  ),
  ...['', 'v'.repeat(300), 'long'.repeat(5_000), Buffer.from([0, 255, 13, 10, 42, 36])],
];

/** Every row, as many words as its arity wants, and one more or less now and then. */
function callsOf(row: Pick<CommandRow, 'name' | 'arity'>, random: () => number): Words[] {
  const names = row.name.split('|');
  const least = Math.abs(row.arity) - names.length;
  const optional = row.arity < 0 ? [0, 1, 2, 5] : [0, 0, 0, 0];
  const calls = [...optional, 1, -1].map((more): Words => {
    const count = Math.max(0, least + more);
    return [...names, ...Array.from({ length: count }, () => wordOf(random))];
  });
  return calls.filter((words) => !isHarmful([words.map(String)]));
}

function wordOf(random: () => number): Word {
  return WORDS[Math.floor(random() * WORDS.length)];
}

/** What most streams are not: lines, many arguments, long ones. */
function seldomOnes(): Buffer[] {
  const PING = encode('PING');
  const many = MANY_ARGUMENTS.map((count) => encode('EXISTS', ...Array<string>(count).fill('a')));
  const long = LONG_BYTES.flatMap((bytes) => {
    const text = 'x'.repeat(bytes);
    return [
      encode('SET', 'a', text),
      encode('SET', 'a', text, 'EX', '9'),
      Buffer.from(`ECHO ${text}\n`),
    ];
  });
  const lines = COMMANDS.map(({ name }) => Buffer.from(`${name} a "b c" 'd' 1\r\n`));
  return [
    ...[...many, ...many, ...long].map((bytes) => Buffer.concat([PING, bytes, PING])),
    ...lines,
  ];
}

/** Streams of bytes, the same for the same seed. First those of all rows of the table, one after the other. */
export function corpusOf(seed: number, random: () => number): readonly Buffer[] {
  const rows = [...COMMANDS, ...COMMANDS.flatMap(({ subcommands }) => subcommands)];
  const ordinary = rows.map((row) => callsOf(row, random));
  const internal = INTERNAL_COMMANDS.map((row) => callsOf(row, random));
  const any = [...ordinary, ...internal].filter(({ length }) => length > 0);
  const calls = any.map((several) => several.map((words) => encode(...words)));
  const pipelines = calls.map((several) => Buffer.concat(several));
  const mixed = calls.map(() => {
    const count = 1 + Math.floor(random() * PIPELINE_MAX);
    return Buffer.concat(Array.from({ length: count }, () => pick(pick(calls, random), random)));
  });
  const samples = fc.sample(sequences(DUMPED), { seed, numRuns: SEQUENCES });
  const drawn = samples.map(({ protocol, steps }) =>
    Buffer.concat([
      encode('HELLO', `${protocol}`),
      ...steps.slice(0, PIPELINE_MAX).map(({ words }) => encode(...words)),
    ]),
  );
  const vectors = VECTORS.map(({ bytes }) => bytes).filter(
    ({ length }) => length > 0 && length <= VECTOR_BYTES_MAX,
  );
  const often = Array.from({ length: VECTOR_TIMES }, () => vectors).flat();
  const refused = Buffer.concat(REFUSED.map((words) => encode(...words)));
  return [...pipelines, refused, ...often, ...seldomOnes(), ...mixed, ...drawn];
}

function pick<T>(items: readonly T[], random: () => number): T {
  return items[Math.floor(random() * items.length)];
}
