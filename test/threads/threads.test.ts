import { describe, expect, test } from 'vitest';
import { numbersOf, TornValue, valueOf } from './blocks.ts';
import { FAULTS } from './faults.ts';
import { runThreads } from './run.ts';

const SEED = 1;
/** Of each thread: enough that memory runs short and records move. */
const CALLS = 8_000;
/** A bound, no more: what is counted or seen comes sooner. */
const MS_MAX = 20_000;

describe('threads: values that tell whether they are whole', () => {
  test.each(['', '7', '7,8,9', '7,0,9'])('blocks %j come back', (numbers) => {
    for (const blockBytes of [16, 24, 5_000]) {
      expect(numbersOf(valueOf(numbers, blockBytes), blockBytes)).toBe(numbers);
    }
  });

  test('a block with one other byte, anywhere, is torn', () => {
    const whole = valueOf('7,0', 24);
    for (let at = 0; at < whole.length; at++) {
      const torn = Buffer.from(whole);
      torn[at] ^= 1;
      expect(() => numbersOf(torn, 24), `byte ${at}`).toThrow(TornValue);
    }
    expect(() => numbersOf(whole.subarray(1), 24)).toThrow(TornValue);
  });
});

describe('threads: three of them on one map', () => {
  test('no value is torn, pinned bytes stay, no increment is lost, and one order explains what each saw', async () => {
    const verdict = await runThreads({ seed: SEED, threads: 3, calls: CALLS, ms: MS_MAX });
    expect(verdict).toMatchObject({ claim: null, text: 'all held' });
    expect(verdict.overlaps).toBeGreaterThan(0);
    expect(verdict.pins).toBeGreaterThan(0);
    expect(verdict.moves).toBeGreaterThan(0);
  });
});

describe('threads: planted faults are noticed', () => {
  test.each(Object.entries(FAULTS))('%s', async (fault, { claims }) => {
    const verdict = await runThreads({ seed: SEED, threads: 2, calls: 0, ms: MS_MAX, fault });
    expect(claims, verdict.text).toContain(verdict.claim);
  });
});
