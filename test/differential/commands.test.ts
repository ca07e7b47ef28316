/** The same random commands to Ingot and to redis-server: every reply is the same, byte by byte, but
 *  for the order of KEYS and for the clock, which ticks between the two. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeReply } from '../../packages/node/src/commands/reply.fixture.ts';
import { COMMANDS } from '../../packages/node/src/commands/table.ts';
import { Child } from '../support/child.ts';
import { eventually } from '../support/eventually.ts';
import { LocalCluster } from '../support/local-cluster.ts';
import { freePort } from '../support/ports.ts';
import { needs } from '../support/tools.ts';
import { firstDifference } from './compare.ts';
import { Conversation, type Words } from './conversation.ts';
import { randomSequence } from './random-commands.ts';

const SEQUENCES = 150;
const COMMANDS_PER_SEQUENCE = 40;
const FIRST_SEED = Number(process.env['INGOT_SEED'] ?? 1);

const redisServer = needs('redis-server');

describe.runIf(redisServer !== null)('commands against redis-server', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ingot-differential-'));
  let cluster: LocalCluster;
  let redisProcess: Child;
  let ingot: Conversation;
  let redis: Conversation;

  beforeAll(async () => {
    const port = await freePort();
    const options = { port: String(port), save: '', appendonly: 'no', dir: folder, databases: '1' };
    const words = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
    redisProcess = new Child('setpriv', ['--pdeathsig', 'KILL', `${redisServer}`, ...words]);
    redis = await eventually('redis-server answers', () => Conversation.open(port));
    cluster = await LocalCluster.start({ nodes: 1, copies: 1, partitions: 8, capacity: '64mb' });
    ingot = await Conversation.open(cluster.node(1).ports.client);
  });

  afterAll(async () => {
    ingot?.close();
    redis?.close();
    await cluster?.stop();
    await redisProcess?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it(`${SEQUENCES} random sequences from seed ${FIRST_SEED} have the same replies`, async () => {
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEQUENCES; seed++) {
      const commands: Words[] = [['FLUSHALL'], ...randomSequence(seed, COMMANDS_PER_SEQUENCE)];
      const ours = await ingot.ask(commands);
      const theirs = await redis.ask(commands);
      const difference = firstDifference(commands, ours, theirs);
      expect(difference, `replay with INGOT_SEED=${seed}`).toBeNull();
    }
  });

  it('COMMAND INFO agrees with Redis for every command that both have', async () => {
    const names = COMMANDS.map(({ name }) => name);
    const [ours] = await ingot.ask([['COMMAND', 'INFO', ...names]]);
    const [theirs] = await redis.ask([['COMMAND', 'INFO', ...names]]);
    const described = decodeReply(theirs) as (unknown[] | null)[];
    expect(names.filter((_name, i) => described[i] === null)).toEqual(['ingot.scan']);
    const shared = (decodeReply(ours) as unknown[][]).filter((_row, i) => described[i] !== null);
    expect(shared.map(metadata)).toEqual(described.filter((row) => row !== null).map(metadata));
  });
});

/** Name, arity, flags, first, last, step, categories; flags and categories in any order. */
function metadata(entry: unknown[]): unknown[] {
  const [name, arity, flags, first, last, step, categories] = entry;
  return [name, arity, new Set(flags as []), first, last, step, new Set(categories as [])];
}
