/** The same random commands to Ingot and to redis-server: every reply is the same, byte by byte, but
 *  for the order of KEYS, the clock, and what the list of exclusions names. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { decodeReply, type Reply } from '../../packages/node/src/commands/reply.fixture.ts';
import { OWN_ARGUMENTS } from '../../packages/node/src/commands/command-docs.ts';
import { COMMANDS } from '../../packages/node/src/commands/table.ts';
import { whyUnsupported } from '../../packages/node/src/commands/unsupported.ts';
import { needs } from '../support/tools.ts';
import { compareReplies } from './comparison.ts';
import { pagePath, withDifferences } from './differences-page.ts';
import { DRAWN_NAMES } from './grammar.ts';
import { EXCLUSIONS, ROWS_MAX, WITHOUT_DIFFERENCES } from './exclusions.ts';
import { ServerPair } from './server-pair.ts';

const REPLIES = 20_000;
/** Of each protocol, pipelined and one by one, alone and in MULTI. */
const KIND_REPLIES_MIN = 50;
const SEED = Number(process.env['INGOT_SEED'] ?? 1);

const redisServer = needs('redis-server');

/** Of Valkey 9, of Redis 7.2 and later, and our own. */
const NEWER = [
  'delifeq',
  'delex',
  'digest',
  'increx',
  'ingot.scan',
  'client|setinfo',
  'client|acks',
  'client|no-touch',
];

describe.runIf(redisServer !== null)('commands against redis-server', () => {
  let pair: ServerPair;

  beforeAll(async () => {
    pair = await ServerPair.start(`${redisServer}`);
  });

  afterAll(async () => {
    await pair?.stop();
  });

  it(`${REPLIES} replies to random sequences from seed ${SEED} are the same`, async () => {
    const { difference, coverage } = await compareReplies(pair, { replies: REPLIES, seed: SEED });
    expect(difference, `npm run differential -- --replies ${REPLIES} --seed ${SEED}`).toBeNull();
    expect([...coverage.kinds].filter(([, replies]) => replies < KIND_REPLIES_MIN)).toEqual([]);
    expect(DRAWN_NAMES.filter((name) => coverage.granted(name) === 0)).toEqual([]);
  });

  it.each(EXCLUSIONS.filter(({ shown }) => shown.length > 0))(
    'the difference stands: $commands, $case',
    async ({ shown }) => {
      const [ours, theirs] = await Promise.all([pair.ingot.ask(shown), pair.redis.ask(shown)]);
      expect(ours.at(-1)?.toString('latin1')).not.toBe(theirs.at(-1)?.toString('latin1'));
      expect(ours.slice(0, -1)).toEqual(theirs.slice(0, -1));
    },
  );

  it('COMMAND INFO agrees with Redis for every command and subcommand that both have', async () => {
    const rows = COMMANDS.flatMap((row) => (row.subcommands.length > 0 ? row.subcommands : [row]));
    const names = rows.map(({ name }) => name);
    const question = [['COMMAND', 'INFO', ...names]];
    const [[ours], [theirs]] = await Promise.all([
      pair.ingot.ask(question),
      pair.redis.ask(question),
    ]);
    const described = decodeReply(theirs) as (unknown[] | null)[];
    expect(names.filter((_name, i) => described[i] === null)).toEqual(NEWER);
    const shared = (decodeReply(ours) as unknown[][]).filter((_row, i) => described[i] !== null);
    expect(shared).toEqual(described.filter((row) => row !== null));
  });

  it('every command and subcommand of Redis is supported, not yet, or never', async () => {
    const [reply] = await pair.redis.ask([['COMMAND', 'LIST']]);
    const theirs = decodeReply(reply) as string[];
    const ours = new Set(COMMANDS.flatMap((row) => [row, ...row.subcommands].map(nameOf)));
    const unsupported = (name: string): boolean =>
      [name, name.split('|')[0]].some((each) => whyUnsupported(each) !== null);
    expect(theirs.length).toBeGreaterThan(300);
    expect(theirs.filter((name) => !ours.has(name) && !unsupported(name))).toEqual([]);
    expect([...ours].filter(unsupported)).toEqual([]);
  });

  it.each([[], ['PATTERN', 'c*'], ['PATTERN', '*|*e*'], ['ACLCAT', 'read'], ['ACLCAT', 'admin']])(
    'COMMAND LIST %s %s names what both have',
    async (...filter) => {
      const question = [['COMMAND', 'LIST', ...(filter.length > 0 ? ['FILTERBY', ...filter] : [])]];
      const [[ours], [theirs]] = await Promise.all([
        pair.ingot.ask(question),
        pair.redis.ask(question),
      ]);
      const known = new Set(COMMANDS.flatMap((row) => [row, ...row.subcommands].map(nameOf)));
      const shared = (decodeReply(theirs) as string[]).filter((name) => known.has(name));
      expect((decodeReply(ours) as string[]).filter(isOlder).toSorted()).toEqual(shared.toSorted());
    },
  );

  it('COMMAND DOCS agrees with Redis about group, version and arguments', async () => {
    const names = COMMANDS.flatMap((row) => [row, ...row.subcommands].map(nameOf));
    for (const protocol of ['2', '3']) {
      const question = [
        ['HELLO', protocol],
        ['COMMAND', 'DOCS', ...names.filter(isOlder)],
      ];
      const [ours, theirs] = await Promise.all(
        [pair.ingot, pair.redis].map(async (server) => documented((await server.ask(question))[1])),
      );
      expect(ours.size).toBeGreaterThan(130);
      const shared = [...ours].filter(([name]) => isOlder(name));
      expect(shared).toEqual(shared.map(([name]) => [name, theirs.get(name)]));
    }
  });

  it.each([
    'GETKEYS GET a',
    'GETKEYS MSET a 1 b 2',
    'GETKEYS OBJECT ENCODING a',
    'GETKEYS CLIENT ID',
    'GETKEYS PING a',
    'GETKEYS NOSUCH a',
    'GETKEYS OBJECT zz',
    'GETKEYS GET a b',
    'GETKEYS GET',
    'GETKEYSANDFLAGS SET a 1',
    'GETKEYSANDFLAGS SET a 1 EX 5 GET',
    'GETKEYSANDFLAGS BITFIELD a GET u8 0',
    'GETKEYSANDFLAGS BITFIELD a SET u8 0 1',
    'GETKEYSANDFLAGS BITOP AND a b c',
    'GETKEYSANDFLAGS RENAME a b',
    'GETKEYSANDFLAGS DEL a b',
  ])('COMMAND %s', async (command) => {
    const question = [['COMMAND', ...command.split(' ')]];
    const [[ours], [theirs]] = await Promise.all([
      pair.ingot.ask(question),
      pair.redis.ask(question),
    ]);
    expect(ours.toString()).toBe(theirs.toString());
  });
});

const nameOf = ({ name }: { readonly name: string }): string => name;
const isOlder = (name: string): boolean => !NEWER.includes(name);

describe('the list of exclusions', () => {
  it(`has at most ${ROWS_MAX} rows, and none for what must be the same`, () => {
    expect(EXCLUSIONS.length).toBeLessThanOrEqual(ROWS_MAX);
    const named = EXCLUSIONS.flatMap(({ commands }) => commands);
    expect(named.filter((name) => WITHOUT_DIFFERENCES.includes(name))).toEqual([]);
  });
});

test('docs/differences.md says what the list says (npm run docs rewrites it)', () => {
  const page = readFileSync(pagePath, 'utf8');
  expect(page).toBe(withDifferences(page));
});

/** What COMMAND DOCS says that both should say alike: by name, in the order of Redis' fields. */
function documented(reply: Buffer): Map<string, readonly Reply[]> {
  const found = new Map<string, readonly Reply[]>();
  const gather = (named: Reply): void => {
    for (const [name, docs] of entriesOf(named)) {
      const fields = new Map(entriesOf(docs));
      const list = OWN_ARGUMENTS.includes(name) ? null : (fields.get('arguments') ?? null);
      found.set(name, [fields.get('group') ?? null, fields.get('since') ?? null, list]);
      const subcommands = fields.get('subcommands');
      if (subcommands !== undefined) gather(subcommands);
    }
  };
  gather(decodeReply(reply));
  return found;
}

/** Of a map, which is a flat list in RESP2. */
function entriesOf(reply: Reply): [string, Reply][] {
  if (reply instanceof Map) return [...reply] as [string, Reply][];
  const flat = reply as Reply[];
  return flat.flatMap((name, i) => (i % 2 === 0 ? [[name as string, flat[i + 1]]] : []));
}
