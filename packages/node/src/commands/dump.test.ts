/** Payloads are those of redis-server 7.0. */
import { describe, expect, it } from 'vitest';
import { writeCrc64 } from './crc64.ts';
import { SingleNode } from './single-node.fixture.ts';

/** Of values that Redis does not compress: what it writes is what is written here. */
const PLAIN: readonly (readonly [value: string, hex: string])[] = [
  ['', '00000a005d9b5c400f7fa2da'],
  ['hello', '000568656c6c6f0a006372df766534200a'],
  ['12', '00c00c0a003c2af8515c04bcd5'],
  ['-129', '00c17fff0a001760822854808480'],
  ['70000', '00c2701101000a0001a408fe953095a5'],
  ['2147483648', '000a323134373438333634380a00e7b129a34c1d76ee'],
  ['007', '00033030370a007258e27b4c69bad9'],
  ['x'.repeat(64), `004040${'78'.repeat(64)}0a00376c9d023dc52973`],
];

const COMPRESSED: readonly (readonly [value: string, hex: string])[] = [
  ['x'.repeat(64), '00c3094040017878e033000178780a007671d576c5795442'],
  ['ab'.repeat(100), '00c30a40c802616261e0ba010161620a0024a6e84170c0c68c'],
];

const LIST = '120102090900000001000101ff0a0010828f9209b3f446';

const WRONG = { error: 'ERR DUMP payload version or checksum are wrong' };
const DAMAGED = { error: 'ERR Bad data format' };
const NO_STRING = { error: 'ERR Bad data format: Ingot holds strings only' };

function mulberry32(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mix = Math.imul(state ^ (state >>> 15), state | 1);
    mix ^= mix + Math.imul(mix ^ (mix >>> 7), mix | 61);
    return Math.floor((((mix ^ (mix >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** With a sum that is right. */
function summed(hex: string): Buffer {
  const body = Buffer.from(hex, 'hex');
  const payload = Buffer.concat([body, Buffer.alloc(8)]);
  writeCrc64(payload, 0, body.length, payload, body.length);
  return payload;
}

describe('DUMP and RESTORE', () => {
  it('the sum is the CRC-64 of Redis, at every length', () => {
    const sum = Buffer.alloc(8);
    writeCrc64(Buffer.from('..123456789..'), 2, 11, sum, 0);
    expect(sum.readBigUInt64LE()).toBe(0xe9c6d914c4b8d9can);
  });

  it.each(PLAIN)('DUMP of %j is what Redis writes, and RESTORE reads it', (value, hex) => {
    const node = new SingleNode();
    node.ask('SET', 'a', value);
    expect(Buffer.from(node.ask('DUMP', 'a') as string, 'latin1').toString('hex')).toBe(hex);
    expect(node.ask('RESTORE', 'b', '0', Buffer.from(hex, 'hex'))).toBe('OK');
    expect(node.ask('GET', 'b')).toBe(value);
  });

  it.each(COMPRESSED)('RESTORE reads what Redis has compressed', (value, hex) => {
    const node = new SingleNode();
    expect(node.ask('RESTORE', 'a', '0', Buffer.from(hex, 'hex'))).toBe('OK');
    expect(node.ask('GET', 'a')).toBe(value);
    expect(node.ask('DUMP', 'none')).toBeNull();
  });

  it('values of all lengths come back, through DUMP and RESTORE', () => {
    const node = new SingleNode();
    for (const bytes of [10, 11, 12, 20, 21, 63, 64, 300, 16_383, 16_384, 60_000]) {
      const value = Buffer.from(Array.from({ length: bytes }, (_, i) => (i * i) & 0xff));
      node.ask('SET', 'a', value);
      const payload = Buffer.from(node.ask('DUMP', 'a') as string, 'latin1');
      expect(node.ask('RESTORE', 'b', '0', payload, 'REPLACE')).toBe('OK');
      expect(node.ask('GET', 'b')).toBe(value.toString('latin1'));
    }
  });

  it('options and times', () => {
    const node = new SingleNode();
    const payload = Buffer.from(PLAIN[1][1], 'hex');
    const restore = (ttl: string, ...options: string[]) =>
      node.ask('RESTORE', 'a', ttl, payload, ...options);
    expect(restore('5000')).toBe('OK');
    expect(node.ask('PTTL', 'a')).toBe(5_000);
    expect(restore('0')).toEqual({ error: 'BUSYKEY Target key name already exists.' });
    expect(restore('4000000000123', 'REPLACE', 'ABSTTL')).toBe('OK');
    expect(node.ask('PEXPIRETIME', 'a')).toBe(4_000_000_000_123);
    expect(restore('0', 'replace', 'IDLETIME', '5')).toBe('OK');
    expect(node.ask('TTL', 'a')).toBe(-1);
    expect(restore('1000', 'REPLACE', 'ABSTTL', 'FREQ', '7')).toBe('OK');
    expect(node.ask('EXISTS', 'a')).toBe(0);
    expect(restore('9223372036854775807')).toBe('OK');
    expect(node.ask('EXISTS', 'a')).toBe(0);
    expect(restore('-1')).toEqual({ error: 'ERR Invalid TTL value, must be >= 0' });
    expect(restore('x')).toEqual({ error: 'ERR value is not an integer or out of range' });
    for (const words of [['zz'], ['FREQ'], ['IDLETIME', '1', 'FREQ', '1']]) {
      expect(restore('0', ...words)).toEqual({ error: 'ERR syntax error' });
    }
    expect(restore('0', 'FREQ', '256')).toEqual({
      error: 'ERR Invalid FREQ value, must be >= 0 and <= 255',
    });
    expect(restore('0', 'IDLETIME', '-1')).toEqual({
      error: 'ERR Invalid IDLETIME value, must be >= 0',
    });
  });

  it('bytes of any kind with a right sum do no harm', () => {
    const node = new SingleNode();
    const random = mulberry32(1);
    for (let i = 0; i < 3_000; i++) {
      const body = Array.from({ length: 1 + random(24) }, () => random(256));
      body[0] = random(4) === 0 ? body[0] : 0;
      if (random(2) === 0 && body.length > 1) body[1] = 0xc3;
      const reply = node.ask(
        'RESTORE',
        'a',
        '0',
        summed(`${Buffer.from(body).toString('hex')}0a00`),
      );
      node.ask('DEL', 'a');
      const { error } = reply === 'OK' ? { error: 'ERR Bad data' } : (reply as { error: string });
      expect(error).toMatch(/^ERR (Bad data|value of)/);
    }
    expect(node.partitions[0].verify()).toBeNull();
  });

  it('a payload that is damaged, newer, no string or too long is refused', () => {
    const node = new SingleNode();
    const restore = (payload: Buffer) => node.ask('RESTORE', 'a', '0', payload);
    const whole = Buffer.from(COMPRESSED[1][1], 'hex');
    for (let i = 0; i < whole.length; i++) {
      const flipped = Buffer.from(whole);
      flipped[i] ^= 1 << (i % 8);
      expect(restore(flipped)).toEqual(WRONG);
      expect(restore(whole.subarray(0, i))).toEqual(WRONG);
    }
    expect(restore(Buffer.from(LIST, 'hex'))).toEqual(NO_STRING);
    expect(restore(summed('00c00c0b00'))).toEqual(WRONG);
    // A length behind its end, LZF that begins before itself, ends early, or does not end.
    for (const hex of ['007fff0a00', '00c302052061', '00c30305016161', '00c30202016161', '00c4']) {
      expect(restore(summed(`${hex}0a00`)), hex).toEqual(DAMAGED);
    }
    expect(restore(summed('00c3058fffffff20000000000a00'))).toEqual(DAMAGED);
    expect(restore(summed('00c302c0ffffffff20000a00'))).toEqual(DAMAGED);
    expect(restore(summed('00c30280ffffffff20000a00'))).toEqual({
      error: expect.stringMatching(/^ERR value of 4294967295 bytes exceeds the maximum/),
    });
    expect(node.ask('DBSIZE')).toBe(0);
  });
});
