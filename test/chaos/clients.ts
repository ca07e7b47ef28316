/** Clients that write and read while nodes die: bare connections with short pipelines on client ports, and ioredis,
 *  plain and as a cluster client. All of it in one thread, so that one clock orders what they saw.
 *
 *  Keys `isr:*` belong to everybody and go by acks=isr; keys `local:CLIENT:*` belong to one client each and go by
 *  acks=local. No client repeats a command whose outcome it does not know: a write has one value and comes once. */
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Cluster, Redis } from 'ioredis';
import type { Random } from '../../packages/replication/src/random.fixture.ts';
import { numbers } from '../support/dataset.ts';
import { within } from '../support/eventually.ts';
import { encode } from '../support/resp-connection.ts';
import type { RunRecord } from './record.ts';
import { ReplyReader } from './reply-reader.ts';

export const ISR_KEYS = 48;
const LOCAL_KEYS = 12;
const BATCH_MAX = 4;
/** Between two batches: the machine has to run the nodes, too. */
const THINK_MS = 12;
/** Then a client gives up a connection, and does not know what became of its commands. */
const PATIENCE_MS = 7_000;
const AGAIN_MS = 30;

/** One command of a client, and what it wants to hear of it. */
interface Ask {
  readonly words: readonly string[];
  answered(reply: string | null): void;
  lost(): void;
}

export interface Client {
  readonly name: string;
  stop(): Promise<void>;
}

export interface ClientPlan {
  readonly name: string;
  readonly random: Random;
  readonly record: RunRecord;
}

export function isrKey(i: number): string {
  return `isr:${i}`;
}

/** Reads and writes of the shared keys. */
class SharedKeys {
  readonly #plan: ClientPlan;
  #next = 0;

  constructor(plan: ClientPlan) {
    this.#plan = plan;
  }

  ask(write: string): Ask {
    const { name, random, record } = this.#plan;
    const key = isrKey(random.below(ISR_KEYS));
    const start = record.nowMs();
    if (random.chance(0.5)) return readOf(record, key, start);
    const value = `${name}.${++this.#next}`;
    const note = (end: number): void =>
      void record.history.push({ kind: 'write', key, value, start, end });
    return {
      words: [write, key, value],
      answered: (reply) => {
        const outcome = record.outcomeOf(reply);
        if (outcome !== 'refused') {
          note(outcome === 'done' ? record.nowMs() : Number.POSITIVE_INFINITY);
        }
      },
      lost: () => {
        record.outcomeOf(null);
        note(Number.POSITIVE_INFINITY);
      },
    };
  }
}

/** Of a key of acks=isr, on a connection of acks=isr. */
function readOf(record: RunRecord, key: string, start: number): Ask {
  return {
    words: ['GET', key],
    answered: (value) => {
      if (value !== null && record.isRefusal(value)) return;
      record.history.push({ kind: 'read', key, value, start, end: record.nowMs() });
    },
    lost: () => undefined,
  };
}

/** Reads and writes of keys that are this client's alone. */
class OwnKeys {
  readonly #plan: ClientPlan;
  #version = 0;

  constructor(plan: ClientPlan) {
    this.#plan = plan;
  }

  ask(write: string): Ask {
    const { name, random, record } = this.#plan;
    const key = `local:${name}:${random.below(LOCAL_KEYS)}`;
    if (random.chance(0.3)) {
      return {
        words: ['GET', key],
        answered: (value) => {
          if (value !== null && record.isRefusal(value)) return;
          record.loss.read(key, value === null ? null : Number(value));
        },
        lost: () => undefined,
      };
    }
    const version = ++this.#version;
    return {
      words: [write, key, String(version)],
      answered: (reply) => {
        const outcome = record.outcomeOf(reply);
        if (outcome === 'done') record.loss.acknowledged(key, version, record.nowMs());
        else if (outcome === 'unknown') record.loss.unanswered(key, version);
      },
      lost: () => {
        record.outcomeOf(null);
        record.loss.unanswered(key, version);
      },
    };
  }
}

/** A bare connection to one client port after the other: another one whenever it is lost. */
export class BareClient implements Client {
  readonly name: string;
  readonly #ports: readonly number[];
  readonly #plan: ClientPlan;
  readonly #acks: 'isr' | 'local';
  readonly #keys: SharedKeys | OwnKeys;
  readonly #done: Promise<void>;
  #stopped = false;

  constructor(plan: ClientPlan, ports: readonly number[], acks: 'isr' | 'local') {
    this.name = plan.name;
    this.#plan = plan;
    this.#ports = ports;
    this.#acks = acks;
    this.#keys = acks === 'isr' ? new SharedKeys(plan) : new OwnKeys(plan);
    this.#done = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  async #run(): Promise<void> {
    const { random } = this.#plan;
    while (!this.#stopped) {
      const port = this.#ports[random.below(this.#ports.length)];
      const socket = await opened(port);
      if (socket !== null) {
        await this.#talk(socket).catch(() => undefined); // the asks themselves were told
        socket.destroy();
      }
      await delay(AGAIN_MS);
    }
  }

  /** Rejects when the connection is lost, or silent. */
  async #talk(socket: Socket): Promise<void> {
    const { random } = this.#plan;
    const replies = new ReplyReader(socket);
    socket.write(encode('CLIENT', 'ACKS', this.#acks));
    const [agreed] = await within('an answer', PATIENCE_MS, replies.take(1));
    if (agreed !== 'OK') this.#plan.record.unexpected.push(`CLIENT ACKS: ${String(agreed)}`);
    while (!this.#stopped) {
      const asks = numbers(1 + random.below(BATCH_MAX)).map(() => this.#keys.ask('INGOT.PUT'));
      socket.write(Buffer.concat(asks.map(({ words }) => encode(...words))));
      await this.#answers(asks, replies);
      await delay(THINK_MS);
    }
  }

  async #answers(asks: readonly Ask[], replies: ReplyReader): Promise<void> {
    for (const [i, ask] of asks.entries()) {
      try {
        const [reply] = await within('an answer', PATIENCE_MS, replies.take(1));
        ask.answered(reply === null ? null : String(reply));
      } catch (error) {
        for (const left of asks.slice(i)) left.lost();
        throw error;
      }
    }
  }
}

/** ioredis, told to repeat nothing that may have been done. */
export class LibraryClient implements Client {
  readonly name: string;
  readonly #redis: Redis | Cluster;
  readonly #keys: SharedKeys;
  readonly #done: Promise<void>;
  #stopped = false;

  constructor(plan: ClientPlan, redis: Redis | Cluster) {
    this.name = plan.name;
    this.#redis = redis;
    this.#redis.on('error', () => undefined); // each call that fails says so itself
    this.#keys = new SharedKeys(plan);
    this.#done = this.#run();
  }

  static plain(plan: ClientPlan, port: number): LibraryClient {
    return new LibraryClient(plan, new Redis({ port, ...ONCE, retryStrategy: () => AGAIN_MS }));
  }

  static cluster(
    plan: ClientPlan,
    nodes: readonly { host: string; port: number }[],
  ): LibraryClient {
    const options = {
      redisOptions: ONCE,
      retryDelayOnFailover: 0,
      clusterRetryStrategy: () => AGAIN_MS,
    };
    return new LibraryClient(plan, new Cluster([...nodes], options));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
    this.#redis.disconnect();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      await this.#one(this.#keys.ask('SET'));
      await delay(THINK_MS);
    }
  }

  async #one(ask: Ask): Promise<void> {
    const [name, ...rest] = ask.words;
    try {
      const sent = this.#redis.call(name.toLowerCase(), ...rest) as Promise<string | null>;
      ask.answered(await within('an answer', PATIENCE_MS, sent));
    } catch (error) {
      const { message } = error as Error;
      // An error of the server in its own words; anything else is the library's.
      if (/^[A-Z]{5,} /.test(message)) ask.answered(message);
      else ask.lost();
    }
  }
}

const ONCE = {
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  connectTimeout: 2_000,
} as const;

function opened(port: number): Promise<Socket | null> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.once('error', () => resolve(null));
    socket.once('connect', () => resolve(socket));
  });
}
