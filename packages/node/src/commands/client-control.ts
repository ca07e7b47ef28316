/** The subcommands of CLIENT that act on connections, of all workers of the node: KILL, PAUSE, UNPAUSE,
 *  UNBLOCK; and REPLY, which acts on this one. */

import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Execution } from '../serving/execution.ts';
import { ReplyMode } from '../serving/session.ts';
import type { ClientFilter } from '../shared/worker-questions.ts';
import { replyFromEvery } from './ask-workers.ts';
import type { SubcommandInput } from './container.ts';
import {
  NO_TIMEOUT,
  NOT_AN_INTEGER,
  TIMEOUT_NEGATIVE,
  noSuchUser,
  SYNTAX_ERROR,
  unknownClientType,
  wrongSubcommand,
} from './errors.ts';
import type { Flag } from './row.ts';

const ID_TOO_SMALL = 'ERR client-id should be greater than 0';
const NO_SUCH_CLIENT = 'ERR No such client';
const NO_PAUSE_MODE = 'ERR CLIENT PAUSE mode must be WRITE or ALL';
const NO_UNBLOCK_REASON = 'ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR';

/** Redis' words, and the types of connections that there are here. */
const TYPES: readonly (readonly [word: string, type: string])[] = [
  ['NORMAL', 'normal'],
  ['MASTER', 'master'],
  ['REPLICA', 'replica'],
  ['SLAVE', 'replica'],
  ['PUBSUB', 'pubsub'],
];

/** Argument `i` as a type of client; null where it is none. */
export function clientType(args: Args, i: number): string | null {
  return TYPES.find(([word]) => args.is(i, word))?.[1] ?? null;
}

/** CLIENT KILL addr, or CLIENT KILL filter value [...]. */
function kill(execution: Execution, args: Args, out: ReplyWriter): void {
  const byAddress = args.count === 3;
  const askerId = execution.session.id;
  const filter: ClientFilter | string = byAddress
    ? { address: args.text(2), askerId, sparesAsker: false }
    : parseFilter(args, askerId);
  if (typeof filter === 'string') return out.error(filter);
  replyFromEvery(execution, 'killClients', filter, (counts) => (late) => {
    const killed = counts.reduce((sum, count) => sum + count, 0);
    if (!byAddress) late.integer(killed);
    else if (killed > 0) late.ok();
    else late.error(NO_SUCH_CLIENT);
  });
}

type Draft = { -readonly [K in keyof ClientFilter]: ClientFilter[K] };

/** Sets one condition from argument `i`; a string is the error reply. */
const CONDITIONS: Readonly<Record<string, (draft: Draft, args: Args, i: number) => string | null>> =
  {
    ID: (draft, args, i) => {
      const id = args.integer(i);
      if (!(id > 0)) return ID_TOO_SMALL;
      draft.id = id;
      return null;
    },
    ADDR: (draft, args, i) => {
      draft.address = args.text(i);
      return null;
    },
    LADDR: (draft, args, i) => {
      draft.localAddress = args.text(i);
      return null;
    },
    TYPE: (draft, args, i) => {
      const type = clientType(args, i);
      if (type === null) return unknownClientType(args, i);
      draft.type = type;
      return null;
    },
    USER: (_draft, args, i) => (args.text(i) === 'default' ? null : noSuchUser(args, i)),
    SKIPME: (draft, args, i) => {
      if (!args.is(i, 'YES') && !args.is(i, 'NO')) return SYNTAX_ERROR;
      draft.sparesAsker = args.is(i, 'YES');
      return null;
    },
  };

function parseFilter(args: Args, askerId: number): ClientFilter | string {
  const draft: Draft = { askerId, sparesAsker: true };
  for (let i = 2; i < args.count; i += 2) {
    const condition = Object.keys(CONDITIONS).find((word) => args.is(i, word));
    if (condition === undefined || i + 1 === args.count) return SYNTAX_ERROR;
    const refused = CONDITIONS[condition](draft, args, i + 1);
    if (refused !== null) return refused;
  }
  return draft;
}

/** CLIENT PAUSE ms [WRITE|ALL]: on this node alone. */
function pause(execution: Execution, args: Args, out: ReplyWriter): void {
  if (args.count > 4) return out.error(wrongSubcommand('client', args));
  const writesOnly = args.count === 4 && args.is(3, 'WRITE');
  if (args.count === 4 && !writesOnly && !args.is(3, 'ALL')) return out.error(NO_PAUSE_MODE);
  const ms = args.integer(2);
  if (Number.isNaN(ms)) return out.error(NO_TIMEOUT);
  if (ms < 0) return out.error(TIMEOUT_NEGATIVE);
  const order = { mode: writesOnly ? 'write' : 'all', ms } as const;
  replyFromEvery(execution, 'pauseClients', order, () => (late) => late.ok());
}

function unpause(execution: Execution): void {
  const order = { mode: 'none', ms: 0 } as const;
  replyFromEvery(execution, 'pauseClients', order, () => (late) => late.ok());
}

/** CLIENT UNBLOCK id [TIMEOUT|ERROR]: a client in WAIT. */
function unblock(execution: Execution, args: Args, out: ReplyWriter): void {
  if (args.count > 4) return out.error(wrongSubcommand('client', args));
  const withError = args.count === 4 && args.is(3, 'ERROR');
  if (args.count === 4 && !withError && !args.is(3, 'TIMEOUT')) return out.error(NO_UNBLOCK_REASON);
  const id = args.integer(2);
  if (Number.isNaN(id)) return out.error(NOT_AN_INTEGER);
  replyFromEvery(execution, 'unblockClient', { id, withError }, (found) => (late) => {
    late.integer(found.includes(true) ? 1 : 0);
  });
}

/** CLIENT REPLY ON|OFF|SKIP: the executor drops what is not wanted. */
function reply({ session }: Execution, args: Args, out: ReplyWriter): void {
  if (args.is(2, 'ON')) {
    session.replyMode = ReplyMode.on;
    out.ok();
  } else if (args.is(2, 'OFF')) {
    session.replyMode = ReplyMode.off;
  } else if (!args.is(2, 'SKIP')) {
    out.error(SYNTAX_ERROR);
  } else if (session.replyMode !== ReplyMode.off) {
    session.replyMode = ReplyMode.skipNext;
  }
}

const ORDINARY: readonly Flag[] = ['noscript', 'loading', 'stale'];
const ADMIN: readonly Flag[] = ['admin', ...ORDINARY];

export const CLIENT_CONTROL: readonly SubcommandInput[] = [
  {
    word: 'kill',
    arity: -3,
    flags: ADMIN,
    summary: 'Ends connections of this node, by address, id, type or user.',
    run: kill,
  },
  {
    word: 'pause',
    arity: -3,
    flags: ADMIN,
    summary: 'Lets commands of clients of this node wait, all or those that write.',
    run: pause,
  },
  { word: 'unpause', arity: 2, flags: ADMIN, summary: 'Ends a pause.', run: unpause },
  {
    word: 'unblock',
    arity: -3,
    flags: ADMIN,
    summary: 'Ends the WAIT of another connection of this node.',
    run: unblock,
  },
  {
    word: 'reply',
    arity: 3,
    flags: ORDINARY,
    summary: 'Says which replies this connection wants: ON, OFF, or SKIP the next.',
    run: reply,
  },
  {
    word: 'getredir',
    arity: 2,
    flags: ORDINARY,
    summary: 'Always -1: there is no tracking.',
    run: (_execution, _args, out) => out.integer(-1),
  },
];
