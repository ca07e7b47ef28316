import { beforeEach, describe, expect, test } from 'vitest';
import { nameOfSet } from '../register/acceptor-set.ts';
import type { AcceptorSet } from '../shared/map.ts';
import { leaseMs, servedShare } from './authority.ts';
import { LeaseHolder, NO_LEASE } from './lease-holder.ts';

const ref = (id: string) => ({ id, node: `node-${id}` });
const setOf = (current: string[], next: string[] | null = null): AcceptorSet => ({
  current: current.map(ref),
  next: next?.map(ref) ?? null,
});

const three = setOf(['a', 'b', 'c']);
const joint = setOf(['a', 'b', 'c'], ['a', 'd', 'e']);

let nowMs: number;
let wallMs: number;
let holder: LeaseHolder;

const pass = (ms: number): void => {
  nowMs += ms;
  wallMs += ms;
};
const answered = (ids: string, beat: number, set: AcceptorSet): void => {
  for (const id of ids) holder.answered(id, beat, nameOfSet(set));
};

beforeEach(() => {
  nowMs = 10_000;
  wallMs = 1_700_000_000_000;
  holder = new LeaseHolder({ nowMs: () => nowMs, wallMs: () => wallMs });
  holder.follow(three);
});

describe('lease holder: how long', () => {
  test('from when the beat was sent that a majority has answered, however late', () => {
    const beat = holder.sent();
    pass(700);
    answered('a', beat, three);
    expect(holder.until()).toEqual(NO_LEASE);
    answered('b', beat, three);
    expect(holder.until().nowMs).toBe(10_000 + leaseMs);
    expect(holder.servedUntil().nowMs).toBe(10_000 + servedShare * leaseMs);
  });

  test('an answer to a later beat counts for the ones before', () => {
    const first = holder.sent();
    pass(250);
    const second = holder.sent();
    answered('a', second, three);
    answered('b', first, three);
    expect(holder.until().nowMs).toBe(10_000 + leaseMs);
    answered('c', second, three);
    expect(holder.until().nowMs).toBe(10_250 + leaseMs);
  });

  test('an answer that comes out of order changes nothing', () => {
    const first = holder.sent();
    pass(250);
    answered('ab', holder.sent(), three);
    answered('abc', first, three);
    expect(holder.until().nowMs).toBe(10_250 + leaseMs);
  });

  test('an answer to a beat that was never sent counts for nothing', () => {
    answered('abc', holder.sent() + 1, three);
    expect(holder.isHeld()).toBe(false);
  });

  test('either clock ends it', () => {
    answered('ab', holder.sent(), three);
    expect(holder.isHeld()).toBe(true);
    wallMs += servedShare * leaseMs;
    expect(holder.isHeld()).toBe(false);
    wallMs -= leaseMs;
    expect(holder.isHeld()).toBe(true);
    nowMs += servedShare * leaseMs;
    expect(holder.isHeld()).toBe(false);
  });

  test('who waits for a renewal hears of it', async () => {
    const beat = holder.sent();
    const renewed = holder.renewed(beat);
    answered('ab', beat, three);
    await renewed;
    await holder.renewed(beat);
  });
});

describe('lease holder: whose answers', () => {
  test('of a joint set, a majority of both halves', () => {
    holder.follow(joint);
    const beat = holder.sent();
    answered('abc', beat, joint);
    expect(holder.isHeld()).toBe(false);
    answered('d', beat, joint);
    expect(holder.isHeld()).toBe(true);
  });

  test('not of those that have accepted other acceptors', () => {
    const beat = holder.sent();
    answered('ab', beat, joint);
    expect(holder.isHeld()).toBe(false);
    answered('abc', holder.sent(), three);
    expect(holder.isHeld()).toBe(true);
  });

  test('once the set is known here too, they count', () => {
    answered('abd', holder.sent(), joint);
    expect(holder.isHeld()).toBe(false);
    holder.follow(joint);
    expect(holder.isHeld()).toBe(true);
  });

  test('a lease that was had goes on when the set changes, and is not renewed by the old one', () => {
    answered('ab', holder.sent(), three);
    holder.follow(joint);
    expect(holder.isHeld()).toBe(true);
    pass(250);
    answered('abc', holder.sent(), three);
    expect(holder.until().nowMs).toBe(10_000 + leaseMs);
  });
});

describe('lease holder: a life that is over', () => {
  test('holds nothing, and nothing renews it', async () => {
    const beat = holder.sent();
    answered('ab', beat, three);
    const later = holder.renewed(beat + 1);
    holder.end();
    expect(holder.isHeld()).toBe(false);
    await expect(later).rejects.toMatchObject({ code: 'RETIRED' });
    answered('abc', holder.sent(), three);
    expect(holder.until()).toEqual(NO_LEASE);
    await expect(holder.renewed(beat)).rejects.toMatchObject({ code: 'RETIRED' });
  });
});
