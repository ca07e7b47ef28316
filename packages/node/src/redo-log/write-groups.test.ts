import { describe, expect, it } from 'vitest';
import { writeGroups } from './write-groups.ts';

/** What happens, in order, where the looks of the writer find a group or none; told to end at the first sleep. */
async function happens(finds: readonly boolean[]): Promise<string[]> {
  const happened: string[] = [];
  const left = [...finds];
  const ending = new AbortController();
  await writeGroups({
    writer: {
      step: () => {
        const wrote = left.shift() === true;
        happened.push(wrote ? 'group' : 'none');
        return wrote;
      },
    },
    board: {
      announce: () => happened.push('announce'),
      sleep: async () => {
        happened.push('sleep');
        ending.abort();
      },
    },
    committed: () => happened.push('told'),
    ending: ending.signal,
  });
  return happened;
}

describe('rounds of the log worker', () => {
  it('tells of a group that is found at the look before it sleeps, as of any other', async () => {
    expect(await happens([true, false, true])).toEqual([
      ...['group', 'told', 'none', 'announce', 'group', 'told'],
      ...['none', 'announce', 'none', 'sleep', 'none'],
    ]);
  });

  it('told to end it writes what is left, and tells of it', async () => {
    expect(await happens([false, false, true])).toEqual([
      ...['none', 'announce', 'none', 'sleep'],
      ...['group', 'told', 'none'],
    ]);
  });
});
