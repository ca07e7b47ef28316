/** Reads /metrics as Prometheus would: samples by name and labels. */

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const SAMPLE_LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

export class Scrape {
  readonly text: string;
  readonly samples: readonly Sample[];

  constructor(text: string) {
    this.text = text;
    this.samples = text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map(parseSample);
  }

  /** The sum of all samples of this name that carry these labels. Throws where there are none: a
   *  counter that is missing must not read as zero. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    const matching = this.samples.filter(
      (sample) =>
        sample.name === name &&
        Object.entries(labels).every(([label, wanted]) => sample.labels[label] === wanted),
    );
    if (matching.length === 0) {
      throw new Error(`/metrics has no ${name} with labels ${JSON.stringify(labels)}`);
    }
    return matching.reduce((total, sample) => total + sample.value, 0);
  }
}

export async function scrape(httpPort: number): Promise<Scrape> {
  const response = await fetch(`http://127.0.0.1:${httpPort}/metrics`);
  const text = await response.text();
  if (response.status !== 200) throw new Error(`/metrics answered ${response.status}: ${text}`);
  return new Scrape(text);
}

function parseSample(line: string): Sample {
  const match = SAMPLE_LINE.exec(line);
  if (match === null) throw new Error(`/metrics has a line that is no sample: ${line}`);
  const [, name, labelText = '', value] = match;
  const labels = Object.fromEntries(
    [...labelText.matchAll(LABEL)].map(([, key, text]) => [key, text]),
  );
  return { name, labels, value: Number(value) };
}
