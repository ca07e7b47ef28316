/** The words that random commands are made of: keys, values, numbers and times at their edges.
 *
 *  A sequence plays on a dozen keys, so that commands meet each other's values. Times are past, or so far
 *  ahead that nothing expires while two servers are asked; what does expire is waited for. */
import fc, { type Arbitrary } from 'fast-check';

export type Word = string | Buffer;
export type Words = readonly Word[];

const BINARY = Buffer.from([0x00, 0xff, 0x0d, 0x0a, 0x2a, 0x24]);

export function split(text: string): string[] {
  return text.split(' ');
}

const KEY_TAILS: readonly Word[] = [
  ...split('a b c counter long user:1 user:2 h[a]t *'),
  '',
  BINARY,
];

const VALUES: readonly Word[] = [
  ...split('0 -1 10 1.5 007 text 9007199254740993 3.0e3 -0 nan ohmytext mynewtext'),
  ...split('9223372036854775807 -9223372036854775808 9223372036854775808 12345678901234567890'),
  ...['', ' 1', BINARY, 'x'.repeat(44), 'y'.repeat(45), 'ab'.repeat(1_000)],
];
/** Longer than a chunk of an image: seldom, because it is slow. */
const LONG_VALUE = 'long '.repeat(14_000);

const NUMBERS = split('1 -1 0 41 -1000000 007 +1 1.0 x');
const EXTREMES = split('9223372036854775807 -9223372036854775808 9223372036854775808');
const FLOATS = split('1 0.1 -2.5 3.0e3 1e-5 0.30000000000000004 -0 1e300 nan inf x 5.0e 0x10');

/** Seconds or ms from now. */
const RELATIVE_TIMES = split('100000 5000000 1000000 0 -1 x 1.5 9223372036854775807');
const UNIX_SECONDS = split('4000000000 4100000000 1 0 -5 y 9223372036854775 9223372036854776');
const UNIX_MS = split('4000000000123 4100000000499 4100000000500 1 0 -5 y 9223372036854775807');
const PATTERNS = split('* *a* *user:? *[ab] *[^a] *h\\[a\\]t none* *:[0-1] *[ \\');

/** A bulk of no bytes comes up in each. */
const orEmpty = (words: readonly Word[]): Arbitrary<Word> =>
  fc.oneof(
    { weight: 20, arbitrary: fc.constantFrom(...words) },
    { weight: 1, arbitrary: fc.constant('') },
  );

export const number: Arbitrary<Word> = fc.oneof(
  { weight: 3, arbitrary: orEmpty(NUMBERS) },
  { weight: 1, arbitrary: fc.constantFrom(...EXTREMES) },
);
export const float: Arbitrary<Word> = orEmpty(FLOATS);
/** `long`: now and then one that takes more than a chunk of an image. */
export function values(long: boolean): Arbitrary<Word> {
  return fc.oneof(
    { weight: 60, arbitrary: fc.constantFrom(...VALUES) },
    { weight: 20, arbitrary: fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)) },
    { weight: 1, arbitrary: fc.constant(long ? LONG_VALUE : 'not long') },
  );
}
/** Of RDB version 11, which Redis 7.0 does not read. */
const NEWER_PAYLOAD = Buffer.from('000568656c6c6f0b006372df766534200a', 'hex');

/** Values that are dumped by both, for RESTORE: text, what Redis keeps as integers of each width, what
 *  LZF makes smaller, and what is longer than a chunk of an image. */
export const DUMPED: readonly Word[] = [
  ...split('hello 0 12 -128 127 128 -32768 32767 32768 -2147483648 2147483647 2147483648 007 1.5'),
  ...[
    '',
    BINARY,
    'x'.repeat(44),
    'x'.repeat(63),
    'x'.repeat(64),
    'xyz'.repeat(40),
    'ab'.repeat(9_000),
  ],
  Buffer.from(Array.from({ length: 300 }, (_, i) => Math.imul(i, 0x9e3779b1) >>> 24)),
  LONG_VALUE,
];

export interface Dumped {
  readonly valueBytes: number;
  readonly payload: Buffer;
}

/** Payloads of RESTORE, and now and then one that is damaged: a bit, its version, its end. */
export function payloads(dumped: readonly Dumped[], valueBytesMax: number): Arbitrary<Word> {
  const fitting = dumped.filter(({ valueBytes }) => valueBytes <= valueBytesMax);
  const whole = fc.constantFrom(...fitting.map(({ payload }) => payload));
  const damaged = fc.tuple(whole, fc.nat(1_000), fc.nat(7)).map(([payload, at, bit]) => {
    const hurt = Buffer.from(payload);
    hurt[((at * hurt.length) % 1_009) % hurt.length] ^= 1 << bit;
    return hurt;
  });
  const cut = fc
    .tuple(whole, fc.nat(20))
    .map(([payload, bytes]) => payload.subarray(0, Math.max(0, payload.length - bytes)));
  return fc.oneof(
    { weight: 20, arbitrary: whole },
    { weight: 1, arbitrary: damaged },
    { weight: 1, arbitrary: cut },
    { weight: 1, arbitrary: fc.constantFrom<Word>('', NEWER_PAYLOAD) },
  );
}

export const relativeTime: Arbitrary<Word> = orEmpty(RELATIVE_TIMES);
export const unixSeconds: Arbitrary<Word> = orEmpty(UNIX_SECONDS);
export const unixMs: Arbitrary<Word> = orEmpty(UNIX_MS);
/** Without those beyond 2^53 ms, of which a record keeps no exact one: two of them do not compare. */
export const exactUnixSeconds: Arbitrary<Word> = orEmpty(UNIX_SECONDS.slice(0, -2));
export const exactUnixMs: Arbitrary<Word> = orEmpty(UNIX_MS.slice(0, -1));
export const pattern: Arbitrary<Word> = orEmpty(PATTERNS);

/** All keys are of one slot, as commands over several keys and transactions want them, or of any. */
export function keys(ofOneSlot: boolean): Arbitrary<Word> {
  const head = Buffer.from(ofOneSlot ? '{tag}' : '');
  return fc.constantFrom(...KEY_TAILS.map((tail) => Buffer.concat([head, Buffer.from(tail)])));
}
