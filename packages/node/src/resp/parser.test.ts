/** Bounds of the parser. What it makes of which bytes is a table in test/fuzz/vectors.ts. */
import { Buffer } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import { DEFAULT_LIMITS, LINE_BYTES_MAX } from './limits.ts';
import { BATCH_COMMANDS_MAX, type LongCommand, Parser, type Unfinished } from './parser.ts';

interface Outcome {
  commands: string[][];
  error: string | null;
}

/** Feeds `pieces` the way a connection does: what is not consumed stays in front. */
function feed(pieces: readonly Buffer[], parser = new Parser(DEFAULT_LIMITS)): Outcome {
  const commands: string[][] = [];
  let held = Buffer.alloc(0);
  let long: Unfinished | null = null;
  for (const piece of pieces) {
    held = Buffer.concat([held, piece]);
    for (;;) {
      parser.parse(held, 0, held.length, long);
      long = parser.long;
      for (let i = 0; i < parser.commands; i++) commands.push(wordsOf(parser, i));
      if (parser.skipped > 0) commands.push([`too long: ${parser.skipped}`]);
      const { consumed } = parser;
      held = held.subarray(consumed);
      if (parser.error !== null) return { commands, error: parser.error };
      if (consumed === 0) break;
    }
  }
  return { commands, error: null };
}

function wordsOf(parser: Parser, i: number): string[] {
  const words: string[] = [];
  const first = parser.firstArgs[i];
  for (let k = first; k < first + parser.argCounts[i]; k++) {
    const start = parser.args[k * 2];
    words.push(parser.buffer.toString('latin1', start, start + parser.args[k * 2 + 1]));
  }
  return words;
}

function bytesOf(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

function cutEvery(bytes: Buffer, size: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return pieces;
}

/** Deterministic numbers in [0, 1). */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function cutAtRandom(bytes: Buffer, random: () => number): Buffer[] {
  const pieces: Buffer[] = [];
  let at = 0;
  while (at < bytes.length) {
    const end = at + 1 + Math.floor(random() * random() * (bytes.length - at));
    pieces.push(bytes.subarray(at, end));
    at = end;
  }
  return pieces;
}

const protocolError = (text: string): string => `ERR Protocol error: ${text}`;

describe('parser: bounds', () => {
  it('one batch holds so many commands and no more; the rest is the next batch', () => {
    const count = BATCH_COMMANDS_MAX + 10;
    const bytes = bytesOf('*1\r\n$4\r\nPING\r\n'.repeat(count));
    const parser = new Parser(DEFAULT_LIMITS);
    parser.parse(bytes, 0, bytes.length, null);
    expect(parser.commands).toBe(BATCH_COMMANDS_MAX);
    expect(feed([bytes]).commands.length).toBe(count);
  });

  it('an announced bulk costs nothing before its bytes arrive', () => {
    const parser = new Parser(DEFAULT_LIMITS);
    const bytes = bytesOf('*2\r\n$3\r\nGET\r\n$536870912\r\n');
    const before = process.memoryUsage().arrayBuffers;
    parser.parse(bytes, 0, bytes.length, null);
    expect(parser).toMatchObject({ commands: 0, consumed: 0, error: null });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000);
  });

  it('an announced million of arguments costs nothing before they arrive', () => {
    const parser = new Parser(DEFAULT_LIMITS);
    const bytes = bytesOf('*1048576\r\n$1\r\na\r\n');
    const before = process.memoryUsage().arrayBuffers;
    parser.parse(bytes, 0, bytes.length, null);
    expect(parser).toMatchObject({ commands: 0, consumed: 0, error: null });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000);
  });

  it('limits come from the settings', () => {
    const parser = new Parser({ ...DEFAULT_LIMITS, maxArguments: 2, maxBulkBytes: 3 });
    expect(feed([bytesOf('*3\r\n')], parser).error).toBe(protocolError('invalid multibulk length'));
    expect(feed([bytesOf('*1\r\n$4\r\n')], parser).error).toBe(
      protocolError('invalid bulk length'),
    );
    expect(feed([bytesOf('*2\r\n$3\r\nGET\r\n$1\r\na\r\n')], parser).commands).toEqual([
      ['GET', 'a'],
    ]);
  });

  it('a line without an end is refused once it is longer than any inline command', () => {
    const short = 'x'.repeat(LINE_BYTES_MAX);
    expect(feed([bytesOf(short)])).toEqual({ commands: [], error: null });
    expect(feed([bytesOf(`${short}x`)]).error).toBe(protocolError('too big inline request'));
  });

  it('a long command that arrives in pieces is looked at once, not once per piece', () => {
    const words = 20_000;
    const bytes = bytesOf(`*${words}\r\n${'$1\r\na\r\n'.repeat(words)}`);
    const parser = new Parser(DEFAULT_LIMITS);
    parser.parse(bytes, 0, 100_000, null);
    const long = parser.long as LongCommand;
    parser.parse(bytes, 0, 100_001, long);
    const done = long.argsDone;
    // Had it started over, it would find the arguments that we take away from it here.
    bytes.fill(0, 12, 90_000);
    parser.parse(bytes, 0, bytes.length, long);
    expect(done).toBeGreaterThan(10_000);
    expect(parser.argCounts[0]).toBe(words);
  });
});

describe('parser: arguments that are longer than any value', () => {
  const limits = { ...DEFAULT_LIMITS, valueBytesMax: LINE_BYTES_MAX };
  const long = 'x'.repeat(LINE_BYTES_MAX + 1);
  const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`;
  const bytes = bytesOf(
    `*1\r\n${bulk('PING')}*3\r\n${bulk('SET')}${bulk('k')}${bulk(long)}` +
      `*5\r\n${bulk('SET')}${bulk('k')}${bulk(`${long}y`)}${bulk('EX')}${bulk('9')}` +
      `*80\r\n${bulk('a').repeat(79)}${bulk(long)}*1\r\n${bulk('PING')}`,
  );
  const skippedAll = [
    ['PING'],
    ['too long: 65537'],
    ['too long: 65538'],
    ['too long: 65537'],
    ['PING'],
  ];

  it('are passed over, cut anywhere, and what follows is parsed', () => {
    // Whole, they are there already: whoever runs the command refuses them.
    for (const size of [1, 7, 1024, 65_536]) {
      const outcome = feed(cutEvery(bytes, size), new Parser(limits));
      expect(outcome).toEqual({ commands: skippedAll, error: null });
    }
    const random = seeded(5);
    for (let i = 0; i < 20; i++) {
      const pieces = cutAtRandom(bytes, random).flatMap((piece) => cutEvery(piece, 60_000));
      const outcome = feed(pieces, new Parser(limits));
      expect(outcome).toEqual({ commands: skippedAll, error: null });
    }
  });

  it('are not kept while they arrive', () => {
    const parser = new Parser(limits);
    let held = 0;
    let rest = Buffer.alloc(0);
    let unfinished: Unfinished | null = null;
    for (const piece of cutEvery(
      bytesOf(`*3\r\n${bulk('SET')}${bulk('k')}${bulk(long.repeat(9))}`),
      999,
    )) {
      rest = Buffer.concat([rest, piece]);
      parser.parse(rest, 0, rest.length, unfinished);
      unfinished = parser.long;
      rest = rest.subarray(parser.consumed);
      held = Math.max(held, rest.length);
    }
    expect(parser.skipped).toBe(9 * long.length);
    expect(held).toBeLessThan(999);
  });
});

describe('parser: bytes of several connections', () => {
  const get = bytesOf('*2\r\n$3\r\nGET\r\n$1\r\na\r\n');
  const whole = bytesOf('*1\r\n$4\r\nPING\r\n*0\r\n');

  it('are one batch where each are whole commands', () => {
    const parser = new Parser(DEFAULT_LIMITS);
    const bytes = Buffer.concat([get, whole, get]);
    parser.parse(bytes, 0, 0, null);
    expect(parser.add(0, get.length)).toBe(true);
    expect(parser.add(get.length, get.length + whole.length)).toBe(true);
    expect(parser.add(get.length + whole.length, bytes.length)).toBe(true);
    const words = [0, 1, 2].map((i) => wordsOf(parser, i));
    expect(words).toEqual([['GET', 'a'], ['PING'], ['GET', 'a']]);
    expect(parser.commands).toBe(3);
    expect(parser.ends[0]).toBe(get.length);
  });

  const others = ['*1\r\n$4\r\nPI', 'PING\r\n', '*1\r\n$x\r\n', '*9\r\n', '*', '\r\n'];
  it.each(others)('are no part of it where they are anything else: %j', (text) => {
    const parser = new Parser(DEFAULT_LIMITS);
    const bytes = Buffer.concat([get, get, bytesOf(text), get]);
    const end = bytes.length - get.length;
    parser.parse(bytes, 0, 0, null);
    expect(parser.add(0, get.length)).toBe(true);
    expect(parser.add(get.length, end)).toBe(false);
    expect(parser.commands).toBe(1);
    expect(parser.error).toBeNull();
    expect(parser.add(end, bytes.length)).toBe(true);
    expect(wordsOf(parser, 1)).toEqual(['GET', 'a']);
  });

  it('are no more commands than a batch may have', () => {
    const parser = new Parser(DEFAULT_LIMITS);
    const bytes = Buffer.concat(Array.from({ length: BATCH_COMMANDS_MAX + 1 }, () => get));
    parser.parse(bytes, 0, 0, null);
    expect(parser.add(0, bytes.length)).toBe(false);
    expect(parser.add(0, bytes.length - get.length)).toBe(true);
    expect(parser.commands).toBe(BATCH_COMMANDS_MAX);
  });
});
