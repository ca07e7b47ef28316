/** npm run differential -- [--replies 1000000] [--seed S]: random commands to a node and to redis-server,
 *  replies compared. Exit code 1 with the shortest list of commands that shows a difference. */
import { parseArgs } from 'node:util';
import { needs } from '../support/tools.ts';
import { compareReplies } from './comparison.ts';
import { ServerPair } from './server-pair.ts';

const REPORT_EVERY = 50_000;

const { values } = parseArgs({
  options: {
    replies: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});
const replies = Number(values.replies);
const seed = Number(values.seed);
if (![replies, seed].every((value) => Number.isSafeInteger(value) && value > 0)) {
  process.stderr.write('--replies and --seed take whole numbers above 0\n');
  process.exit(2);
}

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const redisServer = needs('redis-server');
if (redisServer === null) process.exit(2);
const again = `npm run differential -- --replies ${replies} --seed ${seed}`;
print(again);
const startedMs = performance.now();
const pair = await ServerPair.start(redisServer);
let reported = 0;
try {
  const { difference, coverage } = await compareReplies(pair, {
    replies,
    seed,
    progress: (compared) => {
      if (compared - reported < REPORT_EVERY && compared < replies) return;
      reported = compared;
      const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
      print(`${compared} replies are the same, ${seconds} s`);
    },
  });
  print(coverage.describe());
  const differences = difference === null ? 0 : 1;
  print(`${coverage.replies} replies, ${differences} differences`);
  if (difference !== null) {
    print(`${difference}\nthe same run: ${again}`);
    process.exitCode = 1;
  }
} finally {
  await pair.stop();
}
