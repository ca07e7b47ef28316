/** One way to register a metric that is read when it is scraped. */
import { Counter as PromCounter, Gauge as PromGauge, type Registry } from 'prom-client';

/** One value of each label, in their order, and the number. */
export type Labelled = readonly [...labels: string[], value: number];

type Read = () => number | readonly Labelled[];

/** `read` gives one value, or one per value of `labels`. */
export function counter(
  registry: Registry,
  name: string,
  help: string,
  read: Read,
  ...labelNames: readonly string[]
): void {
  const metric: PromCounter = new PromCounter({
    name: `ingot_${name}`,
    help,
    labelNames,
    registers: [registry],
    collect() {
      metric.reset();
      putEach(read(), labelNames, (labels, n) => metric.inc(labels, n));
    },
  });
}

export function gauge(
  registry: Registry,
  name: string,
  help: string,
  read: Read,
  ...labelNames: readonly string[]
): void {
  const metric: PromGauge = new PromGauge({
    name: `ingot_${name}`,
    help,
    labelNames,
    registers: [registry],
    collect() {
      metric.reset();
      putEach(read(), labelNames, (labels, n) => metric.set(labels, n));
    },
  });
}

function putEach(
  value: number | readonly Labelled[],
  labelNames: readonly string[],
  put: (labels: Record<string, string>, n: number) => void,
): void {
  if (typeof value === 'number') return put({}, value);
  for (const row of value) {
    const labels = labelNames.map((name, i) => [name, row[i] as string]);
    put(Object.fromEntries(labels) as Record<string, string>, row.at(-1) as number);
  }
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
