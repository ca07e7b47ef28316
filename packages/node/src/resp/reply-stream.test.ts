import { describe, expect, it } from 'vitest';
import { ReplyStream } from './reply-stream.ts';

const REPLIES = [
  '+OK\r\n',
  '$5\r\nhe\r\no\r\n',
  '$-1\r\n',
  '$0\r\n\r\n',
  '-ERR not -this\r\n',
  ':-12\r\n',
  '*0\r\n',
  '*-1\r\n',
  '*3\r\n$1\r\na\r\n-ERR inside\r\n*2\r\n:1\r\n$2\r\n-x\r\n',
  '_\r\n',
  '%1\r\n+a\r\n*1\r\n#t\r\n',
  '$12\r\n-ERR bulk\r\n\n\r\n',
  '=5\r\ntxt:a\r\n',
];

/** Whole replies put together again, and whether each error came in one piece. */
function cut(text: string, sizes: (at: number) => number): string[] {
  const replies: string[] = [];
  let pieces: string[] = [];
  const stream = new ReplyStream({
    piece: (bytes, ends) => {
      pieces.push(bytes.toString('latin1'));
      if (!ends) return;
      if (pieces[0].startsWith('-')) expect(pieces.length).toBe(1);
      replies.push(pieces.join(''));
      pieces = [];
    },
  });
  for (let at = 0; at < text.length; ) {
    const next = at + sizes(at);
    stream.push(Buffer.from(text.slice(at, next), 'latin1'));
    at = next;
  }
  expect(stream.invalid).toBe(false);
  return replies;
}

describe('reply stream', () => {
  const text = REPLIES.join('');

  it('cuts replies apart, whole, byte by byte and at any cut', () => {
    expect(cut(text, () => text.length)).toEqual(REPLIES);
    expect(cut(text, () => 1)).toEqual(REPLIES);
    for (let first = 1; first < text.length; first++) {
      expect(cut(text, (at) => (at === 0 ? first : text.length))).toEqual(REPLIES);
    }
    for (const size of [2, 3, 5, 7, 11]) expect(cut(text, () => size)).toEqual(REPLIES);
  });

  it('tells a long bulk as it comes', () => {
    const pieces: [number, boolean][] = [];
    const stream = new ReplyStream({ piece: (bytes, ends) => pieces.push([bytes.length, ends]) });
    stream.push(Buffer.from('$1000\r\n'));
    stream.push(Buffer.alloc(600, '-'));
    stream.push(Buffer.concat([Buffer.alloc(400), Buffer.from('\r\n+OK\r\n')]));
    expect(pieces).toEqual([
      [7, false],
      [600, false],
      [402, true],
      [5, true],
    ]);
  });

  it('says so where a reply makes no sense', () => {
    for (const bad of ['x\r\n', '$a\r\n']) {
      const stream = new ReplyStream({ piece: () => {} });
      stream.push(Buffer.from(bad));
      expect(stream.invalid).toBe(true);
    }
  });
});
