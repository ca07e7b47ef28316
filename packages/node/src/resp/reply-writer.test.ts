import { Buffer } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import { type Lent, type Protocol, ReplyWriter } from './reply-writer.ts';

function written(protocol: Protocol, write: (out: ReplyWriter) => void): string {
  const out = new ReplyWriter(16);
  out.protocol = protocol;
  write(out);
  return out.take().toString('latin1');
}

const bytes = Buffer.from('..hello..');

const ROWS: readonly [string, (out: ReplyWriter) => void, string, string][] = [
  ['ok', (out) => out.ok(), '+OK\r\n', '+OK\r\n'],
  ['simple', (out) => out.simple('PONG'), '+PONG\r\n', '+PONG\r\n'],
  ['error', (out) => out.error('ERR no'), '-ERR no\r\n', '-ERR no\r\n'],
  ['error, made one line', (out) => out.error('ERR a\r\nb'), '-ERR a  b\r\n', '-ERR a  b\r\n'],
  ['integer', (out) => out.integer(-42), ':-42\r\n', ':-42\r\n'],
  [
    'integer beyond 2^53',
    (out) => out.integer(2 ** 63),
    ':9223372036854775808\r\n',
    ':9223372036854775808\r\n',
  ],
  [
    'bigint',
    (out) => out.integer(2n ** 63n - 1n),
    ':9223372036854775807\r\n',
    ':9223372036854775807\r\n',
  ],
  ['bulk', (out) => out.bulk(bytes, 2, 5), '$5\r\nhello\r\n', '$5\r\nhello\r\n'],
  ['empty bulk', (out) => out.bulk(bytes, 2, 0), '$0\r\n\r\n', '$0\r\n\r\n'],
  ['text, in bytes', (out) => out.bulkText('é'), '$2\r\n\xc3\xa9\r\n', '$2\r\n\xc3\xa9\r\n'],
  ['verbatim', (out) => out.verbatim('hi'), '$2\r\nhi\r\n', '=6\r\ntxt:hi\r\n'],
  ['nil', (out) => out.nil(), '$-1\r\n', '_\r\n'],
  ['nil array', (out) => out.nilArray(), '*-1\r\n', '_\r\n'],
  ['array', (out) => out.array(3), '*3\r\n', '*3\r\n'],
  ['map', (out) => out.map(2), '*4\r\n', '%2\r\n'],
  ['set', (out) => out.set(2), '*2\r\n', '~2\r\n'],
  ['double', (out) => out.double(1.5), '$3\r\n1.5\r\n', ',1.5\r\n'],
  ['infinity', (out) => out.double(Number.NEGATIVE_INFINITY), '$4\r\n-inf\r\n', ',-inf\r\n'],
  ['boolean', (out) => out.boolean(true), ':1\r\n', '#t\r\n'],
  ['raw', (out) => out.raw(bytes, 2, 3), 'hel', 'hel'],
];

describe('reply writer: a bulk by words', () => {
  it('of any length from anywhere to anywhere is the same as byte by byte', () => {
    const source = Buffer.from(Array.from({ length: 700 }, (_, i) => (i * 31 + 7) & 0xff));
    const words = new DataView(source.buffer, source.byteOffset, source.length);
    for (let bytes = 0; bytes < 300; bytes++) {
      const [out, expected] = [new ReplyWriter(16), new ReplyWriter(16)];
      for (let from = 0; from < 4; from++) {
        out.simple('x'.repeat(from));
        expected.simple('x'.repeat(from));
        out.bulkOf(source, words, from + bytes, bytes);
        expected.bulk(source, from + bytes, bytes);
      }
      expect(out.take().equals(expected.take())).toBe(true);
    }
  });

  it('that ends where its source does reads nothing beyond', () => {
    const source = Buffer.from('0123456789abcdefg');
    const words = new DataView(source.buffer, source.byteOffset, source.length);
    for (let bytes = 0; bytes <= source.length; bytes++) {
      const from = source.length - bytes;
      const expected = `$${bytes}\r\n${source.toString('latin1', from)}\r\n`;
      expect(written(2, (out) => out.bulkOf(source, words, from, bytes))).toBe(expected);
    }
  });
});

describe('reply writer: each reply in both protocols', () => {
  for (const [name, write, resp2, resp3] of ROWS) {
    it(name, () => {
      expect(written(2, write)).toBe(resp2);
      expect(written(3, write)).toBe(resp3);
    });
  }
});

describe('reply writer', () => {
  it('writes integers as String does', () => {
    const samples = [0, 1, 9, 10, 99, 100, 101, 999, 1000, 65_535, 2 ** 31, 10 ** 12, 2 ** 53 - 1];
    for (const value of samples.flatMap((n) => [n, -n || 0])) {
      expect(written(2, (out) => out.integer(value))).toBe(`:${value}\r\n`);
    }
  });

  it('keeps what was written while it grows', () => {
    const value = Buffer.alloc(1000, 'v');
    const text = written(2, (out) => {
      for (let i = 0; i < 200; i++) out.bulk(value, 0, i * 5);
    });
    const expected = Array.from({ length: 200 }, (_, i) => `$${i * 5}\r\n${'v'.repeat(i * 5)}\r\n`);
    expect(text).toBe(expected.join(''));
  });

  it('rewinds to a mark', () => {
    const text = written(2, (out) => {
      out.ok();
      const mark = out.mark();
      out.array(5);
      out.rewind(mark);
      out.nil();
    });
    expect(text).toBe('+OK\r\n$-1\r\n');
  });

  it('stops at its limit, says so, and is usable after a rewind', () => {
    const out = new ReplyWriter(16, 100);
    out.ok();
    const mark = out.mark();
    out.bulk(Buffer.alloc(200), 0, 200);
    out.ok();
    expect(out.overflowed).toBe(true);
    out.rewind(mark);
    out.error('ERR too large');
    expect(out.take().toString()).toBe('+OK\r\n-ERR too large\r\n');
  });

  it('leaves a buffer to its reader and starts a new one', () => {
    const out = new ReplyWriter();
    out.simple('first');
    const { buffer } = out;
    out.surrender();
    out.simple('other');
    expect(buffer.toString('latin1', 0, 8)).toBe('+first\r\n');
  });
});

describe('reply writer: values that are lent', () => {
  function lent(...texts: string[]): Lent & { released: number } {
    const views = texts.map((text) => Buffer.from(text));
    const bytes = texts.join('').length;
    const value = { views, bytes, released: 0, release: () => void value.released++ };
    return value;
  }

  const text = (out: ReplyWriter): string => Buffer.concat(out.pieces()).toString();

  it('stand between the others, as the very same memory', () => {
    const out = new ReplyWriter();
    const [a, b] = [lent('one', 'two'), lent('three')];
    out.ok();
    out.lend(a);
    out.lend(b);
    out.nil();
    expect(text(out)).toBe('+OK\r\n$6\r\nonetwo\r\n$5\r\nthree\r\n$-1\r\n');
    expect(out.pieces()).toContain(a.views[1]);
    expect(out.lentBytes).toBe(11);
    expect(a.released).toBe(0);
    out.reset();
    expect([a.released, b.released, out.lentBytes, out.pieces()]).toEqual([1, 1, 0, []]);
  });

  it('are given back where the reply is forgotten, and only those', () => {
    const out = new ReplyWriter();
    const [a, b] = [lent('a'), lent('b')];
    out.lend(a);
    const mark = out.mark();
    out.lend(b);
    out.rewind(mark);
    expect([a.released, b.released]).toEqual([0, 1]);
    expect(text(out)).toBe('$1\r\na\r\n');
  });

  it('are released by whoever took them over', () => {
    const out = new ReplyWriter();
    const a = lent('a');
    out.lend(a);
    expect(out.surrenderLent()).toEqual([a]);
    out.reset();
    expect(a.released).toBe(0);
  });

  it('are copied where the replies are taken out', () => {
    const out = new ReplyWriter();
    const a = lent('a', 'b');
    out.lend(a);
    out.ok();
    expect(out.take().toString()).toBe('$2\r\nab\r\n+OK\r\n');
    expect(a.released).toBe(1);
  });

  it('are not taken past the limit', () => {
    const out = new ReplyWriter(16, 20);
    expect(out.lend(lent('a'))).toBe(false);
    expect(out.overflowed).toBe(true);
  });
});
