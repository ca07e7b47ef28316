/** npm run fuzz -- [--minutes M] [--seed S] [--part parser]
 *
 *  Damaged streams of bytes for as long as you like, the same share of the time each: to the parser, to live nodes, and to
 *  their other doors. Says every 10 s how far it is and, at the end, what was reached. Exit code 1 with the shortest
 *  stream that shows what broke, as a row for the table of vectors. */
import { parseArgs } from 'node:util';
import { type Fuzzed, PARTS } from './parts.ts';
import type { Tally } from './tally.ts';

const PROGRESS_MS = 10_000;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    part: { type: 'string' },
  },
});
const minutes = Number(values.minutes);
const seed = Number(values.seed);
const { part } = values;
const names = part === undefined ? Object.keys(PARTS) : [part];

if (!(minutes > 0) || !(Number.isSafeInteger(seed) && seed >= 0)) {
  process.stderr.write('--minutes takes a number above 0, --seed a whole number\n');
  process.exit(2);
}
if (names.some((name) => !(name in PARTS))) {
  process.stderr.write(`--part is one of ${Object.keys(PARTS).join(', ')}\n`);
  process.exit(2);
}

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const again = [
  `npm run fuzz -- --minutes ${minutes} --seed ${seed}`,
  ...(part === undefined ? [] : [`--part ${part}`]),
].join(' ');

async function run(name: string, ms: number): Promise<Fuzzed> {
  // Nodes take a while to start: the time begins with the first case.
  let startMs = Number.NaN;
  let saidMs = Number.NaN;
  const rate = ({ cases }: Tally): string => {
    const seconds = (performance.now() - startMs) / 1_000;
    return `${cases} cases in ${seconds.toFixed(0)} s, ${(cases / seconds).toFixed(1)} a second`;
  };
  const goesOn = (tally: Tally): boolean => {
    const nowMs = performance.now();
    if (Number.isNaN(startMs)) [startMs, saidMs] = [nowMs, nowMs];
    if (nowMs - saidMs >= PROGRESS_MS) {
      saidMs = nowMs;
      print(`${name}: ${rate(tally)}, seed ${seed}`);
    }
    return nowMs - startMs < ms;
  };
  const fuzzed = await PARTS[name]({ seed, goesOn });
  print(`${name}: ${rate(fuzzed.tally)}; reached:\n${fuzzed.tally.text}`);
  const { missing } = fuzzed.tally;
  if (missing.length > 0) print(`${name}: never reached: ${missing.join(', ')}`);
  return fuzzed;
}

print(again);
for (const name of names) {
  const { broken } = await run(name, (minutes * 60_000) / names.length);
  if (broken === null) continue;
  print(`BROKEN ${name}: ${broken}\nthe same run: ${again}`);
  process.exit(1);
}
print(`all held: ${names.join(', ')}`);
