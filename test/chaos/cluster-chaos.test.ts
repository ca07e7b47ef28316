/** The short form of `npm run chaos -- --minutes M --seed S`: real nodes, three and then five, every kind of ill. */
import { expect, test } from 'vitest';
import { runChaos } from './cluster-chaos.ts';

const MINUTES = 1;
/** With what comes before and after, on a busy machine. */
const ENDS_WITHIN_MS = 480_000;

test.each([
  { nodes: 3, seed: 4, busySeconds: 10 },
  { nodes: 5, seed: 6, busySeconds: 0 },
])(
  'chaos: of $nodes nodes some die, stand still and are cut off; no split brain, no acks=isr write lost, copies equal',
  { timeout: ENDS_WITHIN_MS },
  async ({ nodes, seed, busySeconds }) => {
    const again = `npm run chaos -- --minutes ${MINUTES} --seed ${seed} --nodes ${nodes} --busy ${busySeconds}`;
    const plan = { nodes, minutes: MINUTES, seed, busySeconds, print: () => undefined };
    const report = await runChaos(plan).catch((error: unknown) => {
      throw new Error(`the same run: ${again}\n${String(error)}`, { cause: error });
    });
    expect(Math.min(...Object.values(report.ills))).toBeGreaterThan(0);
    expect(report).toMatchObject({ epochsSplit: 0, keysBroken: 0 });
    expect(report.epochs).toBeGreaterThan(16);
    expect(report.writesDone).toBeGreaterThan(1_000);
    console.log(JSON.stringify(report));
  },
);
