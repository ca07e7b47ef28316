/** Commands about the process: TIME LOLWUT SAVE BGSAVE LASTSAVE SHUTDOWN; and RESET. */

import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Execution } from '../serving/execution.ts';
import { SYNTAX_ERROR } from './errors.ts';
import { type CommandRow, command, type RowInput } from './row.ts';
import { INGOT_VERSION } from './version.ts';

const NOTHING_TO_SAVE =
  'ERR copies are saved by themselves where --checkpoint-every says how often; other nodes have them, too';
const NO_SHUTDOWN = 'ERR No shutdown in progress.';

function time({ nowMs }: Execution, _args: Args, out: ReplyWriter): void {
  out.array(2);
  out.bulkText(String(Math.floor(nowMs / 1000)));
  out.bulkText(String((nowMs % 1000) * 1000));
}

function lolwut(_execution: Execution, _args: Args, out: ReplyWriter): void {
  out.verbatim(
    `Ingot ver. ${INGOT_VERSION}: one bar of bytes, however many hands reach into it.\n`,
  );
}

function refuseToSave(_execution: Execution, _args: Args, out: ReplyWriter): void {
  out.error(NOTHING_TO_SAVE);
}

/** As Redis answers before anything was saved: when the process began. */
function lastsave({ worker, session }: Execution): void {
  const stats = worker.ask('nodeStats') as Promise<{ startedAtMs: number }>;
  session.replyLater(
    stats.then(
      ({ startedAtMs }) =>
        (late) =>
          late.integer(Math.floor(startedAtMs / 1000)),
    ),
  );
}

const SHUTDOWN_WORDS = ['NOSAVE', 'SAVE', 'NOW', 'FORCE'];

/** As SIGTERM: what the node leads is handed over first. There is no reply but the end. */
function shutdown({ worker, session }: Execution, args: Args, out: ReplyWriter): void {
  if (args.count === 2 && args.is(1, 'ABORT')) return out.error(NO_SHUTDOWN);
  for (let i = 1; i < args.count; i++) {
    if (!SHUTDOWN_WORDS.some((word) => args.is(i, word))) return out.error(SYNTAX_ERROR);
  }
  const { promise } = Promise.withResolvers<never>();
  session.replyLater(worker.ask('stopNode').then(() => promise));
}

function reset({ session }: Execution, _args: Args, out: ReplyWriter): void {
  session.reset();
  out.protocol = session.protocol;
  out.simple('RESET');
}

function server(row: Omit<RowInput, 'kind' | 'group'>): CommandRow {
  return command({ ...row, kind: 'connection', group: 'server' });
}

export const SERVER_COMMANDS: readonly CommandRow[] = [
  command({
    name: 'reset',
    arity: 1,
    kind: 'connection',
    group: 'connection',
    flags: ['noscript', 'loading', 'stale', 'fast', 'no_auth', 'allow_busy'],
    summary: 'Makes the connection as it was at its beginning.',
    run: reset,
  }),
  server({
    name: 'time',
    arity: 1,
    flags: ['loading', 'stale', 'fast'],
    summary: 'Returns the time of the node: Unix seconds, and microseconds.',
    run: time,
  }),
  server({
    name: 'lolwut',
    arity: -1,
    flags: ['readonly', 'fast'],
    summary: 'Returns the version of Ingot.',
    run: lolwut,
  }),
  server({
    name: 'save',
    arity: 1,
    flags: ['admin', 'noscript', 'no_async_loading', 'no_multi'],
    summary: 'Refused: copies are saved by themselves where --checkpoint-every says how often.',
    run: refuseToSave,
  }),
  server({
    name: 'bgsave',
    arity: -1,
    flags: ['admin', 'noscript', 'no_async_loading'],
    summary: 'Refused: copies are saved by themselves where --checkpoint-every says how often.',
    run: refuseToSave,
  }),
  server({
    name: 'lastsave',
    arity: 1,
    flags: ['loading', 'stale', 'fast'],
    categoriesToo: ['@admin'],
    dangerous: true,
    summary: 'Returns when the node was started.',
    run: lastsave,
  }),
  server({
    name: 'shutdown',
    arity: -1,
    flags: ['admin', 'noscript', 'loading', 'stale', 'no_multi', 'allow_busy'],
    summary: 'Stops this node as SIGTERM does: it hands over what it leads first.',
    run: shutdown,
  }),
];
