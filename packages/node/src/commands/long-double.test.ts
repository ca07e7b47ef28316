/** Sums are those of INCRBYFLOAT of redis-server 7.0 on x86-64. */
import { describe, expect, it } from 'vitest';
import { addLongDoubles, formatLongDouble, parseLongDouble } from './long-double.ts';
import { SingleNode } from './single-node.fixture.ts';

const NOT_A_FLOAT = { error: 'ERR value is not a valid float' };
const NOT_FINITE = { error: 'ERR increment would produce NaN or Infinity' };
const LARGEST = '1.18973149535723176502e+4932';

describe('INCRBYFLOAT', () => {
  it.each([
    ['10.50', '0.1', '10.6'],
    ['0', '3.0e3', '3000'],
    ['5.0e3', '2.0e2', '5200'],
    ['0', '1e-5', '0.00001'],
    ['0', '0.30000000000000004', '0.30000000000000004'],
    ['0.1', '0.2', '0.3'],
    ['1', '-1', '0'],
    ['0', '-0', '0'],
    ['0', '-0.000000000000000004', '0'],
    ['0', '0.000000000000000005', '0'],
    ['0', '.5', '0.5'],
    ['1.', '1', '2'],
    ['0', '0x1.8p3', '12'],
    ['0', '-0x.8p-1', '-0.25'],
    ['9223372036854775807', '1', '9223372036854775808'],
    ['18446744073709551615', '1', '18446744073709551616'],
    ['18446744073709551616', '1', '18446744073709551616'],
    ['0', '12345678901234567890.123456789', '12345678901234567890'],
    [LARGEST, `-${LARGEST}`, '0'],
    ['0', '0e99999999999', '0'],
    ['0', '3.6451995318824746e-4951', '0'],
  ])('%s and %s come to %s', (value, delta, sum) => {
    const node = new SingleNode();
    node.ask('SET', 'a', value, 'EX', '100');
    expect(node.ask('INCRBYFLOAT', 'a', delta)).toBe(sum);
    expect(node.ask('GET', 'a')).toBe(sum);
    expect(node.ask('TTL', 'a')).toBe(100);
  });

  it.each(['', ' 1', '1 ', 'x', 'nan', '1e', '.', '0x', '--1', '1e5000', '1e-5000', '1\0', '1_0'])(
    '%j is no number',
    (text) => {
      const node = new SingleNode();
      expect(node.ask('INCRBYFLOAT', 'a', text)).toEqual(NOT_A_FLOAT);
      node.ask('SET', 'a', text);
      expect(node.ask('INCRBYFLOAT', 'a', '1')).toEqual(NOT_A_FLOAT);
      expect(node.ask('GET', 'a')).toBe(text);
    },
  );

  it('infinity is a number, but no sum', () => {
    const node = new SingleNode();
    expect(node.ask('INCRBYFLOAT', 'a', '-Infinity')).toEqual(NOT_FINITE);
    node.ask('SET', 'a', 'inf');
    expect(node.ask('INCRBYFLOAT', 'a', '-inf')).toEqual(NOT_FINITE);
    node.ask('SET', 'a', LARGEST);
    expect(node.ask('INCRBYFLOAT', 'a', LARGEST)).toEqual(NOT_FINITE);
  });

  it('text of 5 KiB is no number, as in Redis; what is shorter may be one', () => {
    const node = new SingleNode();
    expect(node.ask('INCRBYFLOAT', 'a', '0'.repeat(5 * 1024))).toEqual(NOT_A_FLOAT);
    expect(node.ask('INCRBYFLOAT', 'a', '0'.repeat(5 * 1024 - 1))).toBe('0');
  });

  it('an absent key counts from 0', () => {
    expect(new SingleNode().ask('INCRBYFLOAT', 'a', '1.5')).toBe('1.5');
  });
});

describe('numbers of 80 bits', () => {
  it('sums of doubles that need no rounding are those of doubles', () => {
    for (let i = 1; i < 200; i++) {
      const [a, b] = [i / 64, -(i * i) / 1_024];
      const [one, other] = [parseLongDouble(`${a}`), parseLongDouble(`${b}`)];
      const sum = one === null || other === null ? null : addLongDoubles(one, other);
      expect(sum === null ? null : formatLongDouble(sum)).toBe(`${a + b}`);
    }
  });
});
