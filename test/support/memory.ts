/** What the kernel says of a process' memory, sampled while something happens. */
import { readFileSync } from 'node:fs';
import { eventually } from './eventually.ts';

const KIB = 1024;
const STEADY_SAMPLES = 20;
const STEADY_BYTES = 256 * KIB;

/** Bytes of physical memory in use by the process: VmRSS of /proc/<pid>/status. */
export function residentBytes(pid: number): number {
  return fieldBytes(readFileSync(`/proc/${pid}/status`, 'utf8'), 'VmRSS');
}

function fieldBytes(text: string, field: string): number {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(text);
  if (match === null) throw new Error(`the kernel does not say ${field}`);
  return Number(match[1]) * KIB;
}

/** Waits until a process that is at work, as it is between events, grows no more: what a fresh process has
 *  yet to load and to compile is not counted as the cost of what comes after. */
export async function untilSteady(pid: number, work: () => Promise<unknown>): Promise<void> {
  let last: number[] = [];
  await eventually(`the memory of ${pid} is steady`, async () => {
    await work();
    last = [...last, residentBytes(pid)].slice(-STEADY_SAMPLES);
    return last.length === STEADY_SAMPLES && Math.max(...last) - last[0] < STEADY_BYTES;
  });
}

export interface MemoryCurve {
  /** Resident bytes when sampling began. */
  readonly before: number;
  /** The most that was seen. */
  readonly peak: number;
  readonly samples: number;
}

/** Samples processes until it is stopped. */
export class MemorySampler {
  readonly #curves: Map<number, { before: number; peak: number; samples: number }>;
  readonly #timer: NodeJS.Timeout;

  constructor(pids: readonly number[], everyMs = 50) {
    this.#curves = new Map(
      pids.map((pid) => {
        const before = residentBytes(pid);
        return [pid, { before, peak: before, samples: 1 }];
      }),
    );
    this.#timer = setInterval(() => this.#sample(), everyMs);
  }

  /** One last sample, then what was seen of each process. */
  stop(): Map<number, MemoryCurve> {
    clearInterval(this.#timer);
    this.#sample();
    return this.#curves;
  }

  #sample(): void {
    for (const [pid, curve] of this.#curves) {
      curve.peak = Math.max(curve.peak, residentBytes(pid));
      curve.samples++;
    }
  }
}
