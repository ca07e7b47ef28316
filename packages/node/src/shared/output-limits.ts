/** Limits of output as people write them, on the command line and in Redis' CONFIG: hard, soft, seconds. */

import { parseBytes } from './bytes.ts';
import type { OutputLimit } from './settings.ts';

/** Null where the three words are none. */
export function parseOutputLimit(
  words: readonly string[],
  bytesOf: (text: string) => number = parseBytes,
): OutputLimit | null {
  if (words.length !== 3) return null;
  const [hardBytes, softBytes] = words.slice(0, 2).map((word) => bytesOf(word));
  const softSeconds = /^\d{1,9}$/.test(words[2]) ? Number(words[2]) : Number.NaN;
  const limit = { hardBytes, softBytes, softSeconds };
  return Object.values(limit).every((number) => Number.isSafeInteger(number)) ? limit : null;
}
