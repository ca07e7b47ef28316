/** Entry of a data worker's thread: wires a ServingWorker to the main thread's messages. */

import { describeClient } from '../commands/client.ts';
import { closeLine, log, onMessage, ownData, post } from '../process/worker-side.ts';
import { IngotError } from '../shared/errors.ts';
import type { AnswerMessage, Question, ToDataWorker } from '../shared/messages.ts';
import { ServingWorker } from './worker.ts';

interface PendingAsk {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

const pendingAsks: Map<number, PendingAsk> = new Map();
let lastAskId = 0;

function ask(what: Question): Promise<unknown> {
  const id = ++lastAskId;
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  pendingAsks.set(id, { resolve, reject });
  post({ kind: 'ask', id, what });
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
    case 'clientList': {
      const nowMs = worker.nowMs();
      const lines = [...worker.sessions.values()].map((session) => describeClient(session, nowMs));
      post({ kind: 'reply', id: message.id, result: lines });
      break;
    }
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
