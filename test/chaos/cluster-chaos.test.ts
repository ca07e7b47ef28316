/** The short form of `npm run chaos -- --minutes M --seed S`: three real nodes, every kind of ill at least once. */
import { expect, test } from 'vitest';
import { runChaos } from './cluster-chaos.ts';

const MINUTES = 1;
const BUSY_SECONDS = 10;
/** With what comes before and after, on a busy machine. */
const ENDS_WITHIN_MS = 480_000;

test('chaos: nodes die, stand still and are cut off; no split brain, no acks=isr write lost, copies equal', {
  timeout: ENDS_WITHIN_MS,
}, async () => {
  const seed = 4;
  const again = `npm run chaos -- --minutes ${MINUTES} --seed ${seed}`;
  const plan = { nodes: 3, minutes: MINUTES, seed, busySeconds: BUSY_SECONDS };
  const report = await runChaos({ ...plan, print: () => undefined }).catch((error: unknown) => {
    throw new Error(`the same run: ${again}\n${String(error)}`, { cause: error });
  });
  expect(Math.min(...Object.values(report.ills))).toBeGreaterThan(0);
  expect(report).toMatchObject({ epochsSplit: 0, keysBroken: 0 });
  expect(report.epochs).toBeGreaterThan(16);
  expect(report.writesDone).toBeGreaterThan(1_000);
  console.log(JSON.stringify(report));
});
