/** Commands about one connection: HELLO AUTH PING ECHO QUIT SELECT READONLY READWRITE ASKING.
 *  There is one user, default; the password is that of --password, or none is needed. */

import type { Args } from '../resp/args.ts';
import type { Protocol, ReplyWriter } from '../resp/reply-writer.ts';
import type { Execution } from '../serving/execution.ts';
import { Counter } from '../metrics/layout.ts';
import { checkedClientName } from './client.ts';
import {
  INVALID_CLIENT_NAME,
  invalidHelloOption,
  NOT_AN_INTEGER,
  SYNTAX_ERROR,
  wrongArity,
} from './errors.ts';
import { type CommandRow, command, type Flag, type RowInput, type Run } from './row.ts';
import { REDIS_VERSION } from './version.ts';

const NO_PASSWORD_CONFIGURED =
  'ERR AUTH <password> called without any password configured for the default user. ' +
  'Are you sure your configuration is correct?';
const WRONG_PASSWORD = 'WRONGPASS invalid username-password pair or user is disabled.';
const HELLO_NOT_AUTHENTICATED =
  'NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> ' +
  'option can be used to authenticate the client and select the RESP protocol version at the same time';
const NOT_A_PROTOCOL = 'ERR Protocol version is not an integer or out of range';
const UNSUPPORTED_PROTOCOL = 'NOPROTO unsupported protocol version';
const DB_OUT_OF_RANGE = 'ERR DB index is out of range';

/** Redis' one user, who needs no password. */
const DEFAULT_USER = 'default';

/** HELLO [version [AUTH user password] [SETNAME name]]: nothing changes unless all of it is
 *  right. */
function hello(execution: Execution, args: Args, out: ReplyWriter): void {
  const { session } = execution;
  const protocol = args.count > 1 ? args.integer(1) : session.protocol;
  if (Number.isNaN(protocol)) return out.error(NOT_A_PROTOCOL);
  if (protocol !== 2 && protocol !== 3) return out.error(UNSUPPORTED_PROTOCOL);
  let authAt = 0;
  let name: string | null = session.name;
  for (let i = 2; i < args.count; i++) {
    const following = args.count - 1 - i;
    if (args.is(i, 'AUTH') && following >= 2) {
      authAt = i;
      i += 2;
    } else if (args.is(i, 'SETNAME') && following >= 1) {
      name = checkedClientName(args, ++i);
    } else {
      return out.error(invalidHelloOption(args, i));
    }
  }
  if (authAt !== 0 && !authenticate(execution, args, authAt + 1)) return out.error(WRONG_PASSWORD);
  if (!session.authenticated) return out.error(HELLO_NOT_AUTHENTICATED);
  if (name === null) return out.error(INVALID_CLIENT_NAME);
  session.name = name;
  session.protocol = protocol satisfies Protocol;
  out.protocol = protocol;
  greet(execution, out);
}

function greet({ session }: Execution, out: ReplyWriter): void {
  out.map(7);
  out.bulkText('server');
  out.bulkText('redis');
  out.bulkText('version');
  out.bulkText(REDIS_VERSION);
  out.bulkText('proto');
  out.integer(session.protocol);
  out.bulkText('id');
  out.integer(session.id);
  out.bulkText('mode');
  out.bulkText(session.listener === 'client' ? 'standalone' : 'cluster');
  out.bulkText('role');
  out.bulkText('master');
  out.bulkText('modules');
  out.array(0);
}

function auth(execution: Execution, args: Args, out: ReplyWriter): void {
  const { required } = execution.worker.auth;
  if (args.count > 3) out.error(SYNTAX_ERROR);
  else if (args.count === 2 && !required) out.error(NO_PASSWORD_CONFIGURED);
  else if (!authenticate(execution, args, 1)) out.error(WRONG_PASSWORD);
  else out.ok();
}

/** [user] password, from argument `i` on; in HELLO both. */
function authenticate(execution: Execution, args: Args, i: number): boolean {
  const { session, worker } = execution;
  const passwordAt = args.is(0, 'AUTH') ? args.count - 1 : i + 1;
  const isUser = passwordAt === i || args.text(i) === DEFAULT_USER;
  // Compared whatever the name is: the time tells nothing.
  const matches = !worker.auth.required || worker.auth.matches(args.copy(passwordAt));
  if (!isUser || !matches) {
    worker.counters.add(Counter.authFailures, 1);
    return false;
  }
  session.authenticated = true;
  return true;
}

function ping(_execution: Execution, args: Args, out: ReplyWriter): void {
  if (args.count === 1) out.simple('PONG');
  else if (args.count === 2) out.bulk(args.buf, args.start(1), args.bytes(1));
  else out.error(wrongArity('ping'));
}

function echo(_execution: Execution, args: Args, out: ReplyWriter): void {
  out.bulk(args.buf, args.start(1), args.bytes(1));
}

function quit(execution: Execution, _args: Args, out: ReplyWriter): void {
  out.ok();
  execution.session.closeAfterReplies();
}

function select(_execution: Execution, args: Args, out: ReplyWriter): void {
  const index = args.integer(1);
  if (Number.isNaN(index)) out.error(NOT_AN_INTEGER);
  else if (index !== 0) out.error(DB_OUT_OF_RANGE);
  else out.ok();
}

/** Sets a switch of the session. On the client port READONLY and ASKING change nothing. */
function setSwitch(name: 'readOnly' | 'asking', on: boolean): Run {
  return (execution, _args, out) => {
    execution.session[name] = on;
    out.ok();
  };
}

/** Group where it is another, as Redis has it. */
function connection(
  row: Omit<RowInput, 'kind' | 'group' | 'category'> & Partial<Pick<RowInput, 'group'>>,
): CommandRow {
  return command({ group: 'connection', ...row, kind: 'connection', category: '@connection' });
}

/** Flags of what must work at any time. */
const ALWAYS: readonly Flag[] = ['noscript', 'loading', 'stale', 'fast', 'no_auth', 'allow_busy'];

export const CONNECTION_COMMANDS: readonly CommandRow[] = [
  connection({
    name: 'hello',
    arity: -1,
    flags: ALWAYS,
    summary: 'Chooses the protocol version and greets.',
    run: hello,
  }),
  connection({
    name: 'auth',
    arity: -2,
    flags: ALWAYS,
    summary: 'Gives the password of the node.',
    run: auth,
  }),
  connection({
    name: 'ping',
    arity: -1,
    flags: ['fast'],
    summary: 'Answers PONG, or the argument.',
    run: ping,
  }),
  connection({
    name: 'echo',
    arity: 2,
    flags: ['loading', 'stale', 'fast'],
    summary: 'Answers the argument.',
    run: echo,
  }),
  connection({
    name: 'quit',
    arity: -1,
    flags: ALWAYS,
    summary: 'Closes the connection.',
    run: quit,
  }),
  connection({
    name: 'select',
    arity: 2,
    flags: ['loading', 'stale', 'fast'],
    summary: 'Chooses the database; there is only 0.',
    run: select,
  }),
  connection({
    name: 'wait',
    group: 'generic',
    arity: 3,
    flags: ['noscript'],
    summary: 'Waits until so many followers have what this connection wrote, and counts them.',
    // The executor has its code (serving/wait.ts): it waits.
    run: (_execution, _args, out) => out.integer(0),
  }),
  connection({
    name: 'readonly',
    group: 'cluster',
    arity: 1,
    flags: ['loading', 'stale', 'fast'],
    summary: 'Allows reads from follower copies on the follower port.',
    run: setSwitch('readOnly', true),
  }),
  connection({
    name: 'readwrite',
    group: 'cluster',
    arity: 1,
    flags: ['loading', 'stale', 'fast'],
    summary: 'Forbids reads from follower copies again.',
    run: setSwitch('readOnly', false),
  }),
  connection({
    name: 'asking',
    group: 'cluster',
    arity: 1,
    flags: ['fast'],
    summary: 'Tells that the next command follows an ASK redirect, of which there are none.',
    run: setSwitch('asking', true),
  }),
];
