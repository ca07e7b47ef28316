/** Ingot's side: a node alone, which saves by itself when it is told to end, and every so often what has changed. */
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { PORT_FLAGS } from '../../packages/node/src/shared/settings.ts';
import { nodePorts } from '../../test/support/ports.ts';
import { loadRecords } from '../sync/records.ts';
import {
  answerTo,
  change,
  ended,
  firstHit,
  type OnDisk,
  run,
  type Saved,
  SteadyReads,
} from './side.ts';

const LAUNCHER: string = join(import.meta.dirname, '../../packages/node/bin/ingot.js');
const IDLE_MS = 2_000;
const POLL_MS = 10;
/** Long enough for a change of 5 % to fall between two rounds. */
const EVERY = '15s';

/** As logged: of a round that had something to save. */
interface Round {
  readonly event: string;
  readonly time: number;
  readonly bytes: number;
  readonly ms: number;
}

export class IngotOnDisk implements OnDisk {
  readonly name = 'ingot';
  readonly #folder: string;
  readonly #args: readonly string[];
  readonly #port: number;
  readonly #records: number;
  readonly #rounds: Round[] = [];
  #child: ChildProcess | null = null;

  private constructor(folder: string, args: readonly string[], port: number, records: number) {
    this.#folder = folder;
    this.#args = args;
    this.#port = port;
    this.#records = records;
  }

  static async loaded(records: number, capacity: string): Promise<IngotOnDisk> {
    const folder = await mkdtemp(join(tmpdir(), 'ingot-bench-'));
    const ports = await nodePorts();
    const names = Object.keys(PORT_FLAGS) as (keyof typeof PORT_FLAGS)[];
    const args = [
      ...['serve', '--id', 'n1', '--found', '--copies', '1', '--capacity', capacity],
      ...['--data-dir', folder, '--checkpoint-every', EVERY, '--log-level', 'info'],
      ...names.flatMap((name) => [PORT_FLAGS[name], String(ports[name])]),
    ];
    const side = new IngotOnDisk(folder, args, ports.client, records);
    side.#launch();
    await side.#isUp();
    await loadRecords(side.#port, records);
    await side.stop();
    return side;
  }

  async restart(): Promise<number> {
    this.#launch();
    return await firstHit(this.#port, this.#records - 1);
  }

  async saveAfter(changed: number, salt: number): Promise<Saved> {
    // The first round after a start looks at everything once.
    await this.#round();
    const reads = new SteadyReads(this.#port, this.#records);
    const idleFromMs = Date.now();
    await delay(IDLE_MS);
    const idleP99Ms = reads.p99(idleFromMs, Date.now());
    await change(this.#port, changed, salt);
    const { time, bytes, ms } = await this.#round();
    await reads.end();
    return { bytes, ms, p99Ms: reads.p99(time - ms, time), idleP99Ms };
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    child?.kill('SIGTERM');
    if (child !== null) await ended(child);
  }

  async remove(): Promise<void> {
    await this.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }

  #launch(): void {
    this.#rounds.length = 0;
    this.#child = run([process.execPath, LAUNCHER, ...this.#args], (line) => {
      if (!line.includes('"checkpoint.saved"')) return;
      this.#rounds.push(JSON.parse(line) as Round);
    });
  }

  /** The next one that ends. */
  async #round(): Promise<Round> {
    const before = this.#rounds.length;
    for (;;) {
      const round = this.#rounds.at(before);
      if (round !== undefined) return round;
      await delay(POLL_MS);
    }
  }

  async #isUp(): Promise<void> {
    while ((await answerTo(this.#port, 'SET up yes\r\n')) !== '+OK\r\n'.length)
      await delay(POLL_MS);
  }
}
