/** What a data worker answers for itself when a client of any worker asks about the whole node. */

import { describeClient } from '../commands/client-lines.ts';
import type {
  Asked,
  ClientFilter,
  WorkerAnswer,
  WorkerQuestion,
} from '../shared/worker-questions.ts';
import type { ClientPause } from './client-pause.ts';
import type { Connection } from './connection.ts';
import type { CallCounts } from './call-counts.ts';
import type { LiveSettings } from './live-settings.ts';
import type { SlowLog } from './slow-log.ts';

export interface AnsweringWorker {
  readonly sessions: ReadonlyMap<number, Connection>;
  readonly live: LiveSettings;
  readonly slowLog: SlowLog;
  readonly pause: ClientPause;
  readonly calls: CallCounts;
  nowMs(): number;
  monotonicMs(): number;
}

type Answers = {
  readonly [K in WorkerQuestion]: (worker: AnsweringWorker, asked: Asked<K>) => WorkerAnswer<K>;
};

const ANSWERS: Answers = {
  clientList: (worker) => {
    const nowMs = worker.nowMs();
    return [...worker.sessions.values()].map((client) => describeClient(client, nowMs));
  },
  killClients: (worker, filter) => {
    const matching = [...worker.sessions.values()].filter((client) => matches(client, filter));
    for (const client of matching) {
      if (client.id === filter.askerId) client.closeAfterReplies();
      else client.destroy();
    }
    return matching.length;
  },
  pauseClients: (worker, order) => {
    worker.pause.order(order, worker.monotonicMs());
    return null;
  },
  unblockClient: ({ sessions }, { id, withError }) => {
    const waiting = sessions.get(id)?.blockedOn ?? null;
    waiting?.unblock(withError);
    return waiting !== null;
  },
  setLive: ({ live }, changed) => {
    live.set(changed);
    return null;
  },
  slowLog: ({ slowLog }) => slowLog.list(),
  resetSlowLog: ({ slowLog }) => {
    slowLog.reset();
    return null;
  },
  latencySamples: ({ slowLog }) => slowLog.allSamples(),
  resetLatency: ({ slowLog }, events) => slowLog.resetSamples(events),
  clientFigures: ({ sessions, calls }) => ({
    errors: Object.fromEntries(calls.errorWords),
    blocked: [...sessions.values()].filter(({ blockedOn }) => blockedOn !== null).length,
  }),
  resetFigures: ({ calls }) => {
    calls.errorWords.clear();
    return null;
  },
};

export function answer(worker: AnsweringWorker, what: WorkerQuestion, asked: unknown): unknown {
  return (ANSWERS[what] as (worker: AnsweringWorker, asked: unknown) => unknown)(worker, asked);
}

function matches(client: Connection, filter: ClientFilter): boolean {
  const { id, address, localAddress, type, askerId, sparesAsker } = filter;
  if (sparesAsker && client.id === askerId) return false;
  return (
    (id === undefined || client.id === id) &&
    (address === undefined || client.address === address) &&
    (localAddress === undefined || client.localAddress === localAddress) &&
    (type === undefined || client.type === type)
  );
}
