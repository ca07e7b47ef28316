import { beforeEach, describe, expect, it } from 'vitest';
import { createLeaseWord, LeaseWatch, LeaseWriter } from '../lease/lease-word.ts';
import { FOREVER, NO_LEASE } from '../lease/lease-holder.ts';
import { ReplyWriter } from '../resp/reply-writer.ts';
import { BATCHES_MAX, type Departing, Turn } from './turn.ts';

let writer: LeaseWriter;
let lease: LeaseWatch;
let turn: Turn;
let sent: number;
let settled: number;
let left: string[];
let disowned: string[];
const out = new ReplyWriter();

beforeEach(() => {
  const word = createLeaseWord();
  writer = new LeaseWriter(word);
  writer.begin(1);
  writer.extend(FOREVER);
  lease = new LeaseWatch(word);
  sent = 0;
  settled = 0;
  left = [];
  disowned = [];
  turn = new Turn({
    lease,
    originMs: performance.timeOrigin,
    mayAnswer: () => lease.mayAnswer(),
    sent: (bytes) => {
      sent += bytes;
    },
    settleCounts: () => {
      settled++;
    },
    executeArrived: () => {},
  });
});

function client(name: string, takesAll = true): Departing {
  return {
    depart: (replies) => {
      left.push(`${name}: ${replies.toString().trim()}`);
      return takesAll;
    },
    disownDeparting: () => disowned.push(name),
  };
}

/** A batch with this reply, of a read unless said otherwise; false where it does not wait. */
function batch(connection: Departing, reply: string, isRead = true): boolean {
  turn.gathers = isRead && turn.mayGather();
  turn.begin();
  out.simple(reply);
  const waits = turn.take(connection, out);
  if (!waits) out.reset();
  turn.ended();
  return waits;
}

const endOfTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('turn: the lease', () => {
  it('that ended while a batch ran is not forgotten when somebody looks', () => {
    turn.begin();
    writer.extend(NO_LEASE);
    lease.lookNow();
    expect(lease.mayAnswer()).toBe(false);
    turn.ended();
  });

  it('that a turn begins without is no reason to be silent', () => {
    writer.extend(NO_LEASE);
    turn.begin();
    lease.lookNow();
    expect(lease.mayAnswer()).toBe(true);
    turn.ended();
  });
});

describe('turn: replies', () => {
  it('of all batches of a turn leave at its end, counted once', async () => {
    expect(batch(client('a'), 'one')).toBe(true);
    expect(batch(client('b'), 'three')).toBe(true);
    expect(left).toEqual([]);
    expect(settled).toBe(0);
    await endOfTurn();
    expect(left).toEqual(['a: +one', 'b: +three']);
    expect(sent).toBe('+one\r\n+three\r\n'.length);
    expect(settled).toBe(1);
  });

  it('wait for so many batches at most', () => {
    // A turn that took long ended sooner: on a busy machine it takes some to have one that did not.
    for (let tries = 0; tries < 1_000 && left.length < BATCHES_MAX; tries++) {
      turn.end();
      left = [];
      for (let i = 0; i <= BATCHES_MAX; i++) batch(client('a'), 'one');
    }
    expect(left.length).toBe(BATCHES_MAX);
    turn.end();
    expect(left.length).toBe(BATCHES_MAX + 1);
  });

  it('that are long, or not of a read, do not wait', () => {
    expect(batch(client('a'), 'x'.repeat(20_000))).toBe(false);
    expect(batch(client('a'), 'one', false)).toBe(false);
    expect(settled).toBe(2);
  });

  it('that a socket did not take at once stay as they are', () => {
    let kept: Buffer = Buffer.alloc(0);
    const slow: Departing = {
      depart: (replies) => {
        kept = replies;
        return false;
      },
      disownDeparting: () => {},
    };
    batch(slow, 'one');
    turn.end();
    batch(client('b'), 'two');
    turn.end();
    expect(kept.toString()).toBe('+one\r\n');
    expect(left).toEqual(['b: +two']);
  });

  it('wait no more where turns have one connection only, until one has two', async () => {
    let waited = 0;
    for (let i = 0; i < 200; i++) {
      if (batch(client('a'), 'one')) waited++;
      await endOfTurn();
    }
    expect(waited).toBeLessThan(40);
    // One of the next ones looks whether it is alone.
    while (!batch(client('a'), 'one'));
    batch(client('b'), 'two');
    await endOfTurn();
    expect(batch(client('a'), 'one')).toBe(true);
  });
});

describe('turn: a lease that ends before replies have left', () => {
  it('nobody is told', () => {
    batch(client('a'), 'one');
    batch(client('b'), 'two');
    writer.extend(NO_LEASE);
    turn.end();
    expect(left).toEqual([]);
    expect(disowned).toEqual(['a', 'b']);
    writer.extend(FOREVER);
    batch(client('a'), 'three');
    turn.end();
    expect(left).toEqual(['a: +three']);
  });

  it('nor where somebody has looked at it meanwhile', () => {
    batch(client('a'), 'one');
    writer.extend(NO_LEASE);
    lease.lookNow();
    writer.extend(FOREVER);
    lease.lookNow();
    turn.end();
    expect(disowned).toEqual(['a']);
  });

  it('nor under the next life', () => {
    batch(client('a'), 'one');
    writer.begin(2);
    writer.extend(FOREVER);
    lease.lookNow();
    turn.end();
    expect(disowned).toEqual(['a']);
  });

  it('what ran without one is told', () => {
    writer.extend(NO_LEASE);
    batch(client('a'), 'one');
    writer.extend(FOREVER);
    lease.lookNow();
    turn.end();
    expect(left).toEqual(['a: +one']);
  });
});
