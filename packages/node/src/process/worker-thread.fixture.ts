/** A worker for worker-thread.test.ts: answers, refuses, dies or ends as the messages ask. */

import { parentPort } from 'node:worker_threads';

parentPort?.on('message', ({ kind, id }: { kind: string; id: number }) => {
  if (kind === 'double') parentPort?.postMessage({ kind: 'reply', id, result: id * 2 });
  else if (kind === 'refuse') parentPort?.postMessage({ kind: 'reply', id, error: 'not today' });
  else if (kind === 'greet') parentPort?.postMessage({ kind: 'greeting', text: 'hello' });
  else if (kind === 'fail') parentPort?.postMessage({ kind: 'failed', code: 'X', text: 'no port' });
  else if (kind === 'die') throw new Error('out of luck');
  else if (kind === 'stop') parentPort?.close();
});
parentPort?.postMessage({ kind: 'started' });
