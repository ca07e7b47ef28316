/** 200 disconnects at random bytes under writes: each heals, and only the first sync was a full one. The long
 *  form, with a seed of its own: `npm run chaos -- --disconnects 2000 --seed 7`. */
import { expect, test } from 'vitest';
import { runDisconnects } from './disconnects.ts';

const DISCONNECTS = 200;
const SEED = 20_261_122;
const ENDS_WITHIN_MS = 300_000;

test(
  `${DISCONNECTS} disconnects at random bytes, seed ${SEED}: equal after each, full syncs are the first ones`,
  async () => {
    const report = await runDisconnects({
      disconnects: DISCONNECTS,
      seed: SEED,
      secret: 'between two nodes of a test',
      flips: false,
      print: (line) => process.stdout.write(`${line}\n`),
    });
    process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
    expect(report.disconnects).toBeGreaterThanOrEqual(DISCONNECTS);
    expect(report.fullSyncs).toBe(report.partitions);
    expect(report.checksFailed).toBe(0);
    expect(report.lost).toEqual([]);
    expect(report.chunksChecked).toBeGreaterThan(report.rounds * report.partitions);
    // Both ways of coming back were taken, and cuts fell into bulks and into redo.
    expect(Object.keys(report.syncs)).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^stream/),
        expect.stringMatching(/^catch-up/),
      ]),
    );
    expect(report.places['CHUNK payload']).toBeGreaterThan(0);
    expect(report.places['REDO payload']).toBeGreaterThan(0);
  },
  ENDS_WITHIN_MS,
);
