import { describe, expect, it } from 'vitest';
import { LinkQueue, type LinkWaiter } from './link-queue.ts';

const WAIT_MS = 1_000;

/** Connections that wait, each by a name, and who was told that there is room. */
function waiters(names: string): { each: LinkWaiter[]; told: string[] } {
  const told: string[] = [];
  const each = names.split('').map((name) => ({ linkHasRoom: () => void told.push(name) }));
  return { each, told };
}

describe('link queue: who waits for a full link', () => {
  it('who has waited longest tries first; who got room comes behind the others', () => {
    const queue = new LinkQueue(WAIT_MS);
    const { each, told } = waiters('abc');
    const [a, b, c] = each;
    for (const who of [a, b, c]) expect(queue.wait(who, 0)).toBe(true);
    queue.giveRoom();
    expect(told.splice(0)).toEqual(['a', 'b', 'c']);
    // There was room for the first, which has more to send already.
    queue.leave(a);
    for (const who of [a, b, c]) queue.wait(who, 1);
    queue.giveRoom();
    expect(told).toEqual(['b', 'c', 'a']);
  });

  it('who waits is told once, and not at all after it left', () => {
    const queue = new LinkQueue(WAIT_MS);
    const { each, told } = waiters('ab');
    for (const who of each) queue.wait(who, 0);
    queue.leave(each[0]);
    queue.giveRoom();
    queue.giveRoom();
    expect(told).toEqual(['b']);
    expect(queue.size).toBe(0);
  });

  it('is over after its time, and at once from then on, until there was room', () => {
    const queue = new LinkQueue(WAIT_MS);
    const { each, told } = waiters('ab');
    const [a, b] = each;
    queue.wait(a, 0);
    queue.wait(b, 1);
    queue.expire(WAIT_MS - 1);
    expect(told).toEqual([]);
    queue.expire(WAIT_MS);
    expect(told).toEqual(['a']);
    expect(queue.wait(a, WAIT_MS)).toBe(false);
    expect(queue.wait(a, WAIT_MS + 1)).toBe(false);
    queue.leave(a);
    expect(queue.wait(a, WAIT_MS + 2)).toBe(true);
  });

  it('who was refused and does not come back waits anew later', () => {
    const queue = new LinkQueue(WAIT_MS);
    const { each } = waiters('ab');
    const [a, b] = each;
    queue.wait(a, 0);
    queue.expire(WAIT_MS);
    expect(queue.wait(a, WAIT_MS)).toBe(false);
    queue.wait(b, WAIT_MS);
    queue.expire(2 * WAIT_MS - 1);
    expect(queue.wait(a, 2 * WAIT_MS - 1)).toBe(false);
    queue.expire(2 * WAIT_MS);
    expect(queue.wait(a, 2 * WAIT_MS)).toBe(true);
    expect(queue.wait(b, 2 * WAIT_MS)).toBe(false);
  });
});
