/** The picture that LATENCY GRAPH draws of an event, as Redis does: a column for each sample, four
 *  lines high, and below it how long ago that was, to be read downwards. */

import type { LatencySample } from '../shared/worker-questions.ts';

const COLUMNS = 80;
const ROWS = 4;
/** The top of a column, by thirds of a line. */
const TOPS = '_o#';
const FILLED = '|';
const STEPS: number = ROWS * TOPS.length;

/** How long ago, in the largest unit of which there is one. */
function ago(seconds: number): string {
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** What a column shows in a row, 0 the uppermost. */
function cell(step: number, row: number): string {
  const above = step - (ROWS - row - 1) * TOPS.length;
  if (above < 0) return ' ';
  return TOPS[above] ?? FILLED;
}

/** `samples`, at least one: the oldest first. */
export function latencyGraph(
  event: string,
  samples: readonly LatencySample[],
  nowSeconds: number,
): string {
  const times = samples.map(({ ms }) => ms);
  const [low, high] = [Math.min(...times), Math.max(...times)];
  const steps = times.map((ms) =>
    Math.min(STEPS - 1, Math.floor(((ms - low) * STEPS) / Math.max(1, high - low))),
  );
  const labels = samples.map(({ unixSeconds }) => ago(Math.max(0, nowSeconds - unixSeconds)));
  const pictures: string[] = [];
  for (let from = 0; from < samples.length; from += COLUMNS) {
    const [columns, below] = [steps, labels].map((all) => all.slice(from, from + COLUMNS)) as [
      number[],
      string[],
    ];
    const height = Math.max(...below.map(({ length }) => length));
    const lines = [
      ...Array.from({ length: ROWS }, (_, row) => columns.map((step) => cell(step, row)).join('')),
      ' '.repeat(columns.length),
      ...Array.from({ length: height }, (_, i) => below.map((label) => label[i] ?? ' ').join('')),
    ];
    pictures.push(lines.map((line) => `${line}\n`).join(''));
  }
  const head = `${event} - high ${high} ms, low ${low} ms (all time high ${high} ms)\n`;
  return `${head}${'-'.repeat(COLUMNS)}\n${pictures.join('\n')}`;
}
