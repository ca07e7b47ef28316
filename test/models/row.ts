/** A kind of command of the models, and what most of them draw: keys, values, sizes. */
import fc from 'fast-check';
import { randomFrom } from '../support/random.ts';
import { VALUE_MAX_BYTES, type World } from './world.ts';

export interface Row {
  readonly name: string;
  readonly weight: number;
  readonly asked: fc.Arbitrary<object>;
  readonly run: (world: World, asked: object) => void;
}

/** Ties what is drawn to what is run. */
export function row<A extends object>(
  name: string,
  weight: number,
  asked: { [N in keyof A]: fc.Arbitrary<A[N]> },
  run: (world: World, asked: A) => void,
): Row {
  return { name, weight, asked: fc.record(asked), run: run as Row['run'] };
}

const KEY_BYTES_MAX = 65_511;
/** Few, so that they meet. Those that would fill a page have names. */
const LONG_KEYS: Readonly<Record<string, string>> = {
  empty: '',
  long: 'l'.repeat(5_000),
  longest: 'm'.repeat(KEY_BYTES_MAX),
  tooLong: 'n'.repeat(KEY_BYTES_MAX + 1),
};
export const keyOf = (name: string): string => LONG_KEYS[name] ?? name;

const SHORT_KEYS = ['k0', 'k1', 'k2', 'k3', 'k4', 'k5', 'k6', 'k7'];
export const key: fc.Arbitrary<string> = fc.oneof(
  { weight: 40, arbitrary: fc.constantFrom(...SHORT_KEYS) },
  { weight: 2, arbitrary: fc.constantFrom('empty', 'long') },
  { weight: 1, arbitrary: fc.constantFrom('longest', 'tooLong') },
);

const CHUNK_BYTES = 65_536;
/** From nothing to one more than there may be. */
export const bytes: fc.Arbitrary<number> = fc.oneof(
  { weight: 24, arbitrary: fc.nat(200) },
  { weight: 12, arbitrary: fc.nat(6_000) },
  { weight: 4, arbitrary: fc.integer({ min: CHUNK_BYTES - 150, max: CHUNK_BYTES + 100 }) },
  { weight: 4, arbitrary: fc.nat(4 * CHUNK_BYTES) },
  { weight: 1, arbitrary: fc.nat(VALUE_MAX_BYTES) },
  { weight: 1, arbitrary: fc.constantFrom(VALUE_MAX_BYTES, VALUE_MAX_BYTES + 1) },
);

export const salt: fc.Arbitrary<number> = fc.nat(999);

const SALT_STEP = 41;
const random = randomFrom(1);
const NOISE = Buffer.from(Array.from({ length: CHUNK_BYTES }, () => Math.floor(random() * 256)));
/** No two stretches of it are alike for long. */
const ANY_VALUE = Buffer.alloc(VALUE_MAX_BYTES + 1 + 1_000 * SALT_STEP);
for (let at = 0, turn = 0; at < ANY_VALUE.length; turn++) {
  const bytesPut = NOISE.copy(ANY_VALUE, at);
  for (let i = at; i < at + bytesPut; i += 512) ANY_VALUE.writeUInt16LE(turn, i);
  at += bytesPut;
}

/** So many bytes, others for each salt; never to be changed. */
export const valueOf = (count: number, salted: number): Buffer =>
  ANY_VALUE.subarray(salted * SALT_STEP, salted * SALT_STEP + count);

/** Milliseconds, or none at all. */
export const ttlMs: fc.Arbitrary<number | undefined> = fc.constantFrom(
  ...[undefined, undefined, undefined, 5, 50],
);
