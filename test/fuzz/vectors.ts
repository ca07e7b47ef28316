/** What a client may send, as a table: the bytes, and what they are. Every row is fed whole, byte by byte and at
 *  random cuts, to the parser and through a connection, and is said to redis-server as well.
 *
 *  Bytes are latin1 text, so that each character is one byte. */
import { Buffer } from 'node:buffer';
import {
  ARGUMENTS_UNKNOWN_MAX,
  BULK_BYTES_UNKNOWN_MAX,
  LINE_BYTES_MAX,
} from '../../packages/node/src/resp/limits.ts';
import { type Outcome, tooLong } from './outcome.ts';

export interface Vector extends Outcome {
  readonly name: string;
  readonly bytes: Buffer;
  /** The client has yet to say the password. */
  readonly unknown: boolean;
  /** Why redis-server 7.0 answers otherwise; null: it does not. */
  readonly redis: string | null;
}

/** No value may be longer where the vectors are fed. */
export const VALUE_BYTES_MAX = 1_048_576;

interface Input {
  readonly text: string;
  readonly commands?: readonly (readonly string[])[];
  readonly error?: string;
  readonly waits?: true;
  readonly unknown?: true;
  readonly redis?: string;
}

export const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`;
const joined = (words: readonly string[]): string =>
  `*${words.length}\r\n${words.map(bulk).join('')}`;
export const array = (...words: readonly string[]): string => joined(words);

const PING = array('PING');
const PINGED = ['PING'];
const CRLF_REASON = 'it takes any two bytes for the end of a line or of a bulk';
const NUL_REASON = 'it looks for the end of a line no further than a NUL';
const LINE_REASON = 'it waits for 64 KiB before it refuses a line without an end';
const SIZE_REASON = 'it has no limit that is the same';

const many = (count: number): string[] => Array.from({ length: count }, (_, i) => `word${i}`);
const allSame = (count: number): string[] => Array.from({ length: count }, () => 'a');
const xs = (count: number): string => 'x'.repeat(count);

const INVALID_COUNT = 'invalid multibulk length';
const INVALID_BULK = 'invalid bulk length';

const ROWS: Readonly<Record<string, Input>> = {
  nothing: { text: '' },
  'one command': { text: PING, commands: [PINGED] },
  'a pipeline': {
    text: array('SET', 'b', 'xy') + array('GET', 'b') + array('DEL', 'b'),
    commands: [
      ['SET', 'b', 'xy'],
      ['GET', 'b'],
      ['DEL', 'b'],
    ],
  },
  'an empty bulk': { text: array('ECHO', ''), commands: [['ECHO', '']] },
  'an empty command name': { text: array('', 'a'), commands: [['', 'a']] },
  'NULs in names and values': {
    text: array('EC\0HO', '\0') + array('ECHO', '\0a\0'),
    commands: [
      ['EC\0HO', '\0'],
      ['ECHO', '\0a\0'],
    ],
  },
  'line breaks inside of a bulk': {
    text: array('ECHO', '\r\n*1\r\n$4'),
    commands: [['ECHO', '\r\n*1\r\n$4']],
  },
  'a whole command inside of a bulk': { text: array('ECHO', PING), commands: [['ECHO', PING]] },
  'lengths of one to five digits': {
    text: [9, 10, 99, 100, 1_234, 12_345].map((n) => array('ECHO', xs(n))).join(''),
    commands: [9, 10, 99, 100, 1_234, 12_345].map((n) => ['ECHO', xs(n)]),
  },
  'empty and absent arrays are skipped': {
    text: `*0\r\n*-1\r\n*-99\r\n${PING}*0\r\n`,
    commands: [PINGED],
  },
  'many arguments, and what follows': {
    text: array('EXISTS', ...many(300)) + PING,
    commands: [['EXISTS', ...many(300)], PINGED],
  },
  'as many arguments as are kept flat, and one more': {
    text: [63, 64, 65, 66].map((n) => array('EXISTS', ...many(n))).join(''),
    commands: [63, 64, 65, 66].map((n) => ['EXISTS', ...many(n)]),
  },
  'a command of more than 64 KiB in small words': {
    text: array('EXISTS', ...allSame(20_000)) + PING,
    commands: [['EXISTS', ...allSame(20_000)], PINGED],
  },
  'a value of more than 64 KiB between small commands': {
    text: PING + array('ECHO', xs(200_000)) + PING,
    commands: [PINGED, ['ECHO', xs(200_000)], PINGED],
  },
  'as many arguments as there may be': {
    text: joined(['EXISTS'].concat(allSame(1_048_575))),
    commands: [['EXISTS'].concat(allSame(1_048_575))],
  },
  'a value of the largest size': {
    text: array('SET', 'largest', xs(VALUE_BYTES_MAX)) + array('STRLEN', 'largest'),
    commands: [
      ['SET', 'largest', xs(VALUE_BYTES_MAX)],
      ['STRLEN', 'largest'],
    ],
  },
  'a value that is too long is passed over': {
    text: `${PING}*3\r\n${bulk('SET')}${bulk('largest')}${bulk(xs(VALUE_BYTES_MAX + 1))}${PING}`,
    commands: [PINGED, tooLong(VALUE_BYTES_MAX + 1), PINGED],
    redis: SIZE_REASON,
  },
  'words behind a value that is too long are passed over, too': {
    text: `*5\r\n${bulk('SET')}${bulk('k')}${bulk(xs(VALUE_BYTES_MAX + 9))}${bulk('EX')}${bulk('9')}${PING}`,
    commands: [tooLong(VALUE_BYTES_MAX + 9), PINGED],
    redis: SIZE_REASON,
  },
  'a value that is too long behind many words': {
    text: `*80\r\n${bulk('a').repeat(79)}${bulk(xs(VALUE_BYTES_MAX + 2))}${PING}`,
    commands: [tooLong(VALUE_BYTES_MAX + 2), PINGED],
    redis: SIZE_REASON,
  },
  'an error behind a value that is too long': {
    text: `*4\r\n${bulk('SET')}${bulk('k')}${bulk(xs(VALUE_BYTES_MAX + 1))}$x\r\n${PING}`,
    error: INVALID_BULK,
  },
  'no CRLF behind a value that is too long': {
    text: `*3\r\n${bulk('SET')}${bulk('k')}$${VALUE_BYTES_MAX + 1}\r\n${xs(VALUE_BYTES_MAX + 3)}${PING}`,
    error: 'expected CRLF after a bulk',
    redis: CRLF_REASON,
  },

  // Inline.
  'an inline command': { text: 'ECHO  a\t \r\n', commands: [['ECHO', 'a']] },
  'an inline command without CR': { text: 'PING\n', commands: [PINGED] },
  'empty lines': { text: '\r\n\r\n\n  \t\r\nPING\r\n', commands: [PINGED] },
  'a line of CRs': { text: '\r\r\r\nPING\r\n', commands: [PINGED] },
  'inline and bulk in turn': {
    text: `PING\r\n${PING}ECHO x\r\n${PING}`,
    commands: [PINGED, PINGED, ['ECHO', 'x'], PINGED],
  },
  'double quotes with escapes': {
    text: 'ECHO "\\x41\\n\\t\\"\\\\q\\r\\b\\a\\xzz\\x4"\r\n',
    commands: [['ECHO', 'A\n\t"\\q\r\b\x07xzzx4']],
  },
  'single quotes know one escape': {
    text: "ECHO 'it\\'s a\\n\\\\x'\r\n",
    commands: [['ECHO', "it's a\\n\\\\x"]],
  },
  'a quote in mid-word': { text: 'ECHO a"b c"\r\n', commands: [['ECHO', 'ab c']] },
  'empty quotes': { text: 'ECHO ""\r\n""\r\n', commands: [['ECHO', ''], ['']] },
  'any bytes in a line': {
    text: 'ECHO \x01\x7f\x80\xff\r\n',
    commands: [['ECHO', '\x01\x7f\x80\xff']],
  },
  'no star behind blanks': { text: ' *1\r\n', commands: [['*1']] },
  'a bulk header for a line': { text: '$4\r\nPING\r\n', commands: [['$4'], PINGED] },
  'an open double quote': { text: 'ECHO "a\r\nPING\r\n', error: 'unbalanced quotes in request' },
  'an open single quote': { text: "ECHO 'a\\'\r\n", error: 'unbalanced quotes in request' },
  'a quote that ends with the backslash of its end': {
    text: 'ECHO "a\\"\r\n',
    error: 'unbalanced quotes in request',
  },
  'a quote closed in mid-word': { text: 'ECHO "a"b\r\n', error: 'unbalanced quotes in request' },
  'the longest line': {
    text: `ECHO ${xs(LINE_BYTES_MAX - 5)}\n`,
    commands: [['ECHO', xs(LINE_BYTES_MAX - 5)]],
  },
  'a line that is too long': {
    text: `ECHO ${xs(LINE_BYTES_MAX - 4)}\n`,
    error: 'too big inline request',
    redis: 'what it takes of a longer line goes by how it arrives',
  },
  'a long line without an end waits': { text: xs(LINE_BYTES_MAX), waits: true },
  'a line without an end': {
    text: `${PING}${xs(LINE_BYTES_MAX + 1)}`,
    commands: [PINGED],
    error: 'too big inline request',
  },
  'a NUL ends the words of a line': {
    text: 'ECHO a\0 b c\r\nPING\r\n',
    commands: [['ECHO', 'a'], PINGED],
    redis: NUL_REASON,
  },
  'a NUL in quotes': {
    text: 'ECHO "a\0"\r\n',
    error: 'unbalanced quotes in request',
    redis: NUL_REASON,
  },

  'a NUL behind a backslash': {
    text: 'ECHO "\\\0"\n',
    error: 'unbalanced quotes in request',
    redis: NUL_REASON,
  },

  // Counts.
  'a count that is no number': { text: '*x\r\n', error: INVALID_COUNT },
  'no count': { text: '*\r\n', error: INVALID_COUNT },
  'nothing but a sign': { text: '*-\r\n', error: INVALID_COUNT },
  'a count with a plus': { text: '*+1\r\n', error: INVALID_COUNT },
  'a count with a blank': { text: '* 1\r\n', error: INVALID_COUNT },
  'a count with a leading zero': { text: '*01\r\n', error: INVALID_COUNT },
  'minus zero arguments': { text: `*-0\r\n${PING}`, error: INVALID_COUNT },
  'a negative count with a leading zero': { text: `*-01\r\n${PING}`, error: INVALID_COUNT },
  'a count of two signs': { text: '*--1\r\n', error: INVALID_COUNT },
  'a fraction of an argument': { text: '*1.0\r\n', error: INVALID_COUNT },
  'a hexadecimal count': { text: '*0x1\r\n', error: INVALID_COUNT },
  'one argument too many': {
    text: `*1048577\r\n${PING}`,
    error: INVALID_COUNT,
    redis: SIZE_REASON,
  },
  'a count beyond 31 bits': { text: '*2147483648\r\n', error: INVALID_COUNT },
  'a count beyond 32 bits that looks like 1': { text: '*4294967297\r\n', error: INVALID_COUNT },
  'a count beyond 53 bits': { text: '*9007199254740993\r\n', error: INVALID_COUNT },
  'a count beyond 64 bits': { text: '*99999999999999999999\r\n', error: INVALID_COUNT },
  'a count far below zero': { text: `*-2147483649\r\n${PING}`, commands: [PINGED] },
  'a count below 64 bits': { text: '*-99999999999999999999\r\n', error: INVALID_COUNT },
  'a count without an end': {
    text: `*${'9'.repeat(30)}`,
    error: INVALID_COUNT,
    redis: LINE_REASON,
  },
  'a count with CR but no LF': { text: '*1\rx', error: INVALID_COUNT, redis: CRLF_REASON },
  'a count with LF but no CR': { text: '*1\n$4\r\nPING\r\n', error: INVALID_COUNT },
  'a NUL in a count': { text: '*1\0\r\n', error: INVALID_COUNT, redis: NUL_REASON },

  // Bulks.
  'a bulk that is none': { text: '*1\r\n:1\r\n', error: "expected '$', got ':'" },
  'an inline word for a bulk': { text: '*1\r\nPING\r\n', error: "expected '$', got 'P'" },
  'an array in an array': { text: `*1\r\n${PING}`, error: "expected '$', got '*'" },
  'an empty line for a bulk': { text: '*1\r\n\r\n', error: "expected '$', got '\r'" },
  'a byte above 127 for a bulk': {
    text: '*1\r\n\xe9\r\n',
    error: "expected '$', got '\xe9'",
    redis: 'it answers with the byte, and not with its character',
  },
  'a RESP3 null for a bulk': { text: '*2\r\n$4\r\nECHO\r\n_\r\n', error: "expected '$', got '_'" },
  'a RESP3 map for a command': { text: '%1\r\n+a\r\n:1\r\n', commands: [['%1'], ['+a'], [':1']] },
  'a null bulk': { text: '*1\r\n$-1\r\n', error: INVALID_BULK },
  'a null bulk behind a name': { text: '*2\r\n$4\r\nECHO\r\n$-1\r\n', error: INVALID_BULK },
  'minus zero bytes': { text: `*2\r\n$4\r\nECHO\r\n$-0\r\n\r\n${PING}`, error: INVALID_BULK },
  'a bulk length with a leading zero': { text: '*1\r\n$04\r\nPING\r\n', error: INVALID_BULK },
  'two zeros for a bulk length': { text: '*1\r\n$00\r\n\r\n', error: INVALID_BULK },
  'a bulk length with a plus': { text: '*1\r\n$+4\r\nPING\r\n', error: INVALID_BULK },
  'a bulk length with a blank': { text: '*1\r\n$4 \r\nPING\r\n', error: INVALID_BULK },
  'no bulk length': { text: '*1\r\n$\r\n', error: INVALID_BULK },
  'a bulk length of junk': { text: '*1\r\n$4x\r\n', error: INVALID_BULK },
  'a bulk over the limit': { text: '*1\r\n$536870913\r\n', error: INVALID_BULK },
  'a bulk length beyond 31 bits': { text: '*1\r\n$2147483648\r\n', error: INVALID_BULK },
  'a bulk length beyond 32 bits that looks like 4': {
    text: '*1\r\n$4294967300\r\nPING\r\n',
    error: INVALID_BULK,
  },
  'a bulk length beyond 64 bits': { text: '*1\r\n$18446744073709551620\r\n', error: INVALID_BULK },
  'a bulk length without an end': {
    text: `*1\r\n$${'1'.repeat(40)}`,
    error: INVALID_BULK,
    redis: LINE_REASON,
  },
  'a bulk length with CR but no LF': {
    text: '*1\r\n$4\rxPING\r\n',
    error: INVALID_BULK,
    redis: CRLF_REASON,
  },
  'a bulk that is longer than it said': {
    text: '*1\r\n$4\r\nPINGPONG\r\n',
    error: 'expected CRLF after a bulk',
    redis: CRLF_REASON,
  },
  'a bulk that is shorter than it said': {
    text: `*2\r\n$4\r\nECHO\r\n$9\r\nabc\r\n${PING}`,
    error: 'expected CRLF after a bulk',
    redis: CRLF_REASON,
  },
  'commands before an error stand': {
    text: `${PING}${PING}*1\r\n$x\r\n${PING}`,
    commands: [PINGED, PINGED],
    error: INVALID_BULK,
  },
  'an error among many arguments': {
    text: `*100\r\n${bulk('EXISTS')}${bulk('a').repeat(80)}$-5\r\n${PING}`,
    error: INVALID_BULK,
  },
  'another type among many arguments': {
    text: `*100\r\n${bulk('EXISTS')}${bulk('a').repeat(80)}+a\r\n${PING}`,
    error: "expected '$', got '+'",
  },
  'a bulk that never ends waits': { text: '*2\r\n$3\r\nGET\r\n$536870912\r\nabc', waits: true },
  'arguments that never come are waited for': {
    text: `${PING}*1048576\r\n$1\r\na\r\n`,
    commands: [PINGED],
    waits: true,
  },
  'half a header waits': { text: '*1\r\n$', waits: true },
  'the last LF is waited for': { text: '*1\r\n$4\r\nPING\r', waits: true },

  // What changes how the rest is answered.
  'RESP3, and back': {
    text: ['2', '3', '2'].map((v) => array('HELLO', v) + array('GET', 'absent')).join('') + PING,
    commands: ['2', '3', '2']
      .flatMap((v) => [
        ['HELLO', v],
        ['GET', 'absent'],
      ])
      .concat([PINGED]),
  },
  'a protocol that nobody speaks': {
    text: array('HELLO', '4') + array('HELLO', '3') + array('HELLO', 'x') + array('GET', 'absent'),
    commands: [
      ['HELLO', '4'],
      ['HELLO', '3'],
      ['HELLO', 'x'],
      ['GET', 'absent'],
    ],
  },
  'an error in RESP3': {
    text: `HELLO 3\r\n${array('GET', 'absent')}*1\r\n$x\r\n`,
    commands: [
      ['HELLO', '3'],
      ['GET', 'absent'],
    ],
    error: INVALID_BULK,
  },
  'inline commands in a transaction': {
    text: `MULTI\r\nPING\r\n${PING}nosuch\r\nEXEC\r\nEXEC\r\n`,
    commands: [['MULTI'], PINGED, PINGED, ['nosuch'], ['EXEC'], ['EXEC']],
  },

  // Before a client has said who it is.
  'the password, and a command': {
    text: array('AUTH', 'secret') + PING,
    commands: [['AUTH', 'secret'], PINGED],
    unknown: true,
  },
  'HELLO with the password': {
    text: array('GET', 'absent') + array('HELLO', '3', 'AUTH', 'default', 'secret') + PING,
    commands: [['GET', 'absent'], ['HELLO', '3', 'AUTH', 'default', 'secret'], PINGED],
    unknown: true,
  },
  'a wrong password, and an inline command': {
    text: `${array('AUTH', 'wrong')}ECHO x\r\n${array('HELLO', '3')}`,
    commands: [
      ['AUTH', 'wrong'],
      ['ECHO', 'x'],
      ['HELLO', '3'],
    ],
    unknown: true,
  },
  'a command without the password': {
    text: PING + PING,
    commands: [PINGED, PINGED],
    unknown: true,
  },
  'as many arguments as a stranger may send': {
    text: array('EXISTS', ...many(ARGUMENTS_UNKNOWN_MAX - 1)),
    commands: [['EXISTS', ...many(ARGUMENTS_UNKNOWN_MAX - 1)]],
    unknown: true,
  },
  'one argument too many of a stranger': {
    text: array('EXISTS', ...many(ARGUMENTS_UNKNOWN_MAX)),
    error: 'unauthenticated multibulk length',
    unknown: true,
  },
  'a bulk as long as a stranger may send': {
    text: array('ECHO', xs(BULK_BYTES_UNKNOWN_MAX)),
    commands: [['ECHO', xs(BULK_BYTES_UNKNOWN_MAX)]],
    unknown: true,
  },
  'a bulk of a stranger that is too long': {
    text: `*2\r\n$4\r\nECHO\r\n$${BULK_BYTES_UNKNOWN_MAX + 1}\r\n`,
    error: 'unauthenticated bulk length',
    unknown: true,
  },
  'a count that nobody may send, of a stranger': {
    text: '*2147483648\r\n',
    error: INVALID_COUNT,
    unknown: true,
  },
  'a bulk that nobody may send, of a stranger': {
    text: '*1\r\n$536870913\r\n',
    error: INVALID_BULK,
    unknown: true,
  },
};

export const VECTORS: readonly Vector[] = Object.entries(ROWS).map(([name, row]) => ({
  name,
  bytes: Buffer.from(row.text, 'latin1'),
  commands: row.commands ?? [],
  error: row.error === undefined ? null : `ERR Protocol error: ${row.error}`,
  waits: row.waits ?? false,
  unknown: row.unknown ?? false,
  redis: row.redis ?? null,
}));
