import { Buffer } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import { ReplyScanner } from './reply-scanner.ts';

const REPLIES: readonly string[] = [
  '+OK\r\n',
  '-ERR no\r\n',
  ':42\r\n',
  '$5\r\nhello\r\n',
  '$0\r\n\r\n',
  '$-1\r\n',
  '*-1\r\n',
  '_\r\n',
  '#t\r\n',
  ',1.5\r\n',
  '(12345678901234567890\r\n',
  '=6\r\ntxt:hi\r\n',
  '!5\r\nERR x\r\n',
  '*0\r\n',
  '*2\r\n$3\r\n\r\n+\r\n:1\r\n',
  '%2\r\n+a\r\n:1\r\n+b\r\n*2\r\n:2\r\n:3\r\n',
  '~2\r\n*1\r\n*1\r\n+deep\r\n_\r\n',
  '>2\r\n+message\r\n$1\r\nx\r\n',
];

function scan(pieces: readonly Buffer[]): string[] {
  const scanner = new ReplyScanner();
  const found: string[] = [];
  for (const piece of pieces) {
    scanner.push(Buffer.from(piece));
    while (scanner.next()) {
      found.push(scanner.buffer.toString('latin1', scanner.start, scanner.end));
    }
  }
  expect(scanner.invalid).toBe(false);
  return found;
}

describe('reply scanner', () => {
  const bytes = Buffer.from(REPLIES.join(''), 'latin1');

  it('finds every reply when they come at once', () => {
    expect(scan([bytes])).toEqual(REPLIES);
  });

  it('finds every reply whatever the size of the pieces', () => {
    for (let size = 1; size <= 40; size++) {
      const pieces: Buffer[] = [];
      for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
      expect(scan(pieces), `pieces of ${size}`).toEqual(REPLIES);
    }
  });

  it('keeps an unfinished reply where what it was pushed is used again', () => {
    const shared = Buffer.alloc(40);
    for (let size = 1; size <= 40; size++) {
      const scanner = new ReplyScanner();
      const found: string[] = [];
      for (let at = 0; at < bytes.length; at += size) {
        const arrived = bytes.copy(shared, 0, at, at + size);
        scanner.push(shared, arrived);
        while (scanner.next()) {
          found.push(scanner.buffer.toString('latin1', scanner.start, scanner.end));
        }
        scanner.keep();
        shared.fill('x');
      }
      expect(found, `pieces of ${size}`).toEqual(REPLIES);
    }
  });

  it('says so when what comes is no reply', () => {
    for (const junk of ['hello\r\n', '$x\r\n', '*1x\r\n']) {
      const scanner = new ReplyScanner();
      scanner.push(Buffer.from(junk));
      while (scanner.next());
      expect(scanner.invalid, junk).toBe(true);
    }
  });
});
