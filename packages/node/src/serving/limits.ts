/** What one client may take of a node, as rows: how it is set, what happens where it strikes, and what a person sees
 *  of it. Metrics, log lines and the table of docs/limits.md are made of these; limit-watch.ts counts and logs.
 *  A row's `error` is what the client is told, with NaN for numbers; there is none where nothing can be told any more, or
 *  nothing is wrong: whoever waits is not told. */

import type { CounterName } from '../metrics/layout.ts';

export interface LimitRow {
  readonly what: string;
  /** Without its dashes; it cannot be set where there is none. */
  readonly option?: string;
  /** Of CONFIG GET, and SET where `live`. */
  readonly parameter?: string;
  readonly live?: boolean;
  /** Where there is no option: how much it is. */
  readonly fixed?: string;
  readonly strikes: string;
  readonly error?: string;
  readonly counter: CounterName;
  readonly event: string;
  /** warn, unless said. */
  readonly level?: 'debug' | 'info';
  /** The sentence of the log line: what happened, and what to change. */
  readonly advice: string;
}

export const MAX_CLIENTS_TEXT = 'ERR max number of clients reached';

/** What the protocol's errors begin with. */
const PROTOCOL = 'ERR Protocol error:';

export function authTimeoutText(seconds: number): string {
  return `NOAUTH no password was given within ${seconds} s (--auth-timeout): the connection is closed`;
}

export function queryBufferText(bytesMax: number): string {
  return `ERR more than ${bytesMax} bytes of an unfinished command (--resp-query-max): the connection is closed`;
}

export function replyTooLongText(bytesMax: number): string {
  return `ERR the reply would be larger than ${bytesMax} bytes`;
}

export const LINK_FULL_TEXT: string =
  'TRYAGAIN the link to the node that owns this key was full for too long; ' +
  'the command was not executed';

export const TRANSACTION_TOO_LARGE_TEXT = 'ERR the transaction is too large';

export type LimitName =
  | 'clients'
  | 'clientsMemory'
  | 'unauthenticated'
  | 'idle'
  | 'queryBuffer'
  | 'arguments'
  | 'bulk'
  | 'unauthenticatedCommand'
  | 'line'
  | 'value'
  | 'transit'
  | 'stalled'
  | 'output'
  | 'pin'
  | 'reply'
  | 'transaction'
  | 'late'
  | 'turn'
  | 'link'
  | 'linkWait'
  | 'linkSilence'
  | 'parked';

export const LIMITS: Readonly<Record<LimitName, LimitRow>> = {
  clients: {
    what: 'clients at a time, links of other nodes among them',
    option: 'maxclients',
    parameter: 'maxclients',
    live: true,
    strikes: 'the next one is turned down',
    error: MAX_CLIENTS_TEXT,
    counter: 'connectionsRefused',
    event: 'limit.clients',
    advice:
      'a client was turned down: raise --maxclients, or find out who holds so many connections (CLIENT LIST)',
  },
  clientsMemory: {
    what: 'memory of all clients together: what they have sent and was not executed, transactions, replies that they have not read',
    option: 'maxmemory-clients',
    parameter: 'maxmemory-clients',
    live: true,
    strikes:
      'whoever holds most is disconnected, but for those that asked not to be (CLIENT NO-EVICT)',
    counter: 'clientsEvicted',
    event: 'limit.clientsMemory',
    advice:
      'clients hold too much memory, this one most: see what it asks for (CLIENT LIST), or raise --maxmemory-clients',
  },
  unauthenticated: {
    what: 'time until the password is given, where one is needed',
    option: 'auth-timeout',
    parameter: 'auth-timeout',
    live: true,
    strikes:
      'the connection ends; where there are maxclients already, the oldest such one ends at once and makes room',
    error: authTimeoutText(Number.NaN),
    counter: 'unauthenticatedEnded',
    event: 'limit.unauthenticated',
    advice:
      'a client gave no password: configure it, or keep it away; --auth-timeout is how long it may take',
  },
  idle: {
    what: 'time without a command; links, and clients that wait for a reply, are exempt',
    option: 'idle-timeout',
    parameter: 'timeout',
    live: true,
    strikes: 'the connection ends',
    counter: 'idleEnded',
    event: 'limit.idle',
    level: 'info',
    advice:
      'a client was silent: raise --idle-timeout if it should stay, or let it send PING now and then',
  },
  queryBuffer: {
    what: 'bytes of an unfinished command',
    option: 'resp-query-max',
    parameter: 'client-query-buffer-limit',
    strikes: 'the connection ends after the error',
    error: queryBufferText(Number.NaN),
    counter: 'queryBufferEnded',
    event: 'limit.queryBuffer',
    advice:
      'a client sent too much of one command: let it send smaller ones, or raise --resp-query-max',
  },
  arguments: {
    what: 'arguments of a command',
    option: 'resp-arguments-max',
    strikes: 'the connection ends after the error',
    error: `${PROTOCOL} invalid multibulk length`,
    counter: 'argumentsEnded',
    event: 'limit.arguments',
    advice:
      'a client sent a command of too many arguments: let it send several, or raise --resp-arguments-max',
  },
  bulk: {
    what: 'bytes of an argument',
    option: 'resp-bulk-max',
    parameter: 'proto-max-bulk-len',
    strikes: 'the connection ends after the error',
    error: `${PROTOCOL} invalid bulk length`,
    counter: 'bulksEnded',
    event: 'limit.bulk',
    advice:
      'a client announced an argument that is too long: let it send a shorter one, or raise --resp-bulk-max',
  },
  unauthenticatedCommand: {
    what: 'arguments, and bytes of one, before the password',
    fixed: '10, 16kb',
    strikes: 'the connection ends after the error',
    error: `${PROTOCOL} unauthenticated multibulk length, ${PROTOCOL} unauthenticated bulk length`,
    counter: 'unauthenticatedCommandsEnded',
    event: 'limit.unauthenticatedCommand',
    advice:
      'a client sent a large command before its password: let it send AUTH first, or keep it away',
  },
  line: {
    what: 'bytes of an inline command',
    fixed: '64kb',
    strikes: 'the connection ends after the error',
    error: `${PROTOCOL} too big inline request`,
    counter: 'linesEnded',
    event: 'limit.line',
    advice: 'a client sent a line that is too long: let it send commands as arrays of bulks',
  },
  value: {
    what: 'bytes of a value',
    option: 'value-max',
    strikes: 'the command is refused, its bytes are not kept',
    error:
      'ERR value of N bytes exceeds the maximum of N (raise --capacity or --value-max, or lower --partitions)',
    counter: 'valuesRefused',
    event: 'limit.value',
    advice:
      'a client sent a value that is too long: raise --capacity or --value-max, or let it send shorter ones',
  },
  transit: {
    what: 'memory of a worker for large commands that are arriving, and copies that are sent or combined (BITOP)',
    option: 'resp-transit-max',
    strikes: 'whoever comes next is not read from until there is room',
    counter: 'transitWaits',
    event: 'limit.transit',
    level: 'info',
    advice:
      'large commands wait for each other: raise --resp-transit-max if the machine has the memory',
  },
  stalled: {
    what: 'time in which a large command arrives, where others wait for its memory',
    fixed: '10s, and 1s for every 64 000 bytes of it',
    strikes: 'the connection ends',
    counter: 'stalledEnded',
    event: 'limit.stalled',
    advice:
      'a client stopped in the middle of a large command while others waited: look at it, or raise --resp-transit-max',
  },
  output: {
    what: 'bytes of replies that a client has not read: at once, and for how long',
    option: 'output-limit',
    parameter: 'client-output-buffer-limit',
    live: true,
    strikes: 'the connection ends',
    counter: 'outputEnded',
    event: 'limit.output',
    advice:
      'a client does not read its replies: look at it, ask for less at a time, or raise --output-limit',
  },
  pin: {
    what: 'time to read a value that is sent from where it lies',
    option: 'pin-max',
    strikes: 'the connection ends',
    counter: 'pinsEnded',
    event: 'pins.ended',
    advice: 'a client does not read a long value: look at it, or raise --pin-max',
  },
  reply: {
    what: 'bytes of a reply that is put together in memory',
    fixed: '512mb',
    strikes: 'the error is the reply',
    error: replyTooLongText(Number.NaN),
    counter: 'repliesRefused',
    event: 'limit.reply',
    advice: 'a client asked for too much at once: let it ask for fewer keys at a time',
  },
  transaction: {
    what: 'bytes that a transaction queues',
    fixed: '64mb',
    strikes: 'the command is refused, and so is its EXEC',
    error: TRANSACTION_TOO_LARGE_TEXT,
    counter: 'transactionsRefused',
    event: 'limit.transaction',
    advice: 'a client queued too much: let it use several transactions',
  },
  late: {
    what: 'replies of a connection that are due from elsewhere',
    fixed: '1 024, 4mb of what waits behind them',
    strikes: 'its next commands wait',
    counter: 'lateWaits',
    event: 'limit.late',
    level: 'debug',
    advice:
      'a client has many replies due: nothing is wrong, its next commands wait until some have left',
  },
  turn: {
    what: 'time that a connection is served before others are',
    fixed: '0.5 ms, 2mb of replies',
    strikes: 'the rest of what it has sent waits for its next turn',
    counter: 'turnsOver',
    event: 'limit.turn',
    level: 'debug',
    advice: 'a client sends much at once: nothing is wrong, others are served in between',
  },
  link: {
    what: 'commands on a link to another node, and bytes that have not left',
    fixed: '16 384, 16mb',
    strikes: 'clients that want to send more over it wait',
    counter: 'linkWaits',
    event: 'limit.link',
    level: 'info',
    advice:
      'the link to a node is full: it is slow, or much is forwarded; use a cluster client, or look at that node',
  },
  linkWait: {
    what: 'time that a command waits for a full link to another node, 1s at least',
    option: 'failover-wait',
    strikes: "it is refused, not executed, and so are its client's next ones, until there is room",
    error: LINK_FULL_TEXT,
    counter: 'linkWaitsRefused',
    event: 'limit.linkWait',
    advice:
      'the link to a node stayed full: look at that node (ingot status), or use a cluster client',
  },
  linkSilence: {
    what: 'time until another node answers on a link: to connect, and then a byte',
    fixed: '1s, 7s',
    strikes: 'the link is ended and made anew; the outcome of what it carried is unknown',
    error:
      'ERR the connection to the node that owns this key broke; whether the command was executed is unknown',
    counter: 'linksEnded',
    event: 'limit.linkSilence',
    advice:
      'a node does not answer what is forwarded to it: look at that node and at the network between',
  },
  parked: {
    what: 'connections of a worker that wait for a change of owner',
    fixed: '10 000',
    strikes: 'the next ones are not waited for',
    error: 'TRYAGAIN the partition of this key is changing its owner',
    counter: 'parksRefused',
    event: 'limit.parked',
    advice: 'too many clients wait for a new primary: see why there is none (ingot status)',
  },
};

export const LIMIT_NAMES: readonly LimitName[] = Object.keys(LIMITS) as LimitName[];
