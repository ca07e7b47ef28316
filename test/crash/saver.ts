/** A process that is killed: takes up the copy that its file holds, leads it, writes and saves, until it is over. Says on
 *  standard output when a save begins, and up to which seq one that has ended goes. */
import { rmSync } from 'node:fs';
import { argv, stdout } from 'node:process';
import { setImmediate } from 'node:timers/promises';
import type { Partition } from '@ingot/store';
import { CheckpointFile } from '../../packages/node/src/checkpoint/checkpoint-file.ts';
import { saveCheckpoint } from '../../packages/node/src/checkpoint/save.ts';
import {
  readSavedState,
  removeRemains,
  type SavedState,
} from '../../packages/node/src/checkpoint/saved-state.ts';
import { GEOMETRY, KEYS, OWNER, readCopy, valueOf, write } from './copy-on-disk.ts';

const [path, salt] = [argv[2], Number(argv[3])];
const copy = await leadable();
copy.promote((copy.history().at(-1)?.epoch ?? 0) + 1, Date.now());

let written = salt;
/** As a node does: a file that no save was ever finished in is begun anew. */
async function leadable(): Promise<Partition> {
  const copy = await readCopy(path);
  if (typeof copy !== 'string') return copy;
  if (argv[4] !== 'first') throw new Error(copy);
  rmSync(path);
  return (await readCopy(path)) as Partition;
}

function writeSome(): void {
  for (let i = 0; i < 20; i++) {
    written = (Math.imul(written, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    const key = written % KEYS;
    write(copy, key, valueOf(key, written));
  }
}

const file = new CheckpointFile(path, GEOMETRY.imageBytes);
let saved: SavedState | null = null;
const found = readSavedState(file, OWNER);
if (typeof found !== 'string') {
  saved = found;
  removeRemains(file, found);
}
for (;;) {
  for (let i = 0; i < 30; i++) writeSome();
  stdout.write('begins\n');
  const { state } = await saveCheckpoint({
    ...{ partition: copy, owner: OWNER, file, saved, endedLife: 0, nowMs: Date.now },
    mayWrite: () => {},
    pause: async () => {
      writeSome();
      await setImmediate();
    },
  });
  saved = state;
  stdout.write(`saved ${state.meta.seq}\n`);
}
