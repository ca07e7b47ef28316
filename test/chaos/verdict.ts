/** Whether a run of chaos held, by what its clients saw and by what befell the cluster. */
import { linearizabilityBroken, type Operation } from '../support/linearizable.ts';
import type { IllKind } from './ills.ts';
import type { RunRecord } from './record.ts';

const OPERATIONS_SHOWN = 30;

/** Why the run must fail; null: all held. `kindsLeft` never occurred: such a run proves nothing of them. */
export function verdictOn(record: RunRecord, kindsLeft: readonly IllKind[]): string | null {
  const { history, writers, counts, unexpected } = record;
  if (unexpected.length > 0) {
    return `replies that nobody should get: ${[...new Set(unexpected)].join('; ')}`;
  }
  if (writers.split.length > 0) return splitOf(record);
  const broken = linearizabilityBroken(history);
  if (broken !== null) return `${broken}\n${excerpt(history, broken)}`;
  if (kindsLeft.length > 0) return `never happened: ${kindsLeft.join(', ')}`;
  if (counts.done === 0) return 'no write was accepted';
  return null;
}

/** Asked all the while, so that a run ends where it went wrong. */
export function splitOf({ writers: { split } }: RunRecord): string | null {
  return split.length === 0 ? null : `two writers in an epoch: ${split.join('; ')}`;
}

/** The operations of that key on the values that the judgement names. */
function excerpt(history: readonly Operation[], broken: string): string {
  const key = /^key (\S+):/.exec(broken)?.[1];
  const words = new Set(broken.split(/[\s,]+/));
  return history
    .filter((operation) => operation.key === key && words.has(operation.value ?? 'null'))
    .toSorted((a, b) => a.start - b.start)
    .slice(0, OPERATIONS_SHOWN)
    .map(({ kind, value, start, end }) => {
      const time = `${(start / 1_000).toFixed(3)} to ${(end / 1_000).toFixed(3)} s`;
      return `  ${kind} ${value ?? 'nothing'}: ${time}`;
    })
    .join('\n');
}
