/** Asks an acceptor with a file for each of its answers, and prints how often its thread came round
 *  meanwhile. Run by slow-disk.test.ts. */
import { performance } from 'node:perf_hooks';
import { mapFoundedBy } from '../../packages/node/src/control/simulated-cluster.fixture.ts';
import { Acceptor } from '../../packages/node/src/register/acceptor.ts';
import { LmdbAcceptorStorage } from '../../packages/node/src/register/lmdb-acceptor-storage.ts';

const storage = new LmdbAcceptorStorage(process.argv[2]);
const acceptor = new Acceptor(storage);
const life = { node: 'n1', incarnation: 1 };
const ballot = { round: 1, proposer: 'n1' };
const map = mapFoundedBy('n1', { partitions: 4, copies: 1 });
let turns = 0;
const clock = setInterval(() => turns++, 5);

async function asked(what: string, answer: () => Promise<unknown>): Promise<void> {
  turns = 0;
  const beganMs = performance.now();
  await answer();
  process.stdout.write(`${JSON.stringify({ what, turns, ms: performance.now() - beganMs })}\n`);
}

await asked('prepare', () => acceptor.prepare(life, ballot));
await asked('accept', () => acceptor.accept(life, ballot, map));
await asked('fence', () => acceptor.fence(life));
clearInterval(clock);
await storage.close();
