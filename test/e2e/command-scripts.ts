/** What every client must see, as text: a command, and the reply that Redis gives.
 *  `@a` stands for a key of the script; all keys of a script share one slot, so that cluster clients
 *  can run it too, but for scripts that are `spread`, which only make sense on the client port. */
import type { Reply } from '../support/clients.ts';

/** What a step must answer: a value, or a condition with a name. */
export type Expected = Reply | RegExp | ((reply: Reply) => boolean);

export interface Script {
  readonly name: string;
  readonly spread?: boolean;
  readonly steps: readonly (readonly [command: string, expected: Expected])[];
}

const HOUR_S = 3_600;

function between(low: number, high: number): (reply: Reply) => boolean {
  return (reply) => typeof reply === 'number' && reply >= low && reply <= high;
}

const aboutAnHour = between(HOUR_S - 60, HOUR_S);
const aboutAnHourMs = between((HOUR_S - 60) * 1000, HOUR_S * 1000);
/** A moment far enough away that no test outlives it: 2100-01-01. */
const FAR_S = 4_102_444_800;
const FAR_MS = FAR_S * 1000;

export const SCRIPTS: readonly Script[] = [
  {
    name: 'GET, SET and their options',
    steps: [
      ['GET @a', null],
      ['SET @a one', 'OK'],
      ['GET @a', 'one'],
      ['SET @a two NX', null],
      ['SET @a two XX', 'OK'],
      ['SET @b new XX', null],
      ['SET @b new NX', 'OK'],
      ['SET @a three GET', 'two'],
      ['SET @c first GET', null],
      ['SET @a four NX GET', 'three'],
      ['GET @a', 'three'],
      [`SET @a v EX ${HOUR_S}`, 'OK'],
      ['TTL @a', aboutAnHour],
      ['SET @a w KEEPTTL', 'OK'],
      ['PTTL @a', aboutAnHourMs],
      ['SET @a x', 'OK'],
      ['TTL @a', -1],
      [`SET @a v PX ${HOUR_S * 1000}`, 'OK'],
      ['TTL @a', aboutAnHour],
      [`SET @a v EXAT ${FAR_S}`, 'OK'],
      ['EXPIRETIME @a', FAR_S],
      [`SET @a v PXAT ${FAR_MS}`, 'OK'],
      ['PEXPIRETIME @a', FAR_MS],
      ['SET @a v EX 0', /^error: ERR invalid expire time in 'set' command/],
      ['SET @a v EX ten', /^error: ERR value is not an integer or out of range/],
      ['SET @a v NX XX', /^error: ERR syntax error/],
      ['SET @a v KEEPTTL EX 10', /^error: ERR syntax error/],
      ['SET @a', /^error: ERR wrong number of arguments for 'set' command/],
    ],
  },
  {
    name: 'GETDEL, GETEX, GETSET, SETNX, SETEX, PSETEX',
    steps: [
      ['SETNX @a 1', 1],
      ['SETNX @a 2', 0],
      ['GETSET @a 3', '1'],
      ['GETSET @b 4', null],
      [`GETEX @a EX ${HOUR_S}`, '3'],
      ['TTL @a', aboutAnHour],
      ['GETEX @a PERSIST', '3'],
      ['TTL @a', -1],
      [`GETEX @a PXAT ${FAR_MS}`, '3'],
      ['PEXPIRETIME @a', FAR_MS],
      ['GETEX @absent', null],
      [`SETEX @a ${HOUR_S} five`, 'OK'],
      ['TTL @a', aboutAnHour],
      [`PSETEX @a ${HOUR_S * 1000} six`, 'OK'],
      ['PTTL @a', aboutAnHourMs],
      ['SETEX @a 0 v', /^error: ERR invalid expire time in 'setex' command/],
      ['GETDEL @a', 'six'],
      ['GETDEL @a', null],
      ['EXISTS @a', 0],
    ],
  },
  {
    name: 'STRLEN, APPEND, TYPE',
    steps: [
      ['STRLEN @a', 0],
      ['TYPE @a', 'none'],
      ['APPEND @a Hello', 5],
      ['APPEND @a ,World', 11],
      ['GET @a', 'Hello,World'],
      ['STRLEN @a', 11],
      ['TYPE @a', 'string'],
    ],
  },
  {
    name: 'counters',
    steps: [
      ['INCR @n', 1],
      ['INCRBY @n 41', 42],
      ['DECR @n', 41],
      ['DECRBY @n 50', -9],
      ['GET @n', '-9'],
      [`SET @big 9223372036854775806 EX ${HOUR_S}`, 'OK'],
      ['INCR @big', (reply) => Number(reply) === Number('9223372036854775807')],
      ['INCR @big', /^error: ERR increment or decrement would overflow/],
      ['TTL @big', aboutAnHour],
      ['GET @big', '9223372036854775807'],
      ['SET @word abc', 'OK'],
      ['INCR @word', /^error: ERR value is not an integer or out of range/],
      ['INCRBY @n 1.5', /^error: ERR value is not an integer or out of range/],
    ],
  },
  {
    name: 'MSET, MGET, EXISTS, TOUCH, DEL, UNLINK on one slot',
    steps: [
      ['MSET @a 1 @b 2 @c 3', 'OK'],
      ['MGET @a @absent @b @c @a', ['1', null, '2', '3', '1']],
      ['EXISTS @a @a @b @absent', 3],
      ['TOUCH @a @b @absent', 2],
      ['DEL @a @absent', 1],
      ['UNLINK @b @c @c', 2],
      ['EXISTS @a @b @c', 0],
    ],
  },
  {
    name: 'MSET, MGET, EXISTS, TOUCH, DEL, UNLINK over many partitions',
    spread: true,
    steps: [
      ['MSET @a 1 @b 2 @c 3 @d 4 @e 5 @f 6 @g 7 @h 8', 'OK'],
      ['MGET @h @a @absent @b @c @a @d @g', ['8', '1', null, '2', '3', '1', '4', '7']],
      ['EXISTS @a @b @c @d @e @f @g @h @a @absent', 9],
      ['TOUCH @a @b @c @absent', 3],
      ['DEL @a @b @absent @c', 3],
      ['UNLINK @d @e @f @f', 3],
      ['MGET @a @b @c @d @e @f @g @h', [null, null, null, null, null, null, '7', '8']],
    ],
  },
  {
    name: 'EXPIRE family, TTL family, PERSIST',
    steps: [
      ['TTL @a', -2],
      ['PTTL @a', -2],
      ['EXPIRETIME @a', -2],
      ['PEXPIRETIME @a', -2],
      [`EXPIRE @a ${HOUR_S}`, 0],
      ['SET @a v', 'OK'],
      ['TTL @a', -1],
      ['EXPIRETIME @a', -1],
      [`EXPIRE @a ${HOUR_S} XX`, 0],
      [`EXPIRE @a ${HOUR_S} NX`, 1],
      [`EXPIRE @a ${HOUR_S} NX`, 0],
      ['TTL @a', aboutAnHour],
      ['EXPIRE @a 60 GT', 0],
      ['EXPIRE @a 60 LT', 1],
      ['TTL @a', between(1, 60)],
      [`PEXPIRE @a ${HOUR_S * 1000}`, 1],
      ['PTTL @a', aboutAnHourMs],
      [`EXPIREAT @a ${FAR_S}`, 1],
      ['EXPIRETIME @a', FAR_S],
      [`PEXPIREAT @a ${FAR_MS + 7}`, 1],
      ['PEXPIRETIME @a', FAR_MS + 7],
      ['PERSIST @a', 1],
      ['PERSIST @a', 0],
      ['TTL @a', -1],
      ['GET @a', 'v'],
      ['EXPIRE @a -1', 1],
      ['GET @a', null],
      ['PERSIST @a', 0],
      ['EXPIRE @a ten', /^error: ERR value is not an integer or out of range/],
    ],
  },
  {
    name: 'errors name what is wrong',
    spread: true, // cluster clients look for the key themselves, and stumble before they send
    steps: [
      ['MSET @a 1 @b', /^error: ERR wrong number of arguments for 'mset' command/],
      ['GET', /^error: ERR wrong number of arguments for 'get' command/],
      ['NOSUCH @a', /^error: ERR unknown command 'NOSUCH'/i],
      ['LPUSH @a 1', /^error: /],
      ['SET @a v', 'OK'],
    ],
  },
];
