import { Buffer } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import { Allowance } from './allowance.ts';
import { Hold } from './hold.ts';
import { Inbox } from './inbox.ts';

describe('Inbox', () => {
  it('moves nothing while a command is used where it lies', () => {
    const owner = { hold: Hold.work as number, endStalled: (): void => {} };
    const host = {
      receiveBuffer: Buffer.alloc(0),
      maxQueryBufferBytes: 2 ** 20,
      allowance: new Allowance(2 ** 20),
      monotonicMs: () => 0,
    };
    const inbox = new Inbox(host, owner);
    inbox.keep(Buffer.alloc(3000, 'a'), 0, 3000);
    inbox.keep(Buffer.alloc(1000, 'b'), 0, 1000);
    inbox.consumed(3000);
    const rest = inbox.rest as Buffer;
    const { start, end } = inbox;
    inbox.keep(Buffer.alloc(3000, 'c'), 0, 3000);
    expect(rest.toString('latin1', start, end)).toBe('b'.repeat(1000));
    const kept = (): string => (inbox.rest as Buffer).toString('latin1', inbox.start, inbox.end);
    expect(kept()).toBe('b'.repeat(1000) + 'c'.repeat(3000));
    owner.hold = 0;
    const roomy = inbox.rest as Buffer;
    inbox.consumed(inbox.start + 3500);
    inbox.keep(Buffer.alloc(6000, 'd'), 0, 6000);
    expect(inbox.rest).toBe(roomy);
    expect(kept()).toBe('c'.repeat(500) + 'd'.repeat(6000));
  });
});
