/** Error replies of commands: Redis' words where Redis has them, because clients match on them;
 *  where Ingot refuses something of its own, the text says what to do.
 *  A reply error begins with its code word; `ReplyWriter.error` adds the dash. */

import type { Args } from '../resp/args.ts';
import { whyNotConfigured, whyUnsupported } from './unsupported.ts';

export const NOT_AUTHENTICATED = 'NOAUTH Authentication required.';
export const SYNTAX_ERROR = 'ERR syntax error';
export const NOT_AN_INTEGER = 'ERR value is not an integer or out of range';
export const WOULD_OVERFLOW = 'ERR increment or decrement would overflow';
export const DECREMENT_WOULD_OVERFLOW = 'ERR decrement would overflow';
export const NOT_A_FLOAT = 'ERR value is not a valid float';
export const NOT_FINITE = 'ERR increment would produce NaN or Infinity';
export const NO_TIMEOUT = 'ERR timeout is not an integer or out of range';
export const TIMEOUT_NEGATIVE = 'ERR timeout is negative';
export const OFFSET_OUT_OF_RANGE = 'ERR offset is out of range';
export const INVALID_CURSOR = 'ERR invalid cursor';
export const INVALID_SLOT = 'ERR Invalid slot';
export const INVALID_CLIENT_ID = 'ERR Invalid client ID';
export const INVALID_CLIENT_NAME =
  'ERR Client names cannot contain spaces, newlines or special characters.';
/** A keyspace call met a partition between two owners. Like Redis' own TRYAGAIN, clients retry
 *  it. */
export const NOT_LED_HERE = 'TRYAGAIN a partition is moving to another node; run the command again';
export const OUT_OF_MEMORY: string =
  "OOM command not allowed when used memory > 'maxmemory'. " +
  'Raise the limit (ingot capacity), delete keys, or allow eviction with --eviction sieve';

/** Nothing was done. */
export const TOO_MANY_LARGE = 'ERR too many large values are being written; run the command again';
/** What is to change is prepared before a transaction runs, for the values as they are then. */
export const CHANGED_BEFORE: string =
  'ERR a large value that this transaction has changed before cannot change by so much again; ' +
  'send one of the commands by itself';
/** In one transaction everything is done in one passage. */
export const NOT_STAGED =
  'ERR a value cannot change by so much within a transaction; send the command by itself';

/** Redis shows at most this much of a command that it does not know. */
const EXCERPT_BYTES_MAX = 128;

export function wrongArity(commandName: string): string {
  return `ERR wrong number of arguments for '${commandName}' command`;
}

/** An EXEC that could not be run at all, for `text`. */
export function execAborted(text: string): string {
  return `EXECABORT Transaction discarded because of: ${text.replace(/^ERR /, '')}`;
}

export function invalidExpireTime(commandName: string): string {
  return `ERR invalid expire time in '${commandName}' command`;
}

export function valueTooLarge(valueBytes: number, maxBytes: number): string {
  return (
    `ERR value of ${valueBytes} bytes exceeds the maximum of ${maxBytes} ` +
    '(raise --capacity or --value-max, or lower --partitions)'
  );
}

export function keyTooLarge(keyBytes: number, maxBytes: number): string {
  return `ERR key of ${keyBytes} bytes exceeds the maximum of ${maxBytes} (use a shorter key)`;
}

export function invalidHelloOption(args: Args, i: number): string {
  return `ERR Syntax error in HELLO option '${excerpt(args, i, EXCERPT_BYTES_MAX)}'`;
}

export function unknownClientType(args: Args, i: number): string {
  return `ERR Unknown client type '${excerpt(args, i, EXCERPT_BYTES_MAX)}'`;
}

export function noSuchUser(args: Args, i: number): string {
  return `ERR No such user '${excerpt(args, i, EXCERPT_BYTES_MAX)}'`;
}

export function unrecognizedOption(args: Args, i: number): string {
  return `ERR Unrecognized option '${excerpt(args, i, EXCERPT_BYTES_MAX)}'`;
}

export function unknownParameter(args: Args, i: number): string {
  const name = excerpt(args, i, EXCERPT_BYTES_MAX);
  const why = whyNotConfigured(name);
  if (why !== null) return configRefused(name, why);
  return `ERR Unknown option or number of arguments for CONFIG SET - '${name}'`;
}

export function configRefused(name: string, why: string): string {
  return `ERR CONFIG SET failed (possibly related to argument '${name}') - ${why}`;
}

export function unsupportedOption(args: Args, i: number): string {
  return `ERR Unsupported option ${excerpt(args, i, EXCERPT_BYTES_MAX)}`;
}

export function unknownSubcommand(containerName: string, args: Args): string {
  const given = excerpt(args, 1, EXCERPT_BYTES_MAX);
  const why = whyUnsupported(`${containerName}|${given}`);
  if (why !== null) {
    return `ERR unknown subcommand '${given}': ${why} (${containerName.toUpperCase()} HELP names what there is)`;
  }
  return `ERR unknown subcommand '${given}'. Try ${containerName.toUpperCase()} HELP.`;
}

/** Redis' words where a subcommand is known, and what follows it is not. */
export function wrongSubcommand(containerName: string, args: Args): string {
  const given = excerpt(args, 1, EXCERPT_BYTES_MAX);
  return (
    `ERR unknown subcommand or wrong number of arguments for '${given}'. ` +
    `Try ${containerName.toUpperCase()} HELP.`
  );
}

/** For a command that is in no row of the table: why Ingot has not got it, or Redis' text with the
 *  beginnings of the arguments. Both begin alike, because clients look for those words. */
export function unknownCommand(args: Args): string {
  const name = excerpt(args, 0, EXCERPT_BYTES_MAX);
  const why = whyUnsupported(name);
  if (why !== null)
    return `ERR unknown command '${name}': ${why} (COMMAND LIST names what there is)`;
  let given = '';
  for (let i = 1; i < args.count && given.length < EXCERPT_BYTES_MAX; i++) {
    given += `'${excerpt(args, i, EXCERPT_BYTES_MAX - given.length)}' `;
  }
  return `ERR unknown command '${name}', with args beginning with: ${given}`;
}

/** The beginning of an argument as text, so that a huge one costs no more than a short one; as in Redis it ends
 *  before a zero byte. */
function excerpt(args: Args, i: number, maxBytes: number): string {
  const start = args.start(i);
  const end = start + Math.min(args.bytes(i), maxBytes);
  const zero = args.buf.subarray(start, end).indexOf(0);
  return args.buf.toString('utf8', start, zero < 0 ? end : start + zero);
}
