/** The sections of INFO about calls: how many, how long, which errors. */

import type { CommandFigures, NodeStats } from '../shared/messages.ts';
import type { WorkerAnswer } from '../shared/worker-questions.ts';
import type { Fields } from './info-sections.ts';
import { boundUs } from './latency.ts';

const PERCENTILES = [50, 99, 99.9];

export function commandstats({ calls }: NodeStats): Fields {
  return calls.map(({ name, calls: count, errors, seconds }) => {
    const usec = Math.round(seconds * 1e6);
    const each = (usec / count).toFixed(2);
    return [
      `cmdstat_${name}`,
      `calls=${count},usec=${usec},usec_per_call=${each},rejected_calls=0,failed_calls=${errors}`,
    ] as const;
  });
}

/** The bound of the bucket in which a percentile lies. */
export function latencystats({ calls }: NodeStats): Fields {
  return calls.map((figures) => {
    const shown = PERCENTILES.map((p) => `p${p}=${percentileUs(figures, p).toFixed(3)}`);
    return [`latency_percentiles_usec_${figures.name}`, shown.join(',')] as const;
  });
}

function percentileUs({ calls, buckets }: CommandFigures, percentile: number): number {
  let left = (calls * percentile) / 100;
  const bucket = buckets.findIndex((count) => (left -= count) <= 0);
  return boundUs(Math.max(0, bucket));
}

type Workers = readonly WorkerAnswer<'clientFigures'>[];

export function errorstats(workers: Workers): Fields {
  const words = new Set(workers.flatMap(({ errors }) => Object.keys(errors)));
  return [...words].sort().map((word) => [`errorstat_${word}`, `count=${countOf(workers, word)}`]);
}

export function errorReplies(workers: Workers): number {
  const words = new Set(workers.flatMap(({ errors }) => Object.keys(errors)));
  return [...words].reduce((sum, word) => sum + countOf(workers, word), 0);
}

function countOf(workers: Workers, word: string): number {
  return workers.reduce((sum, { errors }) => sum + (errors[word] ?? 0), 0);
}
