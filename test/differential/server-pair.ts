/** A real Ingot node and a real redis-server, and random sequences played to both. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeReply } from '../../packages/node/src/commands/reply.fixture.ts';
import { Child } from '../support/child.ts';
import { eventually } from '../support/eventually.ts';
import { LocalCluster } from '../support/local-cluster.ts';
import { freePort } from '../support/ports.ts';
import { type Answered, type Difference, firstDifference } from './compare.ts';
import type { Coverage } from './coverage.ts';
import { Conversation } from './conversation.ts';
import type { Sequence, Step } from './sequences.ts';
import { DUMPED, type Dumped, type Words } from './words.ts';

const NIL = /^(\$-1|_)\r\n$/;

/** Two connections to one server: what is said on them follows one after the other. */
class Server {
  readonly #first: Conversation;
  readonly #other: Conversation;

  private constructor(first: Conversation, other: Conversation) {
    this.#first = first;
    this.#other = other;
  }

  static async open(port: number): Promise<Server> {
    return new Server(await Conversation.open(port), await Conversation.open(port));
  }

  /** One reply for each step, in order. */
  async play({ protocol, pipelined, steps }: Sequence): Promise<Buffer[]> {
    await this.#begin(protocol);
    const replies: Buffer[] = [];
    for (const turn of turnsOf(steps, pipelined)) {
      const conversation = turn[0].byOther === true ? this.#other : this.#first;
      const commands = turn.map(({ words }) => words);
      if (turn[0].untilNil === true) replies.push(await nilOf(conversation, commands[0]));
      else replies.push(...(await conversation.ask(commands)));
    }
    return replies;
  }

  async ask(commands: readonly Words[]): Promise<Buffer[]> {
    await this.#begin(2);
    return this.#first.ask(commands);
  }

  close(): void {
    this.#first.close();
    this.#other.close();
  }

  /** Whatever a sequence has left behind is gone. */
  async #begin(protocol: 2 | 3): Promise<void> {
    const clean: Words[] = [
      ...[['DISCARD'], ['UNWATCH'], ['FLUSHALL'], ['HELLO', String(protocol), 'SETNAME', 'differ']],
    ];
    await this.#first.ask(clean);
  }
}

async function nilOf(conversation: Conversation, words: Words): Promise<Buffer> {
  return eventually(
    'the key is gone',
    async () => {
      const [reply] = await conversation.ask([words]);
      return NIL.test(reply.toString('latin1')) ? reply : null;
    },
    { everyMs: 1 },
  );
}

/** What is sent in one write. */
function turnsOf(steps: readonly Step[], pipelined: boolean): Step[][] {
  const turns: Step[][] = [];
  for (const step of steps) {
    const last = turns.at(-1);
    const joins =
      pipelined &&
      last !== undefined &&
      last[0].byOther === step.byOther &&
      last[0].untilNil !== true &&
      step.untilNil !== true;
    if (joins) last.push(step);
    else turns.push([step]);
  }
  return turns;
}

export class ServerPair {
  readonly ingot: Server;
  readonly redis: Server;
  readonly #end: () => Promise<void>;

  private constructor(ingot: Server, redis: Server, end: () => Promise<void>) {
    this.ingot = ingot;
    this.redis = redis;
    this.#end = end;
  }

  static async start(redisServer: string): Promise<ServerPair> {
    const folder = mkdtempSync(join(tmpdir(), 'ingot-differential-'));
    const port = await freePort();
    const options = { port, save: '', appendonly: 'no', dir: folder, rdbcompression: 'no' };
    const words = Object.entries(options).flatMap(([name, value]) => [`--${name}`, `${value}`]);
    const redisProcess = new Child(redisServer, words);
    const [redis, cluster] = await Promise.all([
      eventually('redis-server answers', () => Server.open(port)),
      LocalCluster.start({ nodes: 1, copies: 1, partitions: 8, capacity: '64mb' }),
    ]);
    const ingot = await Server.open(cluster.node(1).ports.client);
    return new ServerPair(ingot, redis, async () => {
      ingot.close();
      redis.close();
      await cluster.stop();
      await redisProcess.stop();
      rmSync(folder, { recursive: true, force: true });
    });
  }

  /** What DUMP of both says of a few values, from Redis also compressed. */
  async payloads(): Promise<Dumped[]> {
    const found = new Map<string, Dumped>();
    for (const [server, compression] of [
      [this.redis, 'yes'],
      [this.redis, 'no'],
      [this.ingot, 'no'],
    ] as const) {
      await this.redis.ask([['CONFIG', 'SET', 'rdbcompression', compression]]);
      for (const value of DUMPED) {
        const [, reply] = await server.ask([
          ['SET', 'dumped', value],
          ['DUMP', 'dumped'],
        ]);
        const text = decodeReply(reply) as string;
        found.set(text, { valueBytes: value.length, payload: Buffer.from(text, 'latin1') });
      }
    }
    return [...found.values()];
  }

  /** What the two say otherwise, or null. */
  async play(sequence: Sequence, coverage?: Coverage): Promise<Difference | null> {
    const startedMs = performance.now();
    const [ours, theirs] = await Promise.all([
      this.ingot.play(sequence),
      this.redis.play(sequence),
    ]);
    const answered = sequence.steps.map(
      ({ words }, i): Answered => ({ words, ours: ours[i], theirs: theirs[i] }),
    );
    coverage?.add(sequence, answered);
    return firstDifference(answered, performance.now() - startedMs);
  }

  async stop(): Promise<void> {
    await this.#end();
  }
}
