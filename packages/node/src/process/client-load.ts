/** How the clients of this node do, for the pacing of syncs: what their threads have received, and how long these threads
 *  had to wait for a core. The second is the kernel's account (Linux, /proc/self/task); it stays zero elsewhere.
 *
 *  The threads are known by their names, which the supervisor gives. A look costs a few system calls per data worker. */

import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import type { ClientLoad } from '@ingot/replication';
import { Counter, WorkerCounters } from '../metrics/layout.ts';

const TASKS = '/proc/self/task';
const NANOSECONDS_PER_MS = 1_000_000;
const LINE_BYTES_MAX = 128;

export class ClientLoadMeter {
  readonly #counters: readonly WorkerCounters[];
  readonly #line = Buffer.alloc(LINE_BYTES_MAX);
  /** Open files, one per data worker; null before the first look. */
  #accounts: readonly number[] | null = null;

  constructor(counters: readonly SharedArrayBuffer[]) {
    this.#counters = counters.map((block) => new WorkerCounters(block));
  }

  read(): ClientLoad {
    let receivedBytes = 0;
    for (const worker of this.#counters) receivedBytes += worker.get(Counter.receivedBytes);
    this.#accounts ??= openAccounts(this.#counters.length);
    let [runs, waitedMs] = [0, 0];
    for (const account of this.#accounts) {
      const [, waitedNs, slices] = this.#readAccount(account);
      runs += slices;
      waitedMs += waitedNs / NANOSECONDS_PER_MS;
    }
    return { receivedBytes, runs, waitedMs };
  }

  close(): void {
    for (const account of this.#accounts ?? []) closeSync(account);
    this.#accounts = [];
  }

  /** `ran waited slices`, in nanoseconds and times: see schedstat in the kernel's documentation. Zeros for a thread
   *  that has ended. */
  #readAccount(account: number): readonly number[] {
    try {
      const bytes = readSync(account, this.#line, 0, LINE_BYTES_MAX, 0);
      return this.#line.toString('latin1', 0, bytes).split(' ').map(Number);
    } catch {
      return [0, 0, 0];
    }
  }
}

/** Of the threads named data-0 and so on; none where the system keeps no such accounts. */
function openAccounts(workers: number): number[] {
  const names = new Set(Array.from({ length: workers }, (_, index) => `data-${index}`));
  try {
    return readdirSync(TASKS)
      .filter((task) => names.has(readFileSync(`${TASKS}/${task}/comm`, 'latin1').trim()))
      .map((task) => openSync(`${TASKS}/${task}/schedstat`, 'r'));
  } catch {
    return [];
  }
}
