/** The long forms of chaos, each from a seed; at the end what happened, as JSON. Exit code 1 where something did not
 *  hold, with the command for the same run.
 *
 *    npm run chaos -- --minutes 30 --seed 7 --nodes 5    nodes die, pause and are cut off, under clients; before
 *                                                        that endless loops on all cores, for --busy SECONDS
 *    npm run chaos -- --disconnects 2000 --seed 7        connections are cut at random bytes, under writes;
 *                                                        with --secret TEXT in a cluster that has one, with
 *                                                        --flips also with bits that change on their way */
import { parseArgs } from 'node:util';
import { runChaos } from './cluster-chaos.ts';
import { runDisconnects } from './disconnects.ts';

const { values } = parseArgs({
  options: {
    disconnects: { type: 'string' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    secret: { type: 'string' },
    flips: { type: 'boolean', default: false },
    minutes: { type: 'string' },
    nodes: { type: 'string', default: '3' },
    busy: { type: 'string', default: '20' },
  },
});
const isOfDisconnects = values.disconnects !== undefined;
const disconnects = Number(values.disconnects ?? 1);
const seed = Number(values.seed);
const minutes = Number(values.minutes ?? (isOfDisconnects ? 30 : 10));
const nodes = Number(values.nodes);
const busySeconds = Number(values.busy);
const { flips } = values;
const secret = values.secret ?? null;
const again = isOfDisconnects
  ? `npm run chaos -- --disconnects ${disconnects} --seed ${seed}` +
    (flips ? ' --flips' : '') +
    (secret === null ? '' : ` --secret '${secret}'`)
  : `npm run chaos -- --minutes ${minutes} --seed ${seed} --nodes ${nodes} --busy ${busySeconds}`;
/** A cluster of five takes its time to begin, and to heal. */
const GRACE_MINUTES = 8;

if (![disconnects, seed, minutes].every((value) => Number.isSafeInteger(value) && value > 0)) {
  process.stderr.write('--disconnects, --seed and --minutes take whole numbers above 0\n');
  process.exit(2);
}
if (![3, 5].includes(nodes) || !(busySeconds >= 0)) {
  process.stderr.write('--nodes takes 3 or 5, --busy seconds\n');
  process.exit(2);
}

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const limitMinutes = minutes + (isOfDisconnects ? 0 : GRACE_MINUTES + busySeconds / 60);
setTimeout(() => {
  process.stderr.write(`not done after ${limitMinutes} minutes; the same run: ${again}\n`);
  process.exit(1);
}, limitMinutes * 60_000).unref();

print(again);
const startedMs = performance.now();
try {
  const report = isOfDisconnects
    ? await disconnected()
    : await runChaos({ nodes, minutes, seed, busySeconds, print });
  const seconds = Math.round((performance.now() - startedMs) / 1_000);
  print(JSON.stringify({ ...report, seconds }, null, 2));
  // Node's own cleanup at a natural end may spin for ever over one of thousands of sockets that were reset.
  process.exit(0);
} catch (error) {
  process.stderr.write(`${String(error)}\nthe same run: ${again}\n`);
  process.exit(1); // with whatever was under way
}

async function disconnected(): Promise<object> {
  const report = await runDisconnects({ disconnects, seed, secret, flips, print });
  const { syncs, checksFailed, lost } = report;
  const firstFull = Object.entries(syncs).filter(([kind]) => kind.startsWith('full'));
  const isHeld =
    (flips || checksFailed === 0) &&
    lost.length === 0 &&
    firstFull.every(([kind]) => kind === 'full: the copy is empty') &&
    report.fullSyncs === report.partitions;
  if (!isHeld) throw new Error(`the copies did not hold: ${JSON.stringify(report, null, 2)}`);
  return report;
}
