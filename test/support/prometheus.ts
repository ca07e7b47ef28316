/** A real Prometheus, Debian's package, scraping nodes of a test. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child } from './child.ts';
import { eventually } from './eventually.ts';
import { freePort } from './ports.ts';

interface QueryAnswer {
  readonly status: string;
  readonly data: { readonly result: readonly { readonly value: readonly [number, string] }[] };
}

export class Prometheus {
  readonly #port: number;
  readonly #child: Child;
  readonly #folder: string;

  private constructor(port: number, child: Child, folder: string) {
    this.#port = port;
    this.#child = child;
    this.#folder = folder;
  }

  /** Started and ready; `targets` are host:port of /metrics. */
  static async start(program: string, targets: readonly string[]): Promise<Prometheus> {
    const folder = mkdtempSync(join(tmpdir(), 'ingot-prometheus-'));
    const config = join(folder, 'prometheus.yml');
    // JSON is YAML.
    writeFileSync(
      config,
      JSON.stringify({
        global: { scrape_interval: '1s' },
        scrape_configs: [{ job_name: 'ingot', static_configs: [{ targets }] }],
      }),
    );
    const port = await freePort();
    const child = new Child(program, [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ]);
    const prometheus = new Prometheus(port, child, folder);
    await eventually('Prometheus is ready', async () => {
      const response = await fetch(`http://127.0.0.1:${port}/-/ready`);
      await response.text();
      return response.ok;
    });
    return prometheus;
  }

  /** The value of an instant query, or null where there is no sample yet. */
  async query(expression: string): Promise<number | null> {
    const query = encodeURIComponent(expression);
    const response = await fetch(`http://127.0.0.1:${this.#port}/api/v1/query?query=${query}`);
    const answer = (await response.json()) as QueryAnswer;
    if (answer.status !== 'success') throw new Error(JSON.stringify(answer));
    const sample = answer.data.result.at(0);
    return sample === undefined ? null : Number(sample.value[1]);
  }

  async stop(): Promise<void> {
    await this.#child.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
