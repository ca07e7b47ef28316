/** npm run soak -- [--minutes M] [--seed S] [--part threads|models|pair] [--fault NAME]
 *
 *  The proofs of the store for as long as you like, a third of the time each: threads that hammer one map, whose histories
 *  must be linearizable; models against a plain Map, a follower and an earlier image; and SETs of the largest size on
 *  two nodes, which must not need another full sync than the first. Exit code 1 where something broke. */
import { parseArgs } from 'node:util';
import { FAULTS } from '../threads/faults.ts';
import { PARTS } from './parts.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    part: { type: 'string' },
    fault: { type: 'string' },
  },
});
const minutes = Number(values.minutes);
const seed = Number(values.seed);
const { part, fault } = values;
const names = part === undefined ? Object.keys(PARTS) : [part];

if (!(minutes > 0) || !(Number.isSafeInteger(seed) && seed >= 0)) {
  process.stderr.write('--minutes takes a number above 0, --seed a whole number\n');
  process.exit(2);
}
if (names.some((name) => !(name in PARTS)) || (fault !== undefined && !(fault in FAULTS))) {
  process.stderr.write(
    `--part is one of ${Object.keys(PARTS).join(', ')}; --fault one of ${Object.keys(FAULTS).join(', ')}\n`,
  );
  process.exit(2);
}

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const again = [
  `npm run soak -- --minutes ${minutes} --seed ${seed}`,
  ...(part === undefined ? [] : [`--part ${part}`]),
  ...(fault === undefined ? [] : [`--fault ${fault}`]),
].join(' ');

print(again);
for (const name of names) {
  const ms = (minutes * 60_000) / names.length;
  const broken = await PARTS[name]({ seed, ms, fault, print }).catch((error: unknown) =>
    error instanceof Error ? (error.stack ?? error.message) : String(error),
  );
  if (broken === null) continue;
  print(`BROKEN ${name}: ${broken}\nthe same run: ${again}`);
  process.exit(1);
}
print(`all held: ${names.join(', ')}`);
