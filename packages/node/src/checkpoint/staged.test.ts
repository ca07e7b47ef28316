import { CHUNK_BYTES } from '@ingot/store';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Disk, GEOMETRY } from './checkpoint.fixture.ts';
import { CheckpointFile } from './checkpoint-file.ts';
import { Staged, STAGED_BYTES_MAX } from './staged.ts';

let disk: Disk;
let file: CheckpointFile;

beforeEach(() => {
  disk = new Disk();
  file = new CheckpointFile(disk.path, GEOMETRY.imageBytes);
});
afterEach(async () => {
  await file.close();
  disk.remove();
});

test('it is asked before each transaction whether so much may be written, and writes nothing where not', () => {
  const asked: number[] = [];
  const staged = new Staged(file, (bytes) => {
    asked.push(bytes);
    if (asked.length === 2) throw new Error('the disk is low');
  });
  const bytes = staged.buffer();
  const chunks = STAGED_BYTES_MAX / CHUNK_BYTES;
  for (let chunk = 0; chunk <= chunks; chunk++) staged.put(chunk, bytes);
  staged.putAtEnd(chunks + 1, Buffer.alloc(100));
  expect(() => staged.end()).toThrow('the disk is low');
  expect(asked).toEqual([STAGED_BYTES_MAX, CHUNK_BYTES + 100]);
  expect(file.keys()).toHaveLength(chunks);
});
