/** The two client libraries behind one small face: a command as words, its reply as plain values.
 *  Suites that are about a library itself use its own API instead. */
import { Cluster, Redis } from 'ioredis';
import { createClient, createCluster, RESP_TYPES } from 'redis';

export type Word = string | Buffer;
export type Reply = string | number | null | Reply[] | { [field: string]: Reply };

/** Where a client connects first: all that it needs of a node. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Caller {
  readonly name: string;
  /** Cluster clients answer CROSSSLOT by themselves, and talk to the owner of a key alone. */
  readonly isCluster: boolean;
  /** Bulk strings come as latin1 text, so that bytes stay comparable; errors as `error: TEXT`. */
  call(words: readonly Word[], firstKey?: Word): Promise<Reply>;
  close(): Promise<void>;
}

export function ioredis(port: number, protocol: 2 | 3 = 3): Caller {
  const client = new Redis({ port, host: '127.0.0.1', protocol, maxRetriesPerRequest: 1 });
  return {
    name: `ioredis RESP${protocol}`,
    isCluster: false,
    call: ([name, ...rest]) => settle(client.callBuffer(commandName(name), ...rest)),
    close: async () => void (await client.quit()),
  };
}

export function ioredisCluster(
  nodes: readonly Address[],
  scaleReads: 'master' | 'slave' = 'master',
): Caller {
  const client = new Cluster([...nodes], { scaleReads });
  return {
    name: `ioredis Cluster reading from ${scaleReads}s`,
    isCluster: true,
    call: ([name, ...rest]) => settle(client.callBuffer(commandName(name), ...rest)),
    close: async () => void (await client.quit()),
  };
}

export async function nodeRedis(port: number, RESP: 2 | 3 = 3): Promise<Caller> {
  const client = createClient({
    RESP,
    socket: { port, host: '127.0.0.1', reconnectStrategy: false },
    commandOptions: { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } },
  });
  client.on('error', () => undefined); // each call that fails says so itself
  await client.connect();
  return {
    name: `node-redis RESP${RESP}`,
    isCluster: false,
    call: (words) => settle(client.sendCommand([...words])),
    close: () => client.close(),
  };
}

export async function nodeRedisCluster(
  nodes: readonly Address[],
  useReplicas = false,
): Promise<Caller> {
  const client = createCluster({
    rootNodes: nodes.map((socket) => ({ socket })),
    useReplicas,
    commandOptions: { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } },
  });
  client.on('error', () => undefined);
  await client.connect();
  return {
    name: `node-redis cluster${useReplicas ? ' reading from replicas' : ''}`,
    isCluster: true,
    call: (words, firstKey) => settle(client.sendCommand(firstKey, undefined, [...words])),
    close: () => client.close(),
  };
}

/** ioredis finds keys and read-only commands by the lower-case name. */
function commandName(word: Word): string {
  return String(word).toLowerCase();
}

async function settle(sent: Promise<unknown>): Promise<Reply> {
  try {
    return plain(await sent);
  } catch (error) {
    return `error: ${(error as Error).message}`;
  }
}

function plain(reply: unknown): Reply {
  if (Buffer.isBuffer(reply)) return reply.toString('latin1');
  if (Array.isArray(reply)) return reply.map(plain);
  if (reply instanceof Error) return `error: ${reply.message}`;
  if (reply instanceof Map) return plain(Object.fromEntries(reply));
  if (typeof reply === 'object' && reply !== null) {
    return Object.fromEntries(Object.entries(reply).map(([field, value]) => [field, plain(value)]));
  }
  if (typeof reply === 'bigint') return Number(reply);
  if (reply === undefined) return null;
  return reply as Reply;
}
