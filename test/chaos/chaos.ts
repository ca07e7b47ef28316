/** The long form of the disconnects: `npm run chaos -- --disconnects 2000 --seed 7`; with `--secret TEXT` in a
 *  cluster that has one, with `--flips` also with bits that change on their way.
 *  Prints where it is; at the end what happened, as JSON. Exit code 1 where the copies did not hold. */
import { parseArgs } from 'node:util';
import { runDisconnects } from './disconnects.ts';

const { values } = parseArgs({
  options: {
    disconnects: { type: 'string', default: '2000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    secret: { type: 'string' },
    flips: { type: 'boolean', default: false },
    minutes: { type: 'string', default: '30' },
  },
});
const disconnects = Number(values.disconnects);
const seed = Number(values.seed);
const minutes = Number(values.minutes);
const { flips } = values;
const secret = values.secret ?? null;
const again =
  `npm run chaos -- --disconnects ${disconnects} --seed ${seed}` +
  (flips ? ' --flips' : '') +
  (secret === null ? '' : ` --secret '${secret}'`);

if (![disconnects, seed, minutes].every((value) => Number.isSafeInteger(value) && value > 0)) {
  process.stderr.write('--disconnects, --seed and --minutes take whole numbers above 0\n');
  process.exit(2);
}

setTimeout(() => {
  process.stderr.write(`not done after ${minutes} minutes; the same run: ${again}\n`);
  process.exit(1);
}, minutes * 60_000).unref();

process.stdout.write(`${disconnects} disconnects, seed ${seed}\n`);
const startedMs = performance.now();
try {
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  const report = await runDisconnects({ disconnects, seed, secret, flips, print });
  const seconds = Math.round((performance.now() - startedMs) / 1_000);
  process.stdout.write(`${JSON.stringify({ ...report, seconds }, null, 2)}\n`);
  const { syncs, checksFailed, lost } = report;
  const firstFull = Object.entries(syncs).filter(([kind]) => kind.startsWith('full'));
  const isHeld =
    (flips || checksFailed === 0) &&
    lost.length === 0 &&
    firstFull.every(([kind]) => kind === 'full: the copy is empty') &&
    report.fullSyncs === report.partitions;
  if (!isHeld) throw new Error('the copies did not hold');
  // Node's own cleanup at a natural end may spin for ever over one of thousands of sockets that were reset.
  process.exit(0);
} catch (error) {
  process.stderr.write(`${String(error)}\nthe same run: ${again}\n`);
  process.exit(1); // with whatever was under way
}
