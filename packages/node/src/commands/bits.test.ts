/** Replies are those of redis-server 7.0. */
import { describe, expect, it } from 'vitest';
import type { Reply } from './reply.fixture.ts';
import { SingleNode } from './single-node.fixture.ts';

const OFFSET = { error: 'ERR bit offset is not an integer or out of range' };
const NOT_A_BIT = { error: 'ERR bit is not an integer or out of range' };
const NOT_AN_INTEGER = { error: 'ERR value is not an integer or out of range' };
const SYNTAX = { error: 'ERR syntax error' };

type Vector = readonly [command: string, reply: Reply];

/** Words as they stand, but for hex:... */
function words(command: string): Buffer[] {
  return command
    .split(' ')
    .map((word) =>
      word.startsWith('hex:') ? Buffer.from(word.slice(4), 'hex') : Buffer.from(word),
    );
}

function replies(vectors: readonly Vector[]): void {
  const node = new SingleNode();
  for (const [command, reply] of vectors)
    expect(node.ask(...words(command)), command).toEqual(reply);
  expect(node.partitions[0].verify()).toBeNull();
}

describe('SETBIT and GETBIT', () => {
  it('bit 0 is the highest of the first byte; what a value lacks is zeros', () =>
    replies([
      ['SETBIT a 7 1', 0],
      ['GET a', '\x01'],
      ['SETBIT a 7 1', 1],
      ['SETBIT a 0 1', 0],
      ['SETBIT a 7 0', 1],
      ['GET a', '\x80'],
      ['SETBIT a 20 0', 0],
      ['GET a', '\x80\0\0'],
      ['GETBIT a 0', 1],
      ['GETBIT a 23', 0],
      ['GETBIT a 4294967295', 0],
      ['GETBIT none 5', 0],
      ['EXISTS none', 0],
    ]));

  it('refuse other bits, and offsets that are none or too far', () =>
    replies([
      ['SETBIT a 7 2', NOT_A_BIT],
      ['SETBIT a 7 x', NOT_A_BIT],
      ['SETBIT a -1 1', OFFSET],
      ['SETBIT a x 1', OFFSET],
      ['SETBIT a #1 1', OFFSET],
      ['SETBIT a 4294967296 1', OFFSET],
      ['GETBIT a 4294967296', OFFSET],
      ['SETBIT a 4294967295 1', OFFSET],
      ['EXISTS a', 0],
    ]));

  it('the expiry stays', () =>
    replies([
      ['SET a x EX 100', 'OK'],
      ['SETBIT a 100 1', 0],
      ['TTL a', 100],
    ]));
});

describe('BITCOUNT and BITPOS', () => {
  it('count in a part given in bytes or in bits', () =>
    replies([
      ['SET a foobar', 'OK'],
      ['BITCOUNT a', 26],
      ['BITCOUNT a 0 0', 4],
      ['BITCOUNT a 1 1', 6],
      ['BITCOUNT a -2 9223372036854775807', 7],
      ['BITCOUNT a 5 30 BIT', 17],
      ['BITCOUNT a 9 9 bit', 1],
      ['BITCOUNT a -1 -2 zz', 0],
      ['BITCOUNT a 0 1 zz', SYNTAX],
      ['BITCOUNT a 0', SYNTAX],
      ['BITCOUNT a 0 x', NOT_AN_INTEGER],
      ['BITCOUNT none x', 0],
    ]));

  it('find the first bit; zeros behind the value count unless an end is given', () =>
    replies([
      ['SET a hex:00fff0', 'OK'],
      ['BITPOS a 1', 8],
      ['BITPOS a 0', 0],
      ['BITPOS a 0 1', 20],
      ['BITPOS a 1 2 -1', 16],
      ['BITPOS a 1 7 15 bit', 8],
      ['BITPOS a 1 7 7 bit', -1],
      ['SET full hex:ffff', 'OK'],
      ['BITPOS full 0', 16],
      ['BITPOS full 0 1', 16],
      ['BITPOS full 0 0 -1', -1],
      ['BITPOS full 0 5', -1],
      ['BITPOS none 0', 0],
      ['BITPOS none 1 x', -1],
      ['BITPOS a 2', { error: 'ERR The bit argument must be 1 or 0.' }],
      ['BITPOS a x', NOT_AN_INTEGER],
      ['BITPOS a 1 x zz zz', NOT_AN_INTEGER],
      ['BITPOS a 1 0 zz zz', SYNTAX],
      ['BITPOS a 1 0 1 BIT BIT', SYNTAX],
    ]));
});

describe('BITOP', () => {
  it('combines values; a short one ends in zeros', () =>
    replies([
      ['SET a hex:f0f0ff', 'OK'],
      ['SET b hex:3c', 'OK'],
      ['BITOP AND d a b', 3],
      ['GET d', '\x30\0\0'],
      ['BITOP or d a b none', 3],
      ['GET d', '\xfc\xf0\xff'],
      ['BITOP XOR d b a', 3],
      ['GET d', '\xcc\xf0\xff'],
      ['BITOP NOT d b', 1],
      ['GET d', '\xc3'],
      ['BITOP AND a a a', 3],
      ['GET a', '\xf0\xf0\xff'],
      ['BITOP NOT d none', 0],
      ['EXISTS d', 0],
      ['BITOP NAND d a', SYNTAX],
      ['BITOP NOT d a b', { error: 'ERR BITOP NOT must be called with a single source key.' }],
    ]));
});

describe('BITFIELD', () => {
  it('reads, sets and adds, signed and not', () =>
    replies([
      ['BITFIELD a INCRBY i5 100 1 GET u4 0', [1, 0]],
      ['BITFIELD a SET u8 #1 200 GET u8 8 GET i8 8', [0, 200, -56]],
      [
        'BITFIELD a SET i64 3 -9223372036854775808 GET i64 3',
        [450_359_962_737_049_600n, -(2n ** 63n)],
      ],
      ['STRLEN a', 14],
      ['BITFIELD none GET u8 0', [0]],
      ['BITFIELD none', []],
      ['EXISTS none', 0],
      ['BITFIELD_RO a GET u8 0 OVERFLOW WRAP GET u1 3', [16, 1]],
    ]));

  it('OVERFLOW wraps, stops at the end, or refuses', () =>
    replies([
      ['BITFIELD a SET u4 0 20 SET i4 4 9', [0, 0]],
      ['BITFIELD a GET u4 0 GET i4 4', [4, -7]],
      ['BITFIELD a OVERFLOW SAT INCRBY u4 0 100 INCRBY i4 4 -100', [15, -8]],
      ['BITFIELD a OVERFLOW FAIL INCRBY u4 0 1 GET u4 0', [null, 15]],
      ['BITFIELD a OVERFLOW SAT SET u4 0 -1 GET u4 0', [15, 15]],
      ['BITFIELD b OVERFLOW fail SET u8 100 300', [null]],
      ['STRLEN b', 14],
    ]));

  it('what stays as it was is no mutation', () => {
    const node = new SingleNode();
    node.ask('SET', 'a', 'text');
    const before = node.partitions[0].stats().seq;
    node.ask(...words('BITFIELD a SET u8 0 116 INCRBY u8 8 256'));
    node.ask(...words('SETBIT a 1 1'));
    expect(node.partitions[0].stats().seq).toBe(before);
  });

  it('refuses everything before anything is done', () => {
    const type = {
      error:
        'ERR Invalid bitfield type. Use something like i16 u8. ' +
        'Note that u64 is not supported but i64 is.',
    };
    replies([
      ['BITFIELD a SET u8 0 1 GET u64 0', type],
      ['BITFIELD a GET i65 0', type],
      ['BITFIELD a GET u08 0', type],
      ['BITFIELD a GET U8 0', type],
      ['BITFIELD a SET u8 0 1 GET u8', SYNTAX],
      ['BITFIELD a SET u8 0 x', NOT_AN_INTEGER],
      ['BITFIELD a SET u8 -1 1', OFFSET],
      ['BITFIELD a GET i64 #67108864', OFFSET],
      ['BITFIELD a OVERFLOW zz', { error: 'ERR Invalid OVERFLOW type specified' }],
      ['BITFIELD_RO a SET u8 0 1', { error: 'ERR BITFIELD_RO only supports the GET subcommand' }],
      ['EXISTS a', 0],
    ]);
  });
});
