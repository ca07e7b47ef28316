/** Starts the client of `steady-writes.ts` in a process of its own and asks it how long replies took. */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Latencies } from './sync-result.ts';

export interface SteadyWrites {
  /** Of the commands that were due in this time (unix ms). */
  latencies(fromMs: number, toMs: number): Promise<Latencies>;
  stop(): void;
}

export async function startSteadyWrites(
  port: number,
  records: number,
  perSecond: number,
): Promise<SteadyWrites> {
  const args = [port, records, perSecond].map(String);
  const child = fork(join(import.meta.dirname, 'steady-writes.ts'), args);
  await once(child, 'message');
  return {
    latencies: async (fromMs, toMs) => {
      child.send({ fromMs, toMs });
      const [answer] = (await once(child, 'message')) as [Latencies];
      return answer;
    },
    stop: () => child.kill('SIGKILL'),
  };
}
