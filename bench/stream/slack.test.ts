import { expect, test } from 'vitest';
import { CHUNK_FRAME_BYTES, measureSlack, measureZstd } from './slack.ts';

test('bench: slack: redo of an overwrite is the value and little more', () => {
  const { redoBytes, evenAt, bulkPerByte } = measureSlack(1_000);
  expect(redoBytes).toBeGreaterThan(1_000);
  expect(redoBytes).toBeLessThan(1_100);
  expect(evenAt).toBe(Math.ceil(CHUNK_FRAME_BYTES / redoBytes));
  expect(bulkPerByte).toBeGreaterThan(1);
});

test('bench: zstd: raw records are sent as they are, and would shrink', () => {
  const { plain, zstd } = measureZstd('raw');
  expect(plain).toBe(1);
  expect(zstd).toBeLessThan(0.5);
});
