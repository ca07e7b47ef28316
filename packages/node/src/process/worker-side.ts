/** A worker's end of the line to the main thread: its data, its messages, its log. */

import { parentPort, workerData } from 'node:worker_threads';
import type {
  FromDataWorker,
  FromLogWorker,
  FromReplicationWorker,
  FromStorageWorker,
  FromWorker,
  WorkerData,
} from '../shared/messages.ts';
import type { NodeLog } from './log.ts';

export function ownData(): WorkerData {
  return workerData as WorkerData;
}

export function post(
  message: FromWorker | FromDataWorker | FromReplicationWorker | FromStorageWorker | FromLogWorker,
): void {
  parentPort?.postMessage(message);
}

export function onMessage(handle: (message: never) => void): void {
  parentPort?.on('message', handle as (message: unknown) => void);
}

/** Nothing keeps the thread alive any more but what is still open. */
export function closeLine(): void {
  parentPort?.close();
}

export const log: NodeLog = (level, event, fields = {}) =>
  post({ kind: 'log', level, event, fields });

/** Answers question `id` with what `answer` resolves to, or with its error. */
export async function reply(id: number, answer: () => unknown): Promise<void> {
  try {
    post({ kind: 'reply', id, result: await answer() });
  } catch (error) {
    post({ kind: 'reply', id, error: error instanceof Error ? error.message : String(error) });
  }
}
