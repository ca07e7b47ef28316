/** A Prometheus histogram whose buckets are counted elsewhere: in shared memory, by the workers.
 *  prom-client's own class can only observe values one by one, so the series are made here. */

import { Histogram } from 'prom-client';

export interface HistogramSeries {
  readonly label: string;
  /** per bucket, not cumulative; the last one counts what is above every bound */
  readonly buckets: readonly number[];
  readonly sum: number;
}

interface Source<Label extends string> {
  readonly name: string;
  readonly help: string;
  readonly label: Label;
  readonly bounds: readonly number[];
  readonly read: () => Iterable<HistogramSeries>;
}

type Exported<Label extends string> = Awaited<ReturnType<Histogram<Label>['get']>>;
type Sample = Exported<string>['values'][number];

export class SharedHistogram<Label extends string> extends Histogram<Label> {
  readonly #source: Source<Label>;

  constructor(source: Source<Label>) {
    const { name, help, label, bounds } = source;
    super({ name, help, labelNames: [label], buckets: [...bounds], registers: [] });
    this.#source = source;
  }

  override async get(): Promise<Exported<Label>> {
    const { name, help, read } = this.#source;
    const values = [...read()].flatMap((series) => this.#samples(series));
    // prom-client types the aggregator and the metric type as one wide enum
    return {
      name,
      help,
      type: 'histogram',
      aggregator: 'sum',
      values,
    } as unknown as Exported<Label>;
  }

  /** The registry prefers this over `get` when it is there; both say the same. */
  getForPromString(): Promise<Exported<Label>> {
    return this.get();
  }

  #samples(series: HistogramSeries): Sample[] {
    const { name, label, bounds } = this.#source;
    const samples: Sample[] = [];
    let count = 0;
    for (const [bucket, calls] of series.buckets.entries()) {
      count += calls;
      const le = bucket < bounds.length ? bounds[bucket] : '+Inf';
      const labels = { [label]: series.label, le };
      samples.push({ metricName: `${name}_bucket`, labels, value: count });
    }
    const labels = { [label]: series.label };
    samples.push({ metricName: `${name}_sum`, labels, value: series.sum });
    samples.push({ metricName: `${name}_count`, labels, value: count });
    return samples;
  }
}
