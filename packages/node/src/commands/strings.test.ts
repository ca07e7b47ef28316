import { beforeEach, describe, expect, it } from 'vitest';
import { SingleNode, START_MS } from './single-node.fixture.ts';

let node: SingleNode;
beforeEach(() => {
  node = new SingleNode();
});

const syntaxError = { error: 'ERR syntax error' };
const notAnInteger = { error: 'ERR value is not an integer or out of range' };
const invalidExpire = (name: string) => ({ error: `ERR invalid expire time in '${name}' command` });

describe('GET and SET', () => {
  it('SET stores bytes, GET returns the same bytes', () => {
    const value = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    const key = Buffer.from([0x00, 0xff, 0x0d, 0x0a, 0x7b, 0x7d]);
    expect(node.ask('SET', key, value)).toBe('OK');
    expect(node.ask('GET', key)).toBe(value.toString('latin1'));
  });

  it('an absent key is nil, an empty key and an empty value are fine', () => {
    expect(node.ask('GET', 'a')).toBeNull();
    node.ask('SET', '', '');
    expect(node.ask('GET', '')).toBe('');
    expect(node.ask('STRLEN', '')).toBe(0);
  });

  it('lookups are counted as hits and misses', () => {
    node.ask('SET', 'a', '1');
    node.ask('GET', 'a');
    node.ask('MGET', 'a', 'b', 'a');
    expect([node.execution.hits, node.execution.misses]).toEqual([3, 1]);
  });
});

describe('SET options', () => {
  it.each([
    ['EX', '100', START_MS + 100_000],
    ['PX', '100', START_MS + 100],
    ['EXAT', '1800000000', 1_800_000_000_000],
    ['PXAT', '1800000000123', 1_800_000_000_123],
    ['ex', '1', START_MS + 1_000],
  ])('%s %s expires at an absolute time', (option, time, expected) => {
    expect(node.ask('SET', 'a', '1', option, time)).toBe('OK');
    expect(node.ask('PEXPIRETIME', 'a')).toBe(expected);
  });

  it.each([['EX'], ['PX'], ['EXAT'], ['PXAT']])('%s refuses times that Redis refuses', (option) => {
    expect(node.ask('SET', 'a', '1', option, '0')).toEqual(invalidExpire('set'));
    expect(node.ask('SET', 'a', '1', option, '-1')).toEqual(invalidExpire('set'));
    expect(node.ask('SET', 'a', '1', option, 'x')).toEqual(notAnInteger);
    expect(node.ask('SET', 'a', '1', option, '9223372036854775808')).toEqual(notAnInteger);
    expect(node.ask('SET', 'a', '1', option)).toEqual(syntaxError);
    expect(node.ask('GET', 'a')).toBeNull();
  });

  it('relative times that leave 64 bits are refused', () => {
    const max = '9223372036854775807';
    expect(node.ask('SET', 'a', '1', 'PX', max)).toEqual(invalidExpire('set'));
    expect(node.ask('SET', 'a', '1', 'EX', '9223372036854775')).toEqual(invalidExpire('set'));
    expect(node.ask('SET', 'a', '1', 'EX', '9000000000000')).toBe('OK');
  });

  it('a time that has passed leaves no key behind', () => {
    node.ask('SET', 'a', 'old');
    expect(node.ask('SET', 'a', 'new', 'PXAT', '1000')).toBe('OK');
    expect(node.ask('EXISTS', 'a')).toBe(0);
  });

  it('plain SET drops the expiry, KEEPTTL keeps it', () => {
    node.ask('SET', 'a', '1', 'EX', '100');
    node.ask('SET', 'a', '2', 'KEEPTTL');
    expect(node.ask('TTL', 'a')).toBe(100);
    node.ask('SET', 'a', '3');
    expect(node.ask('TTL', 'a')).toBe(-1);
    expect(node.ask('SET', 'fresh', '1', 'KEEPTTL')).toBe('OK');
    expect(node.ask('TTL', 'fresh')).toBe(-1);
  });

  it('NX sets absent keys only, XX present ones only', () => {
    expect(node.ask('SET', 'a', '1', 'XX')).toBeNull();
    expect(node.ask('SET', 'a', '1', 'NX')).toBe('OK');
    expect(node.ask('SET', 'a', '2', 'NX')).toBeNull();
    expect(node.ask('SET', 'a', '3', 'XX')).toBe('OK');
    expect(node.ask('GET', 'a')).toBe('3');
  });

  it('GET returns the old value, with NX and XX too', () => {
    expect(node.ask('SET', 'a', '1', 'GET')).toBeNull();
    expect(node.ask('SET', 'a', '2', 'GET')).toBe('1');
    expect(node.ask('SET', 'a', '3', 'NX', 'GET')).toBe('2');
    expect(node.ask('SET', 'a', '4', 'GET', 'XX')).toBe('2');
    expect(node.ask('SET', 'b', '1', 'NX', 'GET')).toBeNull();
    expect(node.ask('SET', 'c', '1', 'XX', 'GET')).toBeNull();
    expect(node.ask('MGET', 'a', 'b', 'c')).toEqual(['4', '1', null]);
  });

  it.each([
    [['NX', 'XX']],
    [['EX', '1', 'PX', '1']],
    [['KEEPTTL', 'EX', '1']],
    [['EX', '1', 'KEEPTTL']],
    [['PERSIST']],
    [['NXX']],
    [['EX', '1', 'NX', 'extra']],
  ])('%j is a syntax error', (options) => {
    expect(node.ask('SET', 'a', '1', ...options)).toEqual(syntaxError);
  });

  it('an expired key is absent to NX and to GET', () => {
    node.ask('SET', 'a', '1', 'PX', '10');
    node.nowMs += 10;
    expect(node.ask('GET', 'a')).toBeNull();
    expect(node.ask('SET', 'a', '2', 'NX', 'GET')).toBeNull();
    expect(node.ask('GET', 'a')).toBe('2');
  });
});

describe('relatives of SET', () => {
  it('SETNX replies whether it set', () => {
    expect(node.ask('SETNX', 'a', '1')).toBe(1);
    expect(node.ask('SETNX', 'a', '2')).toBe(0);
    expect(node.ask('GET', 'a')).toBe('1');
  });

  it.each([
    ['setex', 1_000],
    ['psetex', 1],
  ])('%s takes the time before the value', (name, msPerUnit) => {
    expect(node.ask(name, 'a', '20', 'v')).toBe('OK');
    expect(node.ask('PTTL', 'a')).toBe(20 * msPerUnit);
    expect(node.ask(name, 'a', '0', 'v')).toEqual(invalidExpire(name));
    expect(node.ask(name, 'a', 'x', 'v')).toEqual(notAnInteger);
  });

  it('GETSET returns the old value and drops the expiry', () => {
    expect(node.ask('GETSET', 'a', '1')).toBeNull();
    node.ask('EXPIRE', 'a', '100');
    expect(node.ask('GETSET', 'a', '2')).toBe('1');
    expect(node.ask('TTL', 'a')).toBe(-1);
  });

  it('GETDEL returns and deletes', () => {
    node.ask('SET', 'a', '1');
    expect(node.ask('GETDEL', 'a')).toBe('1');
    expect(node.ask('GETDEL', 'a')).toBeNull();
  });

  it('GETEX sets, keeps and drops the expiry', () => {
    node.ask('SET', 'a', '1');
    expect(node.ask('GETEX', 'a', 'EX', '50')).toBe('1');
    expect(node.ask('GETEX', 'a')).toBe('1');
    expect(node.ask('TTL', 'a')).toBe(50);
    expect(node.ask('GETEX', 'a', 'PERSIST')).toBe('1');
    expect(node.ask('TTL', 'a')).toBe(-1);
    expect(node.ask('GETEX', 'a', 'PXAT', '5')).toBe('1');
    expect(node.ask('EXISTS', 'a')).toBe(0);
    expect(node.ask('GETEX', 'a', 'EX', '50')).toBeNull();
    expect(node.ask('GETEX', 'a', 'KEEPTTL')).toEqual(syntaxError);
    expect(node.ask('GETEX', 'a', 'PERSIST', 'EX', '1')).toEqual(syntaxError);
    expect(node.ask('GETEX', 'a', 'EX', '0')).toBeNull();
    node.ask('SET', 'a', '1');
    expect(node.ask('GETEX', 'a', 'EX', '0')).toEqual(invalidExpire('getex'));
  });

  it('APPEND joins bytes and keeps the expiry', () => {
    expect(node.ask('APPEND', 'a', '\x00b')).toBe(2);
    node.ask('EXPIRE', 'a', '100');
    expect(node.ask('APPEND', 'a', 'c'.repeat(2000))).toBe(2002);
    expect(node.ask('GET', 'a')).toBe(`\x00b${'c'.repeat(2000)}`);
    expect(node.ask('TTL', 'a')).toBe(100);
    expect(node.ask('STRLEN', 'a')).toBe(2002);
  });
});

describe('parts of values', () => {
  it('GETRANGE counts from both ends, and stops where the value does', () => {
    node.ask('SET', 'a', 'This is a string');
    const ranges = [
      [0, 3, 'This'],
      [-3, -1, 'ing'],
      [0, -1, 'This is a string'],
    ] as const;
    for (const [from, to, text] of ranges) {
      expect(node.ask('GETRANGE', 'a', `${from}`, `${to}`)).toBe(text);
      expect(node.ask('SUBSTR', 'a', `${from}`, `${to}`)).toBe(text);
    }
    expect(node.ask('GETRANGE', 'a', '10', '100')).toBe('string');
    expect(node.ask('GETRANGE', 'a', '5', '4')).toBe('');
    expect(node.ask('GETRANGE', 'a', '100', '200')).toBe('');
    expect(node.ask('GETRANGE', 'a', '-100', '-17')).toBe('T');
    expect(node.ask('GETRANGE', 'a', '-1', '-5')).toBe('');
    expect(node.ask('GETRANGE', 'none', '0', '-1')).toBe('');
    expect(node.ask('GETRANGE', 'a', 'x', '1')).toEqual(notAnInteger);
  });

  it('SETRANGE overwrites, pads with zeros and keeps the expiry', () => {
    node.ask('SET', 'a', 'Hello World', 'EX', '100');
    expect(node.ask('SETRANGE', 'a', '6', 'Redis')).toBe(11);
    expect(node.ask('GET', 'a')).toBe('Hello Redis');
    expect(node.ask('TTL', 'a')).toBe(100);
    expect(node.ask('SETRANGE', 'b', '3', 'x')).toBe(4);
    expect(node.ask('GET', 'b')).toBe('\0\0\0x');
    expect(node.ask('SETRANGE', 'none', '3', '')).toBe(0);
    expect(node.ask('EXISTS', 'none')).toBe(0);
    expect(node.ask('SETRANGE', 'a', '-1', 'x')).toEqual({ error: 'ERR offset is out of range' });
  });
});

describe('limits', () => {
  const max = 2 ** 20;
  const fits = 65_536 - 24 - 1;
  const tooLarge = (bytes: number) => ({
    error:
      `ERR value of ${bytes} bytes exceeds the maximum of ${max} ` +
      '(raise --capacity or --value-max, or lower --partitions)',
  });

  it('the largest value that fits one slot is taken, APPEND goes beyond', () => {
    expect(node.ask('SET', 'a', Buffer.alloc(fits, 1))).toBe('OK');
    expect(node.ask('APPEND', 'a', 'x')).toBe(fits + 1);
    expect(node.ask('SETRANGE', 'a', '200000', 'x')).toBe(200_001);
    expect(node.ask('GETRANGE', 'a', `${fits - 1}`, `${fits}`)).toBe('\x01x');
  });

  it('a value that is too large changes nothing', () => {
    node.ask('SET', 'a', 'old');
    const value = Buffer.alloc(max + 1);
    expect(node.ask('SET', 'a', value)).toEqual(tooLarge(max + 1));
    expect(node.ask('SET', 'a', value, 'GET')).toEqual(tooLarge(max + 1));
    expect(node.ask('GETSET', 'a', value)).toEqual(tooLarge(max + 1));
    expect(node.ask('APPEND', 'a', value)).toEqual(tooLarge(max + 4));
    expect(node.ask('SETRANGE', 'a', '1', value)).toEqual(tooLarge(max + 2));
    expect(node.ask('GET', 'a')).toBe('old');
  });

  it('MSET with one value that is too large sets none', () => {
    expect(node.ask('MSET', 'b', '1', 'a', Buffer.alloc(max + 1))).toEqual(tooLarge(max + 1));
    expect(node.ask('EXISTS', 'b')).toBe(0);
  });

  it('a key that no slot holds is refused', () => {
    expect(node.ask('SET', Buffer.alloc(65_536), '')).toEqual({
      error: 'ERR key of 65536 bytes exceeds the maximum of 65511 (use a shorter key)',
    });
    expect(node.ask('GET', Buffer.alloc(65_536))).toBeNull();
  });

  it('a full partition that may not evict replies OOM and keeps what it has', () => {
    const full = new SingleNode({ eviction: 'noeviction' });
    const value = Buffer.alloc(60_000);
    let stored = 0;
    while (full.ask('SET', `key${stored}`, value) === 'OK') stored++;
    expect(stored).toBeGreaterThan(100);
    expect(full.ask('SET', 'more', value)).toMatchObject({
      error: expect.stringMatching(/^OOM command not allowed when used memory > 'maxmemory'\./),
    });
    expect(full.ask('DBSIZE')).toBe(stored);
    expect(full.ask('GET', 'key0')).not.toBeNull();
    // What needs no more memory goes on: in place, and after a DEL where there was something.
    expect(full.ask('SET', 'key0', Buffer.alloc(60_000, 1))).toBe('OK');
    expect(full.ask('DEL', 'key1')).toBe(1);
    expect(full.ask('SET', 'more', value)).toBe('OK');
  });
});

describe('GETEX PERSIST', () => {
  it('of a key that never expires is no mutation', () => {
    node.ask('SET', 'a', '1');
    const before = node.partitions[0].stats().seq;
    expect(node.ask('GETEX', 'a', 'PERSIST')).toBe('1');
    expect(node.partitions[0].stats().seq).toBe(before);
  });
});

const notADigest = { error: expect.stringMatching(/^ERR a digest must be exactly 16/) };

/** Vectors of https://redis.io/docs/latest/commands/set/, .../delex/ and valkey.io/commands/delifeq/ */
describe('conditions on the value', () => {
  const vectors: readonly (readonly [command: string, reply: unknown])[] = [
    ['SET a 2 IFEQ 1', null],
    ['SET a 1', 'OK'],
    ['SET a 2 IFEQ 1', 'OK'],
    ['SET a 3 IFEQ 1', null],
    ['SET a 3 IFEQ 1 GET', '2'],
    ['SET a 3 ifeq 2 GET EX 100', '2'],
    ['TTL a', 100],
    ['SET a 4 IFEQ 3 KEEPTTL', 'OK'],
    ['TTL a', 100],
    ['SET a 5 IFNE 4', null],
    ['SET a 5 IFNE 3', 'OK'],
    ['SET b 1 IFNE 1', 'OK'],
    ['SET a 6 IFEQ', syntaxError],
    ['SET a 6 IFEQ 5 NX', syntaxError],
    ['SET a 6 XX IFEQ 5', syntaxError],
    ['SET a 6 IFEQ 5 IFNE 5', syntaxError],
    ['MGET a b', ['5', '1']],
    ['DELIFEQ a 4', 0],
    ['DELIFEQ a 5', 1],
    ['DELIFEQ a 5', 0],
    ['DELEX b IFEQ 2', 0],
    ['DELEX b IFNE 1', 0],
    ['DELEX b IFNE', syntaxError],
    ['DELEX b zz 1', syntaxError],
    ['DELEX b ifne 2', 1],
    ['DELEX b', 0],
    ['SET b 1', 'OK'],
    ['SET key1 hello', 'OK'],
    ['SET key1 a IFDEQ 0123456789abcdef', null],
    ['SET key1 a IFDEQ 9555E8555C62DCFD GET', 'hello'],
    ['SET key1 hello IFDNE 9555e8555c62dcfd', 'OK'],
    ['SET key1 b IFDNE 9555e8555c62dcfd', null],
    ['SET c 1 IFDEQ 9555e8555c62dcfd', null],
    ['SET c test IFDNE 9555e8555c62dcfd', 'OK'],
    ['SET c 1 IFDEQ 9ec9f7918d7dfc4', notADigest],
    ['SET c 1 IFDNE 9ec9f7918d7dfc4x', notADigest],
    ['SET c 1 IFDEQ 9ec9f7918d7dfc40 IFEQ test', syntaxError],
    ['DELEX c IFDEQ 9ec9f7918d7dfc4', notADigest],
    ['DELEX c IFDEQ 9555e8555c62dcfd', 0],
    ['DELEX c IFDNE 9ec9f7918d7dfc40', 0],
    ['DELEX c IFDEQ 9ec9f7918d7dfc40', 1],
    ['DELEX c IFDEQ 9ec9f7918d7dfc40', 0],
    ['DELEX b IFEQ 1', 1],
    ['SET b 1', 'OK'],
    ['DELEX b', 1],
    ['EXISTS a b', 0],
  ];

  it('SET IFEQ and IFNE, DELIFEQ, DELEX', () => {
    for (const [command, reply] of vectors) {
      expect(node.ask(...command.split(' ')), command).toEqual(reply);
    }
  });

  it('compare all bytes', () => {
    const value = Buffer.alloc(60_000, 'x');
    node.ask('SET', 'a', value);
    value[59_999] = 0;
    expect(node.ask('DELIFEQ', 'a', value)).toBe(0);
    expect(node.ask('DELIFEQ', 'a', value.subarray(1))).toBe(0);
    value[59_999] = 0x78;
    expect(node.ask('DELIFEQ', 'a', value)).toBe(1);
  });
});
