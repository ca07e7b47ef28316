/** npm run bench:sync: a full sync, Ingot and Redis side by side in the same run on the same machine.
 *
 *  Both copy the same records to a fresh follower; the two take turns, figures are medians of rounds.
 *  No process is held to a core: each side has the whole machine, as has the client that writes meanwhile. */

import { parseArgs } from 'node:util';
import { syncIngot } from './sync/ingot-side.ts';
import { RedisPrimary } from './sync/redis-side.ts';
import { printComparison, printRound, printWhatIsCounted } from './sync/report.ts';
import type { SyncCase, SyncResult } from './sync/sync-result.ts';
import { COLD, keepWarm } from './sync/warm-memory.ts';

/** A copy of the records and what surrounds it, and what the primary writes meanwhile. */
const WARM_BYTES = 3 * 2 ** 30;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    records: { type: 'string', default: '3500000' },
    writes: { type: 'string', default: '20000' },
    cases: { type: 'string', default: 'quiet,max,default' },
    sides: { type: 'string', default: 'redis,ingot' },
    cold: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
const records = Number(values.records);
const writes = Number(values.writes);
const cases: Readonly<Record<string, SyncCase>> = {
  quiet: { records, writes: 0, syncRate: null },
  max: { records, writes, syncRate: 'max' },
  default: { records, writes, syncRate: null },
};
const caseNames = values.cases.split(',');
const warm = values.cold ? COLD : await keepWarm(WARM_BYTES);
const redis = values.sides.includes('redis') ? await RedisPrimary.loaded(records) : null;
const runs: Readonly<Record<string, (each: SyncCase, begins: () => void) => Promise<SyncResult>>> =
  {
    redis: (each, begins) => (redis as RedisPrimary).sync(each, begins),
    ingot: syncIngot,
  };
const sides = values.sides.split(',');
const results = new Map<string, SyncResult[]>();
try {
  printWhatIsCounted(records, rounds, values.cold);
  for (let round = 0; round < rounds; round++) {
    for (const name of caseNames) {
      // Whoever goes first finds another machine: take turns.
      for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
        await warm.fill();
        const result = await runs[side](cases[name], () => warm.release());
        results.set(`${side} ${name}`, [...(results.get(`${side} ${name}`) ?? []), result]);
        printRound(round + 1, side, name, result);
      }
    }
  }
  for (const name of caseNames) {
    const of = (side: string): readonly SyncResult[] => results.get(`${side} ${name}`) ?? [];
    printComparison(name, cases[name], of('redis'), of('ingot'));
  }
} finally {
  await redis?.stop();
  warm.stop();
}
