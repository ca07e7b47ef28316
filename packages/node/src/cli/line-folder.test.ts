import { expect, test } from 'vitest';
import { LineFolder } from './line-folder.ts';

function folder(): { lines: string[]; fold: LineFolder } {
  const lines: string[] = [];
  return { lines, fold: new LineFolder((line) => lines.push(line)) };
}

function synced(partition: number, fields = {}): string {
  return JSON.stringify({ time: partition, event: 'synced', partition, ...fields });
}

test('folding: lines that differ in time and partition alone become one, partitions as ranges', () => {
  const { lines, fold } = folder();
  for (const partition of [3, 1, 2, 7, 7]) expect(fold.add(synced(partition))).toBe(true);
  expect(lines).toEqual([]);
  fold.flush();
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
    { time: 3, event: 'synced', partitions: '1-3, 7' },
  ]);
});

test('folding: what differs otherwise stays apart, and one alone stays as it was', () => {
  const { lines, fold } = folder();
  fold.add(synced(1, { peer: 'n1' }));
  fold.add(synced(2, { peer: 'n2' }));
  fold.flush();
  expect(lines).toEqual([
    JSON.stringify({ time: 1, event: 'synced', peer: 'n1', partition: 1 }),
    JSON.stringify({ time: 2, event: 'synced', peer: 'n2', partition: 2 }),
  ]);
});

test('folding: lines without a partition, and what is no JSON, leave at once, in order', () => {
  const { lines, fold } = folder();
  fold.add(synced(1));
  expect(fold.add('{"event":"node.started"}')).toBe(false);
  fold.add('plain words');
  fold.flush();
  expect(lines.slice(1)).toEqual(['{"event":"node.started"}', 'plain words']);
  expect(lines).toHaveLength(3);
});
