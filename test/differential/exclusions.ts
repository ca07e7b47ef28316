/** Where Ingot answers otherwise than Redis 7.0, on purpose: the one list of it. The differential test
 *  leaves these cases out, docs/differences.md is made from it (npm run docs), and a test shows each row
 *  on both servers, so that none stays that is no longer true. At most 30 rows. */
import type { Reply } from '../../packages/node/src/commands/reply.fixture.ts';
import type { Words } from './words.ts';

export interface Exclusion {
  /** As the documents name it. */
  readonly commands: readonly string[];
  readonly case: string;
  readonly reason: string;
  /** Replies to this command that may differ in a random sequence; unless given, it is never drawn. */
  readonly covers?: (words: Words, ours: Reply, theirs: Reply) => boolean;
  /** Its last command is answered differently by the two servers. */
  readonly shown: readonly Words[];
}

export const ROWS_MAX = 30;
/** Which no row may be about. */
export const WITHOUT_DIFFERENCES: readonly string[] = ['GET', 'SET', 'EXPIRE', 'MULTI'];

const EXACT_MS_MAX = 2 ** 53;

export const EXCLUSIONS: readonly Exclusion[] = [
  {
    commands: ['PTTL', 'PEXPIRETIME', 'TTL', 'EXPIRETIME'],
    case: 'a time beyond 2^53 ms (the year 287,396)',
    reason:
      'times are 64-bit floats in the record: the reply is off by less than a second in 285,000 years',
    covers: (words, ours, theirs) =>
      /^P?(TTL|EXPIRETIME)$/i.test(words[0].toString()) &&
      [ours, theirs].every((reply) => Number(reply) > EXACT_MS_MAX / 1000) &&
      Math.abs(Number(ours) / Number(theirs) - 1) < 1e-12,
    shown: [
      ['SET', 'k', 'v', 'PXAT', '9223372036854775807'],
      ['PEXPIRETIME', 'k'],
    ],
  },
  {
    commands: ['DBSIZE', 'KEYS', 'SCAN', 'RANDOMKEY', 'FLUSHALL', 'FLUSHDB'],
    case: 'between MULTI and EXEC',
    reason: 'they cover all partitions, and a transaction is atomic within one: refused',
    shown: [['MULTI'], ['DBSIZE']],
  },
  {
    commands: ['DBSIZE'],
    case: 'keys whose time has passed, before anybody has asked for them',
    reason:
      'a write with a time that has passed deletes the key at once; Redis counts it until then',
    covers: (words) => isNamed(words, 'DBSIZE'),
    shown: [['SET', 'k', 'v', 'PXAT', '1'], ['DBSIZE']],
  },
  {
    commands: ['EXEC with WATCH'],
    case: 'a watched key that is absent, while another key of its bucket changes',
    reason:
      'an absent key has no seq of its own: its bucket counts, and a change aborts without need',
    shown: [],
  },
  {
    commands: ['SELECT'],
    case: 'an index other than 0',
    reason: 'there is one database, as on a Redis Cluster',
    shown: [['SELECT', '1']],
  },
  {
    commands: ['HELLO'],
    case: 'the fields of its reply',
    reason: 'id, mode and version are those of the node; INFO says which version of Ingot it is',
    covers: (words, ours, theirs) =>
      isNamed(words, 'HELLO') && [ours, theirs].every((reply) => fieldCount(reply) === 7),
    shown: [['HELLO', '3']],
  },
  {
    commands: ['INFO', 'CONFIG GET', 'CLIENT LIST', 'CLIENT INFO'],
    case: 'what they say',
    reason:
      'they describe this node: the fields that clients and exporters read are there (how many keys expire is not counted: `expires=0`)',
    shown: [['INFO', 'server']],
  },
  {
    commands: ['COMMAND', 'COMMAND DOCS'],
    case: 'the table',
    reason: 'it is that of Ingot; what both have agrees in arity, flags, keys and categories',
    shown: [['COMMAND', 'COUNT']],
  },
  {
    commands: ['commands on lists', 'hashes', 'sets', 'sorted sets', 'streams and HyperLogLogs'],
    case: 'always',
    reason: 'there are strings only; the error says so',
    shown: [['LPUSH', 'k', 'v']],
  },
  {
    commands: [
      'EVAL',
      'FUNCTION',
      'SUBSCRIBE',
      'PUBLISH',
      'ACL',
      'MODULE',
      'MONITOR',
      'REPLICAOF and their kin',
    ],
    case: 'always',
    reason: 'not supported (yet); the error names what there is instead',
    shown: [['PUBLISH', 'channel', 'v']],
  },
  {
    commands: ['all that write'],
    case: 'a value longer than --value-max, or a key longer than 65,511 bytes',
    reason: 'refused, with what to change; Redis takes up to 512 MB',
    shown: [['SET', 'k'.repeat(65_512), 'v']],
  },
  {
    commands: ['BITOP', 'COPY', 'RENAME', 'RENAMENX', 'RESTORE', 'SETBIT', 'BITFIELD'],
    case: 'in a transaction, where it makes a value longer than a chunk (64 KiB), or longer by four',
    reason:
      'everything in a transaction is done in one passage; a change where the value lies is no matter',
    shown: [
      ['SET', '{t}a', 'v'.repeat(70_000)],
      ['MULTI'],
      ['BITOP', 'NOT', '{t}b', '{t}a'],
      ['EXEC'],
    ],
  },
  {
    commands: ['MSETNX', 'LCS', 'COPY', 'RENAME', 'RENAMENX', 'BITOP'],
    case: 'keys that are not of one partition',
    reason: '`CROSSSLOT`, as on a Redis Cluster: give them one {tag}',
    shown: [['RENAME', 'a', 'b']],
  },
  {
    commands: ['EXEC with WATCH', 'commands over several keys in a transaction'],
    case: 'keys that are not of one partition',
    reason: '`CROSSSLOT`; without `WATCH`, `EXEC` on the client port is atomic for each partition',
    shown: [['MULTI'], ['MGET', 'a', 'b']],
  },
  {
    commands: ['LCS'],
    case: 'values whose lengths multiplied come to more than 4,194,304',
    reason: 'refused: nobody else is served while it is computed; Redis stops at 32 times as much',
    covers: (words, ours) =>
      isNamed(words, 'LCS') && JSON.stringify(ours).includes('transient memory'),
    shown: [
      ['SET', '{t}a', 'v'.repeat(2_100)],
      ['LCS', '{t}a', '{t}a', 'LEN'],
    ],
  },
  {
    commands: ['OBJECT ENCODING', 'OBJECT REFCOUNT'],
    case: 'a value that was changed in part; a small integer',
    reason:
      'both are told from the bytes alone: as Redis keeps a value that was set whole, and shared by none',
    covers: (words, ours, theirs) =>
      isNamed(words, 'OBJECT') &&
      (theirs === 'raw' || Number(theirs) > 1 || (theirs === 'embstr' && ours === 'int')),
    shown: [
      ['APPEND', 'k', 'v'],
      ['APPEND', 'k', 'w'],
      ['OBJECT', 'ENCODING', 'k'],
    ],
  },
  {
    commands: ['OBJECT IDLETIME', 'MEMORY', 'OBJECT HELP', 'MEMORY HELP'],
    case: 'what they say',
    reason:
      'no time of the last use is kept (0); memory is that of Ingot, help texts name what it has',
    shown: [
      ['SET', 'k', 'v'.repeat(100)],
      ['MEMORY', 'USAGE', 'k'],
    ],
  },
  {
    commands: ['SCAN'],
    case: 'cursors, and which keys come with which call',
    reason:
      'a cursor is a partition and a bucket; every key that stays comes at least once, as in Redis',
    shown: [
      ['MSET', 'a', '1', 'b', '2', 'c', '3', 'd', '4', 'e', '5', 'f', '6'],
      ['SCAN', '0', 'COUNT', '1'],
    ],
  },
];

function isNamed(words: Words, name: string): boolean {
  return words[0].toString().toUpperCase() === name;
}

function fieldCount(reply: Reply): number {
  if (reply instanceof Map) return reply.size;
  return Array.isArray(reply) ? reply.length / 2 : 0;
}

export function isExcluded(words: Words, ours: Reply, theirs: Reply): boolean {
  return EXCLUSIONS.some(({ covers }) => covers?.(words, ours, theirs) === true);
}
