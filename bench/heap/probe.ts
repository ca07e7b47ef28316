/** Loaded into every thread of a server that is looked at, before its own code: samples what the thread allocates.
 *
 *  The benchmark asks by making files in a directory, the main thread passes it on, and each worker writes what it
 *  allocated between `start` and `stop`, by function, garbage included, into a file of its own. */

import { existsSync, writeFileSync } from 'node:fs';
import { type HeapProfiler, Session } from 'node:inspector/promises';
import { join } from 'node:path';
import { BroadcastChannel, isMainThread, threadId, threadName } from 'node:worker_threads';

export const DIRECTORY_VARIABLE = 'INGOT_BENCH_HEAP';
const LOOK_MS = 50;
/** Bytes between samples, on average: some thousands of samples where each operation allocates one small object. */
const SAMPLE_BYTES = 1_024;

export interface ThreadHeap {
  readonly thread: string;
  /** Bytes by function, the largest first. */
  readonly allocated: readonly (readonly [name: string, bytes: number])[];
}

const directory = process.env[DIRECTORY_VARIABLE];
if (directory !== undefined) {
  const channel = new BroadcastChannel(DIRECTORY_VARIABLE);
  channel.unref();
  if (isMainThread) passOn(directory, channel);
  else answer(directory, channel);
}

function passOn(from: string, channel: BroadcastChannel): void {
  let round = 0;
  const look = setInterval(() => {
    if (!existsSync(join(from, `${round % 2 === 0 ? 'start' : 'stop'}-${round >> 1}`))) return;
    channel.postMessage(round++);
  }, LOOK_MS);
  look.unref();
}

function answer(into: string, channel: BroadcastChannel): void {
  const session = new Session();
  session.connect();
  channel.addEventListener('message', (message: unknown) => {
    const round = (message as { data: number }).data;
    void (round % 2 === 0 ? begin(session) : end(session, into, round >> 1));
  });
}

async function begin(session: Session): Promise<void> {
  await session.post('HeapProfiler.startSampling', {
    samplingInterval: SAMPLE_BYTES,
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: true,
  });
}

async function end(session: Session, into: string, round: number): Promise<void> {
  const { profile } = await session.post('HeapProfiler.stopSampling');
  const bytes = new Map<string, number>();
  sum(profile.head, bytes);
  const allocated = [...bytes].sort(([, a], [, b]) => b - a);
  const heap: ThreadHeap = { thread: threadName ?? '', allocated };
  writeFileSync(join(into, `heap-${round}-${threadId}.json`), JSON.stringify(heap));
}

function sum(node: HeapProfiler.SamplingHeapProfileNode, bytes: Map<string, number>): void {
  const { functionName, url, lineNumber } = node.callFrame;
  const name = `${functionName || '(anonymous)'} ${url.split('/').slice(-2).join('/')}:${lineNumber + 1}`;
  if (node.selfSize > 0) bytes.set(name, (bytes.get(name) ?? 0) + node.selfSize);
  for (const child of node.children) sum(child, bytes);
}
