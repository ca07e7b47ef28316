/** Ways to damage a stream of bytes. Each is a row; a case is a stream of the corpus and a few of these, from a seed. */
import { Buffer } from 'node:buffer';
import { pickFrom } from '../support/random.ts';

interface Mutator {
  readonly name: string;
  readonly weight: number;
  readonly mutate: (bytes: Buffer, random: () => number, other: Buffer) => Buffer;
}

const STREAM_BYTES_MAX = 200_000;

/** Bytes that mean something. */
const PIECES: readonly Buffer[] = [
  ...[
    '\r\n',
    '\r',
    '\n',
    '\0',
    '*',
    '$',
    '"',
    "'",
    '\\x',
    ' ',
    '*1\r\n',
    '$-1\r\n',
    '*-1\r\n',
    '$0\r\n\r\n',
  ],
  ...[
    '_\r\n',
    '+OK\r\n',
    '%1\r\n',
    '*0\r\n',
    '\xff',
    '-',
    '0',
    'PING\r\n',
    '*2\r\n$4\r\nECHO\r\n',
    'x'.repeat(65_537),
  ],
].map((text) => Buffer.from(text, 'latin1'));

const LENGTHS = [
  ...'0 1 2 3 4 5 9 10 11 63 64 65 66 100 255 256 1023 1024 16384 16385 65535 65536 1048575'.split(
    ' ',
  ),
  ...'1048576 1048577 16777216 536870912 536870913 2147483647 2147483648 4294967295 4294967297'.split(
    ' ',
  ),
  ...'9007199254740993 9223372036854775808 18446744073709551617 -1 -2 -0 00 01 +1 1x 1.0'.split(
    ' ',
  ),
  ...['', ' 1', '1 ', '-', '999999999999999', '1000000000000000'],
];

const at = (bytes: Buffer, random: () => number): number =>
  Math.floor(random() * (bytes.length + 1));

function spliced(bytes: Buffer, from: number, to: number, put: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, from), put, bytes.subarray(to)]);
}

/** A range, short more often than long. */
function range(bytes: Buffer, random: () => number): [number, number] {
  const from = at(bytes, random);
  return [from, from + Math.floor(random() ** 3 * (bytes.length - from + 1))];
}

function pick<T>(items: readonly T[], random: () => number): T {
  return items[Math.floor(random() * items.length)];
}

const MUTATORS: readonly Mutator[] = [
  {
    name: 'bit',
    weight: 3,
    mutate: (bytes, random) => {
      const flipped = Buffer.from(bytes);
      const place = Math.floor(random() * bytes.length);
      if (place < bytes.length) flipped[place] ^= 1 << Math.floor(random() * 8);
      return flipped;
    },
  },
  {
    name: 'byte',
    weight: 3,
    mutate: (bytes, random) => {
      const from = at(bytes, random);
      const to = Math.min(bytes.length, from + Math.floor(random() * 2));
      return spliced(bytes, from, to, Buffer.from([Math.floor(random() * 256)]));
    },
  },
  {
    name: 'delete',
    weight: 2,
    mutate: (bytes, random) => spliced(bytes, ...range(bytes, random), Buffer.alloc(0)),
  },
  {
    name: 'insert',
    weight: 3,
    mutate: (bytes, random) => {
      const from = at(bytes, random);
      return spliced(bytes, from, from, pick(PIECES, random));
    },
  },
  {
    name: 'length',
    weight: 6,
    mutate: (bytes, random) => {
      const headers = [...bytes.toString('latin1').matchAll(/[*$]([0-9+-]*)\r\n/g)];
      if (headers.length === 0) return bytes;
      const header = pick(headers, random);
      const from = header.index + 1;
      const wanted = Number(header[1]) + Math.floor(random() * 5) - 2;
      const length = random() < 0.5 ? pick(LENGTHS, random) : `${wanted}`;
      return spliced(bytes, from, from + header[1].length, Buffer.from(length));
    },
  },
  {
    name: 'duplicate',
    weight: 2,
    mutate: (bytes, random) => {
      const [from, to] = range(bytes, random);
      return spliced(bytes, to, to, bytes.subarray(from, to));
    },
  },
  {
    name: 'repeat',
    weight: 1,
    mutate: (bytes, random) => {
      const count = Math.min(1 + Math.floor(random() * 200), STREAM_BYTES_MAX / (bytes.length + 1));
      return Buffer.concat(Array.from({ length: Math.max(1, count) }, () => bytes));
    },
  },
  {
    name: 'splice',
    weight: 3,
    mutate: (bytes, random, other) => {
      const [from, to] = range(bytes, random);
      return spliced(bytes, from, to, other.subarray(...range(other, random)));
    },
  },
  { name: 'truncate', weight: 2, mutate: (bytes, random) => bytes.subarray(0, at(bytes, random)) },
  { name: 'append', weight: 3, mutate: (bytes, _random, other) => Buffer.concat([bytes, other]) },
];

export const MUTATOR_NAMES: readonly string[] = MUTATORS.map(({ name }) => name);

const DAMAGES_MAX = 5;

/** One stream of the corpus, damaged a few times, or, now and then, as it is. */
export function mutated(
  corpus: readonly Buffer[],
  random: () => number,
  used?: (name: string) => void,
): Buffer {
  let bytes = pick(corpus, random);
  const damages = Math.floor(random() * (DAMAGES_MAX + 1));
  for (let i = 0; i < damages; i++) {
    const { name, mutate } = pickFrom(MUTATORS, random);
    bytes = mutate(bytes, random, pick(corpus, random)).subarray(0, STREAM_BYTES_MAX);
    used?.(name);
  }
  return bytes;
}
