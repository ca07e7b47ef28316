/** What a process has cost so far, as the kernel counts it. */

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** /proc counts CPU in ticks of this many per second; the sum of user and system is exact to a tick. */
const TICKS_PER_SECOND = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
const KIB = 1024;

/** User + system CPU seconds of all its threads, and of the children that it has seen end. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // After the command's name in parentheses: state is field 3; utime, stime, cutime, cstime 14 to 17.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  return ticks / TICKS_PER_SECOND;
}

/** Memory that the processes hold between them: a page that some share counts once. Those that have ended hold none. */
export function heldBytes(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + proportionalBytes(pid), 0);
}

function proportionalBytes(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    return Number(/^Pss:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) * KIB;
  } catch {
    return 0;
  }
}

export function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}

/** CPU of two processes over time, so that any moment can be asked for afterwards. */
export class CostCurve {
  readonly #pids: readonly number[];
  readonly #samples: { atMs: number; cpu: readonly number[] }[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(pids: readonly number[], everyMs = 10) {
    this.#pids = pids;
    this.#sample();
    this.#timer = setInterval(() => this.#sample(), everyMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#sample();
  }

  /** CPU seconds of each process from one moment (unix ms) to another. */
  between(fromMs: number, toMs: number): number[] {
    const from = this.#at(fromMs);
    const to = this.#at(toMs);
    return to.map((cpu, i) => cpu - from[i]);
  }

  #at(ms: number): readonly number[] {
    const next = this.#samples.findIndex(({ atMs }) => atMs >= ms);
    if (next === -1) return this.#samples[this.#samples.length - 1].cpu;
    if (next === 0) return this.#samples[0].cpu;
    const [a, b] = [this.#samples[next - 1], this.#samples[next]];
    const share = (ms - a.atMs) / (b.atMs - a.atMs);
    return a.cpu.map((cpu, i) => cpu + share * (b.cpu[i] - cpu));
  }

  #sample(): void {
    this.#samples.push({ atMs: Date.now(), cpu: this.#pids.map(cpuSeconds) });
  }
}

/** The most memory that a set of processes held while it was watched, beyond what it held at first. */
export class MemoryPeak {
  readonly #pids: () => readonly number[];
  readonly #beforeBytes: number;
  readonly #timer: NodeJS.Timeout;
  #peakBytes: number;

  constructor(pids: () => readonly number[], everyMs: number) {
    this.#pids = pids;
    this.#beforeBytes = heldBytes(pids());
    this.#peakBytes = this.#beforeBytes;
    this.#timer = setInterval(() => this.#sample(), everyMs);
  }

  stop(): number {
    clearInterval(this.#timer);
    this.#sample();
    return this.#peakBytes - this.#beforeBytes;
  }

  #sample(): void {
    this.#peakBytes = Math.max(this.#peakBytes, heldBytes(this.#pids()));
  }
}
