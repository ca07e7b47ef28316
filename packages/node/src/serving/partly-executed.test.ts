import { Buffer } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import { NOREPLICAS_TEXT, NOT_IN_SYNC_TEXT } from './held-replies.ts';
import { errorOfParts, type PartReply } from './partly-executed.ts';

const OK = '+OK';
const NOREPLICAS = `-${NOREPLICAS_TEXT}`;
const UNKNOWN = `-${NOT_IN_SYNC_TEXT}`;
const TRYAGAIN = '-TRYAGAIN a partition of these keys changed its owner meanwhile';

/** One part per reply; part i has the keys 2i + 1 and 2i + 2. */
function told(replies: readonly string[], writes = true): string | null {
  const parts = replies.map(
    (reply, i): PartReply => ({
      names: [2 * i + 1, 2 * i + 2],
      writes,
      reply: Buffer.from(`${reply}\r\n`),
    }),
  );
  return errorOfParts('key', parts)?.toString().trimEnd() ?? null;
}

describe('the error of a call of several parts', () => {
  it.each([
    ['no part failed', [OK, ':1'], null],
    ['nothing was executed', [NOREPLICAS, NOREPLICAS], NOREPLICAS],
    ['nothing was executed, for several reasons', [TRYAGAIN, NOREPLICAS], TRYAGAIN],
    ['nobody can say of any part', [UNKNOWN, UNKNOWN], UNKNOWN],
    [
      'some were executed',
      [OK, NOREPLICAS, ':2'],
      `-ERR partly executed: done for keys 1, 2, 5, 6; not done for keys 3, 4 (${NOREPLICAS_TEXT})`,
    ],
    [
      'nobody can say of some, the rest was not executed',
      [NOREPLICAS, UNKNOWN],
      `-ERR partly executed: not done for keys 1, 2 (${NOREPLICAS_TEXT}); failed for keys 3, 4 (${NOT_IN_SYNC_TEXT})`,
    ],
  ])('%s', (_name, replies, expected) => {
    expect(told(replies)).toBe(expected);
  });

  it('a call that only reads has done nothing', () => {
    expect(told(['*0', TRYAGAIN], false)).toBe(TRYAGAIN);
  });

  it('has a bound, however many keys there are', () => {
    const many = Array.from({ length: 40 }, () => OK);
    expect(told([...many, TRYAGAIN])).toMatch(/done for keys 1, 2, .*, 16, \.\.\.; not done/);
  });
});
