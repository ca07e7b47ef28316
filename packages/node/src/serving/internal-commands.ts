/** What nodes say to each other on the cluster port, besides what clients say:
 *
 *  INGOT.LINK                  it carries other clients' commands: never park it, refuse
 *  INGOT.PROVE proof           of the cluster secret, where INGOT.LINK was answered with a nonce
 *  INGOT.OWN                   it carries one client's commands only: replies may be of any length
 *  INGOT.RESUME partition      answer for the partition again that was refused on this link
 *  INGOT.TOKEN key             what WATCH remembers of a key
 *  INGOT.SEQS partition...     what is committed of each, for WAIT
 *  INGOT.ACKED token...        how many followers have all of that
 *  INGOT.EXEC partition ...    one partition's part of a transaction, in one passage
 *  (INGOT.SCAN is an ordinary row, see commands/scan.ts.)
 *
 *  All are harmless from a client: none does what its own commands could not. Where clients need a
 *  password, a link proves the cluster's secret instead (client-auth.ts). */

import { arityHolds } from '../commands/row.ts';
import { Counter } from '../metrics/layout.ts';
import type { Args } from '../resp/args.ts';
import type { Connection } from './connection.ts';
import { type Desk, Outcome } from './desk.ts';
import { execHere } from './exec-here.ts';
import type { Command } from './execution.ts';
import { onePartition } from './keys.ts';
import { PROVE_WORD } from './peer-link.ts';
import type { QueuedCommand, WatchedKey } from './transaction-state.ts';
import { asksForLong, refuseLong } from './own-links.ts';
import { keepLent } from './pinned-value.ts';
import { Way } from './reply-values.ts';
import type { Route } from './routing.ts';
import { ackedBy, seqToken } from './wait.ts';
import { readToken } from './watch-token.ts';

const MALFORMED_TEXT = 'ERR malformed command between nodes';

const NOT_PROVED_TEXT =
  'WRONGPASS the link did not prove the secret of this cluster; give all nodes the same --secret-file, ' +
  'or the same --password';
const BEFORE_AUTH = ['admin', 'noscript', 'no_auth'];

type Run = (desk: Desk, connection: Connection, args: Args) => Outcome;

const RUNS: Readonly<Record<string, Run>> = {
  'ingot.link': (desk, connection) => {
    if (connection.authenticated) {
      connection.becomeLink();
      desk.out.ok();
    } else {
      connection.nonce = desk.host.auth.nonce();
      desk.out.simple(`${PROVE_WORD}${connection.nonce}`);
    }
    return Outcome.done;
  },
  'ingot.prove': (desk, connection, args) => {
    const { nonce } = connection;
    connection.nonce = null;
    if (nonce === null || !desk.host.auth.proves(nonce, args.text(1))) {
      desk.host.counters.add(Counter.authFailures, 1);
      desk.out.error(NOT_PROVED_TEXT);
      connection.closeAfterReplies();
      return Outcome.done;
    }
    connection.authenticated = true;
    connection.becomeLink();
    desk.out.ok();
    return Outcome.done;
  },
  'ingot.own': (desk, connection) => {
    connection.refusesLong = false;
    desk.out.ok();
    return Outcome.done;
  },
  'ingot.resume': (desk, connection, args) => {
    connection.resume(args.integer(1));
    desk.out.ok();
    return Outcome.done;
  },
  'ingot.seqs': (desk, _connection, args) => {
    const ids = Array.from({ length: args.count - 1 }, (_, i) => args.integer(i + 1));
    if (ids.some((id) => !(id >= 0 && id < desk.host.map.partitions))) {
      desk.out.error(MALFORMED_TEXT);
    } else desk.out.simple(ids.map((id) => seqToken(desk, id)).join(' '));
    return Outcome.done;
  },
  'ingot.acked': (desk, _connection, args) => {
    const tokens = Array.from({ length: args.count - 1 }, (_, i) => args.text(i + 1));
    desk.out.integer(ackedBy(desk, tokens));
    return Outcome.done;
  },
  'ingot.token': token,
  'ingot.exec': exec,
};

/** Rows for the lookup; `runInternal` has their code. */
export const INTERNAL_COMMANDS: readonly Command[] = [
  { ...row('ingot.link', 1), flags: BEFORE_AUTH },
  { ...row('ingot.prove', 2), flags: BEFORE_AUTH },
  row('ingot.own', 1),
  row('ingot.resume', 2),
  row('ingot.seqs', -2),
  row('ingot.acked', -2),
  row('ingot.token', 2),
  row('ingot.exec', -3),
];

export function isInternal(command: Command): boolean {
  return command.name in RUNS;
}

export function runInternal(
  desk: Desk,
  connection: Connection,
  command: Command,
  args: Args,
): Outcome {
  desk.passage.close();
  return RUNS[command.name](desk, connection, args);
}

function row(name: string, arity: number): Command {
  return {
    name,
    arity,
    kind: 'connection',
    flags: ['admin', 'noscript'],
    categories: ['@admin', '@slow', '@dangerous'],
    keys: { first: 0, last: 0, step: 0 },
    run: (_execution, _args, out) => out.error(MALFORMED_TEXT),
  };
}

/** Nodes ask the owner, on its cluster port; who asks elsewhere is no node, and nobody would ever answer for it. */
function elsewhere(desk: Desk, connection: Connection, partitionId: number, to: Route): Outcome {
  if (to.to !== 'peer') return desk.turnAway(connection, partitionId, to);
  desk.out.error(MALFORMED_TEXT);
  return Outcome.done;
}

function token(desk: Desk, connection: Connection, args: Args): Outcome {
  const partitionId = desk.partitionOf(args, 1);
  const to = desk.route(connection, partitionId, desk.slotOf(args, 1), false);
  if (connection.refuses(partitionId))
    return desk.turnAway(connection, partitionId, { to: 'park' });
  const partition = desk.partition(partitionId);
  if (to.to !== 'here' || partition === null) return elsewhere(desk, connection, partitionId, to);
  desk.out.simple(readToken(desk, partition, args.copy(1)));
  return Outcome.done;
}

function exec(desk: Desk, connection: Connection, args: Args): Outcome {
  const partitionId = args.integer(1);
  const parsed = parseExec(desk, partitionId, args);
  if (parsed === null) {
    desk.out.error(MALFORMED_TEXT);
    return Outcome.done;
  }
  const to = desk.route(connection, partitionId, 0, false);
  if (connection.refuses(partitionId))
    return desk.turnAway(connection, partitionId, { to: 'park' });
  const partition = desk.partition(partitionId);
  if (to.to !== 'here' || partition === null) return elsewhere(desk, connection, partitionId, to);
  if (connection.refusesLong && asksForLong(desk, partition, parsed.queued)) {
    return refuseLong(desk, connection, partitionId);
  }
  const outcome = desk.large.beforeAll(connection, parsed.queued);
  if (outcome !== null) return outcome;
  const mark = desk.out.mark();
  const ran = execHere(desk, partition, parsed.queued, parsed.watched, desk.out, Way.pin);
  keepLent(desk, connection, mark);
  desk.large.after();
  if (ran) return Outcome.done;
  return desk.turnAway(connection, partitionId, { to: 'park' });
}

/** Null unless every word is in its place and every key is of this partition. */
function parseExec(
  desk: Desk,
  partitionId: number,
  args: Args,
): { queued: QueuedCommand[]; watched: WatchedKey[] } | null {
  const watched: WatchedKey[] = [];
  const queued: QueuedCommand[] = [];
  const watchCount = args.integer(2);
  let at = 3;
  if (!(watchCount >= 0) || at + watchCount * 2 > args.count) return null;
  for (let i = 0; i < watchCount; i++, at += 2) {
    if (desk.partitionOf(args, at) !== partitionId) return null;
    watched.push({ key: args.copy(at), partitionId, token: args.text(at + 1) });
  }
  while (at < args.count) {
    const count = args.integer(at);
    if (!(count >= 1) || at + 1 + count > args.count) return null;
    const own = args.slice(at + 1, count);
    const index = desk.lookup.settle(desk.lookup.find(own.buf, own.start(0), own.bytes(0)), own);
    const command = desk.lookup.commands[index];
    if (command === undefined || (command.kind !== 'read' && command.kind !== 'write')) return null;
    if (!arityHolds(command, count) || onePartition(desk, command, own) !== partitionId) {
      return null;
    }
    queued.push({ index, args: own, partitionId });
    at += 1 + count;
  }
  return { queued, watched };
}
