/** CLIENT: what a connection says of itself, and the list of all connections of the node, which the
 *  main thread gathers from every data worker. What acts on connections is in client-control.ts. */

import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Execution } from '../serving/execution.ts';
import { ACKS } from '../shared/settings.ts';
import { replyFromEvery } from './ask-workers.ts';
import { CLIENT_CONTROL, clientType } from './client-control.ts';
import { describeClient } from './client-lines.ts';
import { container } from './container.ts';
import {
  INVALID_CLIENT_ID,
  INVALID_CLIENT_NAME,
  SYNTAX_ERROR,
  unknownClientType,
  unrecognizedOption,
} from './errors.ts';
import type { CommandRow, Flag, Run } from './row.ts';

const FIRST_PRINTABLE = 0x21;
const LAST_PRINTABLE = 0x7e;

/** Argument `i` as a client or library name, or null when a character is not allowed in one. */
export function checkedClientName(args: Args, i: number): string | null {
  const start = args.start(i);
  for (let at = start; at < start + args.bytes(i); at++) {
    if (args.buf[at] < FIRST_PRINTABLE || args.buf[at] > LAST_PRINTABLE) return null;
  }
  return args.text(i);
}

/** CLIENT LIST [TYPE type | ID id ...]. */
function list(execution: Execution, args: Args, out: ReplyWriter): void {
  const wanted = parseFilter(args);
  if (typeof wanted === 'string') return out.error(wanted);
  replyFromEvery(execution, 'clientList', null, (lists) => (late) => {
    const lines = lists.flat().filter(wanted);
    late.verbatim(lines.map((line) => `${line}\n`).join(''));
  });
}

type LineFilter = (line: string) => boolean;

/** Which lines CLIENT LIST was asked for, or the error reply. */
function parseFilter(args: Args): LineFilter | string {
  if (args.count === 2) return () => true;
  if (args.is(2, 'TYPE') && args.count === 4) return typeFilter(args);
  if (args.is(2, 'ID') && args.count > 3) return idFilter(args);
  return SYNTAX_ERROR;
}

function typeFilter(args: Args): LineFilter | string {
  const type = clientType(args, 3);
  if (type === null) return unknownClientType(args, 3);
  if (type !== 'normal' && type !== 'master') return () => false;
  return (line) => / flags=M/.test(line) === (type === 'master');
}

function idFilter(args: Args): LineFilter | string {
  const prefixes: string[] = [];
  for (let i = 3; i < args.count; i++) {
    const id = args.integer(i);
    if (!(id >= 1)) return INVALID_CLIENT_ID;
    prefixes.push(`id=${id} `);
  }
  return (line) => prefixes.some((prefix) => line.startsWith(prefix));
}

function info(execution: Execution, _args: Args, out: ReplyWriter): void {
  out.verbatim(`${describeClient(execution.session, execution.nowMs)}\n`);
}

function connectionId(execution: Execution, _args: Args, out: ReplyWriter): void {
  out.integer(execution.session.id);
}

function getname(execution: Execution, _args: Args, out: ReplyWriter): void {
  const { name } = execution.session;
  if (name === '') out.nil();
  else out.bulkText(name);
}

function setname(execution: Execution, args: Args, out: ReplyWriter): void {
  const name = checkedClientName(args, 2);
  if (name === null) return out.error(INVALID_CLIENT_NAME);
  execution.session.name = name;
  out.ok();
}

const LIBRARY_ATTRIBUTES = [
  { word: 'LIB-NAME', field: 'libName' },
  { word: 'LIB-VER', field: 'libVersion' },
] as const;

function setinfo(execution: Execution, args: Args, out: ReplyWriter): void {
  const attribute = LIBRARY_ATTRIBUTES.find(({ word }) => args.is(2, word));
  if (attribute === undefined) return out.error(unrecognizedOption(args, 2));
  const value = checkedClientName(args, 3);
  if (value === null) {
    const name = attribute.word.toLowerCase();
    return out.error(`ERR ${name} cannot contain spaces, newlines or special characters.`);
  }
  execution.session[attribute.field] = value;
  out.ok();
}

/** CLIENT ACKS [local | isr | log | isr+log], which Redis has not got: when replies leave. */
function acks({ session }: Execution, args: Args, out: ReplyWriter): void {
  if (args.count === 2) return out.bulkText(session.acks);
  const mode = ACKS.find((word) => args.is(2, word.toUpperCase()));
  if (mode === undefined || args.count > 3) return out.error(SYNTAX_ERROR);
  session.acks = mode;
  out.ok();
}

/** NO-EVICT and NO-TOUCH. */
function switchOf(field: 'noEvict' | 'noTouch'): Run {
  return ({ session }, args, out) => {
    const on = args.is(2, 'ON');
    if (!on && !args.is(2, 'OFF')) return out.error(SYNTAX_ERROR);
    session[field] = on;
    out.ok();
  };
}

const ORDINARY: readonly Flag[] = ['noscript', 'loading', 'stale'];
const ADMIN: readonly Flag[] = ['admin', ...ORDINARY];

export const CLIENT_COMMAND: CommandRow = container({
  name: 'client',
  arity: -2,
  flags: [],
  group: 'connection',
  categories: { own: null, subcommands: '@connection' },
  summary: 'Names and lists connections.',
  subcommands: [
    {
      word: 'id',
      arity: 2,
      flags: ORDINARY,
      summary: 'Returns the id of the connection.',
      run: connectionId,
    },
    {
      word: 'info',
      arity: 2,
      flags: ORDINARY,
      summary: 'Describes this connection in one line.',
      run: info,
    },
    {
      word: 'list',
      arity: -2,
      flags: ADMIN,
      summary: 'Describes every connection of this node, one line each.',
      run: list,
    },
    ...CLIENT_CONTROL,
    {
      word: 'getname',
      arity: 2,
      flags: ORDINARY,
      summary: 'Returns the name of the connection.',
      run: getname,
    },
    {
      word: 'setname',
      arity: 3,
      flags: ORDINARY,
      summary: 'Names the connection.',
      run: setname,
    },
    {
      word: 'setinfo',
      arity: 4,
      flags: ORDINARY,
      summary: 'Tells the name or the version of the client library.',
      run: setinfo,
    },
    {
      word: 'acks',
      arity: -2,
      flags: ORDINARY,
      summary:
        'Tells or sets when replies leave: local, isr (every copy in sync has it), log (it is on disk), or isr+log.',
      run: acks,
    },
    {
      word: 'no-evict',
      arity: 3,
      flags: ADMIN,
      summary:
        'Spares this connection where all clients together hold more than maxmemory-clients.',
      run: switchOf('noEvict'),
    },
    {
      word: 'no-touch',
      arity: 3,
      flags: ORDINARY,
      summary: 'Lets what this connection reads on this node not count as used; TOUCH counts.',
      run: switchOf('noTouch'),
    },
  ],
});
