/** Questions about the whole node, from a command: every data worker answers for itself. */

import type { Execution, WorkerContext } from '../serving/execution.ts';
import type { WriteReply } from '../serving/session.ts';
import type { Asked, WorkerAnswer, WorkerQuestion } from '../shared/worker-questions.ts';

export function askEvery<K extends WorkerQuestion>(
  worker: WorkerContext,
  what: K,
  asked: Asked<K>,
): Promise<WorkerAnswer<K>[]> {
  return worker.ask(what, asked) as Promise<WorkerAnswer<K>[]>;
}

/** Answers the command in hand with what `write` makes of all answers. */
export function replyFromEvery<K extends WorkerQuestion>(
  { worker, session }: Execution,
  what: K,
  asked: Asked<K>,
  write: (answers: WorkerAnswer<K>[]) => WriteReply,
): void {
  session.replyLater(askEvery(worker, what, asked).then(write));
}
