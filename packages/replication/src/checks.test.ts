import { describe, expect, test } from 'vitest';
import { CheckPass, decodeAnswers, encodeAnswers, outstandingMarkersMax } from './checks.ts';

const answer = (chunk: number, seq: number, actual: number = 1) => ({
  chunk,
  seq,
  expected: 1,
  actual,
});

describe('CHECK answers', () => {
  test('read back as they were written', () => {
    const answers = [answer(3, 2 ** 35, 0xffff_ffff), answer(0, 1)];
    expect(decodeAnswers(encodeAnswers(answers), 4)).toEqual(answers);
  });

  test('a chunk beyond the image is refused', () => {
    expect(decodeAnswers(encodeAnswers([answer(4, 1)]), 4)).toBe(
      'an answer names a chunk of the image',
    );
  });
});

describe('CHECK pass', () => {
  test('asks for every chunk once, and is done when all answered', () => {
    const pass = new CheckPass(10);
    for (const chunk of [1, 4, 9]) pass.add(chunk);
    const asked: number[] = [];
    for (let chunk = pass.next(); chunk !== -1; chunk = pass.next()) {
      asked.push(chunk);
      pass.asked(chunk, 50);
    }
    expect(asked).toEqual([1, 4, 9]);
    expect(pass.done).toBe(false);
    for (const chunk of asked) pass.answered(answer(chunk, 50));
    expect(pass).toMatchObject({ done: true, different: [] });
  });

  test('an answer to a marker older than ours does not count', () => {
    const pass = new CheckPass(2);
    pass.add(0);
    pass.asked(pass.next(), 50);
    pass.answered(answer(0, 49));
    expect(pass.done).toBe(false);
    pass.answered(answer(0, 51));
    expect(pass.next()).toBe(-1);
    expect(pass.done).toBe(true);
  });

  test(`at most ${outstandingMarkersMax} are unanswered`, () => {
    const pass = new CheckPass(100);
    for (let chunk = 0; chunk < 100; chunk++) pass.add(chunk);
    for (let i = 0; i < outstandingMarkersMax; i++) pass.asked(pass.next(), 1);
    expect(pass.next()).toBe(-1);
    expect(pass.done).toBe(false);
    pass.answered(answer(5, 1));
    expect(pass.next()).toBe(outstandingMarkersMax);
  });

  test('chunks that differ stay due for the pass after their repair', () => {
    const pass = new CheckPass(4);
    pass.add(2);
    pass.asked(pass.next(), 1);
    pass.answered(answer(2, 1, 77));
    expect(pass.different).toEqual([2]);
    pass.restart();
    expect(pass.different).toEqual([]);
    expect(pass.next()).toBe(2);
  });
});
