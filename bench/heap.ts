/** npm run bench:heap: what a data worker allocates on the JS heap per GET and per SET, garbage included.
 *
 *  V8's sampling heap profiler runs in every thread of a node (heap/probe.ts) while redis-benchmark runs. What is allocated
 *  per command is there at every pipeline; what is allocated per read from a socket, a sixteenth of it at pipeline 16.
 *  Ends with 1 where it is more at a pipeline of 64 than one small object for every other command. */

import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { DIRECTORY_VARIABLE, type ThreadHeap } from './heap/probe.ts';
import { type Case, measure, preload } from './load.ts';
import { startIngot } from './servers.ts';

const KEYS = 100_000;
/** Before anything is counted: everything is compiled by then. */
const WARM_UP = 1_000_000;
const PROBE = pathToFileURL(join(import.meta.dirname, 'heap/probe.ts')).href;
const FUNCTIONS_SHOWN = 6;
const LIMIT_PIPELINE = 64;
/** A boxed number has 16 bytes; the readings of a socket that a batch of 64 begins with are below this. */
const BYTES_PER_OPERATION_MAX = 8;
const ANSWER_MS_MAX = 10_000;

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '1000000' },
    pipelines: { type: 'string', default: '1,16,64' },
    port: { type: 'string', default: '17420' },
  },
});
const requests = Number(values.requests);

const directory = await mkdtemp(join(tmpdir(), 'ingot-heap-'));
process.env[DIRECTORY_VARIABLE] = directory;
process.env.NODE_OPTIONS = `--import=${PROBE}`;
const server = await startIngot(Number(values.port));
try {
  await preload(server, KEYS);
  for (const command of ['GET', 'SET'] as const) {
    await measure(server, { command, pipeline: 16, requests: WARM_UP }, KEYS);
  }
  let round = 0;
  for (const pipeline of values.pipelines.split(',').map(Number)) {
    for (const command of ['GET', 'SET'] as const) {
      print(
        { command, pipeline, requests },
        await allocatedBy({ command, pipeline, requests }, round),
      );
      round++;
    }
  }
} finally {
  await server.stop();
  await rm(directory, { recursive: true, force: true });
}

/** Of the data worker. */
async function allocatedBy(each: Case, round: number): Promise<ThreadHeap> {
  await writeFile(join(directory, `start-${round}`), '');
  await delay(500);
  await measure(server, each, KEYS);
  await writeFile(join(directory, `stop-${round}`), '');
  const heaps = await answers(`heap-${round}-`);
  const heap = heaps.find(({ thread }) => thread.startsWith('data'));
  if (heap === undefined) throw new Error('no data worker said what it allocated');
  return heap;
}

/** One file per worker thread: data, replication, storage. */
async function answers(prefix: string): Promise<ThreadHeap[]> {
  const THREADS = 3;
  for (const deadline = Date.now() + ANSWER_MS_MAX; Date.now() < deadline; await delay(50)) {
    const names = (await readdir(directory)).filter((name) => name.startsWith(prefix));
    if (names.length < THREADS) continue;
    await delay(50);
    const texts = await Promise.all(names.map((name) => readFile(join(directory, name), 'utf8')));
    return texts.map((text) => JSON.parse(text) as ThreadHeap);
  }
  throw new Error('the threads of the server did not say what they allocated');
}

function bytesOf(heap: ThreadHeap): number {
  return heap.allocated.reduce((sum, [, bytes]) => sum + bytes, 0);
}

function print({ command, pipeline }: Case, heap: ThreadHeap): void {
  const perOperation = (bytes: number): string => (bytes / requests).toFixed(2);
  console.log(
    `${command} pipeline ${pipeline}: ${perOperation(bytesOf(heap))} bytes per operation`,
  );
  if (pipeline >= LIMIT_PIPELINE && bytesOf(heap) / requests > BYTES_PER_OPERATION_MAX) {
    process.exitCode = 1;
  }
  for (const [name, bytes] of heap.allocated.slice(0, FUNCTIONS_SHOWN)) {
    console.log(`  ${perOperation(bytes).padStart(8)}  ${name}`);
  }
}
