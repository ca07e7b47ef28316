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
/** What DUMP of Redis 7.0 says: text, integers, what LZF made smaller, and one that is damaged. */
const PAYLOADS: readonly Buffer[] = split(
  '00000a005d9b5c400f7fa2da 000568656c6c6f0a006372df766534200a 00c00c0a003c2af8515c04bcd5 ' +
    '00c17fff0a001760822854808480 00c2701101000a0001a408fe953095a5 ' +
    '000a323134373438333634380a00e7b129a34c1d76ee 00c3094040017878e033000178780a007671d576c5795442 ' +
    '00c30a40c802616261e0ba010161620a0024a6e84170c0c68c 000568656c6c6f0a006372df766534200b',
).map((hex) => Buffer.from(hex, 'hex'));

export const payload: Arbitrary<Word> = orEmpty(PAYLOADS);
export const relativeTime: Arbitrary<Word> = orEmpty(RELATIVE_TIMES);
export const unixSeconds: Arbitrary<Word> = orEmpty(UNIX_SECONDS);
export const unixMs: Arbitrary<Word> = orEmpty(UNIX_MS);
export const pattern: Arbitrary<Word> = orEmpty(PATTERNS);

/** All keys are of one slot, as commands over several keys and transactions want them, or of any. */
export function keys(ofOneSlot: boolean): Arbitrary<Word> {
  const head = Buffer.from(ofOneSlot ? '{tag}' : '');
  return fc.constantFrom(...KEY_TAILS.map((tail) => Buffer.concat([head, Buffer.from(tail)])));
}
