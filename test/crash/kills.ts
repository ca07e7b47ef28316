/** kill -9 at moments of saves that a seed draws, over one file that goes from process to process: what the file holds after
 *  each is a copy that is whole, and no older than the last save that was said to have ended. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Child } from '../support/child.ts';
import { eventually } from '../support/eventually.ts';
import { readCopy, wrongIn } from './copy-on-disk.ts';

const SAVER = join(import.meta.dirname, 'saver.ts');
const KILLED_WITHIN_MS = 40;
const BEGINS_WITHIN_MS = 60_000;

export interface KillFigures {
  kills: number;
  /** Killed between the beginning of a save and its end. */
  inSaves: number;
  /** How far the last copy was. */
  seq: number;
}

/** Throws where what was left is not as it should be, with the number of the kill. */
export async function killSaves(kills: number, seed: number): Promise<KillFigures> {
  const folder = mkdtempSync(join(tmpdir(), 'ingot-crash-'));
  const path = join(folder, 'partition-0.mdb');
  const figures: KillFigures = { kills: 0, inSaves: 0, seq: 0 };
  let state = seed;
  const draw = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  try {
    for (let kill = 0; kill < kills; kill++) {
      const isFirst = figures.seq === 0 ? 'first' : 'later';
      const args = [path, String(draw(2 ** 31)), isFirst];
      const lines = await killed(args, 1 + draw(3), draw(KILLED_WITHIN_MS));
      const promised = lines.findLast((line) => line.startsWith('saved'))?.split(' ')[1];
      const copy = await readCopy(path);
      const atLeast = promised === undefined ? figures.seq : Number(promised);
      const wrong = wrongAfter(copy, atLeast, figures.seq);
      if (wrong !== null) throw new Error(`after kill ${kill} of seed ${seed}: ${wrong}`);
      figures.kills++;
      if (lines.at(-1) === 'begins') figures.inSaves++;
      if (typeof copy !== 'string') figures.seq = copy.committedSeq();
    }
    return figures;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function wrongAfter(
  copy: Awaited<ReturnType<typeof readCopy>>,
  atLeast: number,
  before: number,
): string | null {
  // The very first save may not have come to its end.
  if (typeof copy === 'string') return before === 0 && atLeast === 0 ? null : copy;
  if (copy.committedSeq() < atLeast) {
    return `it is at ${copy.committedSeq()}, and was said to be at ${atLeast}`;
  }
  return wrongIn(copy);
}

/** All lines of a process that was killed so long after it began its nth save. */
async function killed(
  args: readonly string[],
  saves: number,
  afterMs: number,
): Promise<readonly string[]> {
  const child = new Child(process.execPath, ['--conditions=source', SAVER, ...args]);
  const begun = (): number => child.stdoutLines.filter((line) => line === 'begins').length;
  await eventually(
    'a save begins',
    () => {
      if (child.end !== null) throw new Error(`it ended: ${child.output}`);
      return begun() >= saves;
    },
    { withinMs: BEGINS_WITHIN_MS, everyMs: 2 },
  );
  await delay(afterMs);
  await child.signal('SIGKILL');
  return child.stdoutLines;
}
