/** What an import has done so far. A plain value that travels through the state file. */
import { z } from 'zod';

export interface ImportCounts {
  /** Keys that SCAN has named. */
  seen: number;
  imported: number;
  /** Of keys and values that were imported. */
  bytes: number;
  /** Were there already, and stayed as they were. */
  kept: number;
  /** Expired, or deleted, or no strings any more, since SCAN named them. */
  gone: number;
  /** By type: no strings. */
  readonly others: Record<string, number>;
  /** By reason, with the first key that it was about. */
  readonly failed: Record<string, { count: number; readonly key: string }>;
}

/** More different sentences than this are counted as one. */
const REASONS_MAX = 20;
const REASON_CHARACTERS_MAX = 200;
const OTHER_REASONS = 'other reasons';

const count = z.int().min(0);
export const countsSchema: z.ZodType<ImportCounts> = z.object({
  seen: count,
  imported: count,
  bytes: count,
  kept: count,
  gone: count,
  others: z.record(z.string(), count),
  failed: z.record(z.string(), z.object({ count, key: z.string() })),
});

export function newCounts(): ImportCounts {
  return { seen: 0, imported: 0, bytes: 0, kept: 0, gone: 0, others: {}, failed: {} };
}

export function countOther(counts: ImportCounts, type: string): void {
  counts.others[type] = (counts.others[type] ?? 0) + 1;
}

export function countFailure(counts: ImportCounts, key: Uint8Array, why: string): void {
  const short = why.slice(0, REASON_CHARACTERS_MAX);
  const isFull = Object.keys(counts.failed).length >= REASONS_MAX;
  const reason = counts.failed[short] === undefined && isFull ? OTHER_REASONS : short;
  counts.failed[reason] ??= { count: 0, key: shownKey(key) };
  counts.failed[reason].count++;
}

export function failures({ failed }: ImportCounts): number {
  return Object.values(failed).reduce((sum, each) => sum + each.count, 0);
}

export function othersCounted({ others }: ImportCounts): number {
  return Object.values(others).reduce((sum, each) => sum + each, 0);
}

/** As JSON would write it, and not longer than a line. */
function shownKey(key: Uint8Array): string {
  const text = Buffer.from(key.subarray(0, 60)).toString('utf8');
  return key.length > 60 ? `${text}...` : text;
}
