/** What an import says of itself: a line of progress, and the report at its end. Pure. */
import { mebibytes } from '../shared/bytes.ts';
import { failures, type ImportCounts, othersCounted } from './counts.ts';

export interface ImportProgress {
  readonly counts: ImportCounts;
  /** Keys of the source, of all types, as it said at the start. */
  readonly keysTotal: number;
  /** Since this process began. */
  readonly keysSince: number;
  readonly bytesSince: number;
  readonly seconds: number;
}

const number = (value: number): string => Math.round(value).toLocaleString('en-US');

export function progressText(progress: ImportProgress): string {
  const { counts, keysTotal, keysSince, bytesSince, seconds } = progress;
  const done = Math.min(counts.seen, keysTotal);
  const percent = keysTotal === 0 ? 100 : Math.floor((100 * done) / keysTotal);
  const perSecond = keysSince / Math.max(seconds, 0.001);
  const left = perSecond > 0 ? `, ${durationText((keysTotal - done) / perSecond)} left` : '';
  return (
    `${number(counts.seen)} of ${number(keysTotal)} keys (${percent} %), ` +
    `${number(perSecond)} keys/s, ${mebibytes(bytesSince / Math.max(seconds, 0.001))}/s${left}`
  );
}

export function reportText(counts: ImportCounts, seconds: number): string {
  const { imported, bytes, kept, gone, others, failed } = counts;
  const lines = [
    `imported ${number(imported)} strings, ${mebibytes(bytes)}, in ${durationText(seconds)}`,
  ];
  if (kept > 0) {
    lines.push(`left as they were: ${number(kept)} that were there already (--replace overwrites)`);
  }
  if (gone > 0) lines.push(`expired, deleted or changed meanwhile: ${number(gone)}`);
  if (othersCounted(counts) > 0) {
    const byType = Object.entries(others).map(([type, keys]) => `${number(keys)} ${type}`);
    lines.push(`no strings, not imported: ${byType.join(', ')}`);
  }
  for (const [reason, each] of Object.entries(failed)) {
    lines.push(`FAILED: ${number(each.count)} (first ${JSON.stringify(each.key)}): ${reason}`);
  }
  if (failures(counts) > 0) {
    lines.push('run the command again once the reason is mended: what is there already stays');
  }
  return lines.join('\n');
}

/** `90 s` up to two minutes, then `12 min`, then `3.4 h`. */
export function durationText(seconds: number): string {
  if (seconds < 120) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const minutes = seconds / 60;
  return minutes < 120 ? `${Math.round(minutes)} min` : `${(minutes / 60).toFixed(1)} h`;
}
