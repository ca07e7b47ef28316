/** Entry of a data worker's thread: wires a ServingWorker to the main thread's messages. */

import { closeLine, log, onMessage, ownData, post, reply } from '../process/worker-side.ts';
import { IngotError } from '../shared/errors.ts';
import type { AnswerMessage, Question, ToDataWorker } from '../shared/messages.ts';
import type { WorkerQuestion } from '../shared/worker-questions.ts';
import { answer } from './worker-answers.ts';
import { ServingWorker } from './worker.ts';

interface PendingAsk {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

const pendingAsks: Map<number, PendingAsk> = new Map();
let lastAskId = 0;

function ask(what: Question | WorkerQuestion, asked: unknown): Promise<unknown> {
  const id = ++lastAskId;
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  pendingAsks.set(id, { resolve, reject });
  post({ kind: 'ask', id, what, asked });
  return promise;
}

function answered(message: AnswerMessage): void {
  const pending = pendingAsks.get(message.id);
  pendingAsks.delete(message.id);
  if ('error' in message) pending?.reject(new Error(message.error));
  else pending?.resolve(message.result);
}

const worker = new ServingWorker(ownData(), ask, log);

function handle(message: ToDataWorker): void {
  switch (message.kind) {
    case 'map':
      worker.mapChanged(message.map);
      break;
    case 'attach':
      worker.attach(message.handle);
      break;
    case 'detach':
      worker.detach(message.partition);
      break;
    case 'role':
    case 'lease':
      worker.roleChanged();
      break;
    case 'answer':
      answered(message);
      break;
    case 'question':
      void reply(message.id, () => answer(worker, message.what, message.asked));
      break;
    case 'stop':
      worker.stop();
      closeLine();
      break;
  }
}

onMessage(handle);
try {
  await worker.listen();
  post({ kind: 'ready' });
} catch (error) {
  const code = error instanceof IngotError ? error.code : 'CANNOT_LISTEN';
  post({ kind: 'failed', code, text: (error as Error).message });
}
