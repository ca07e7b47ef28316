/** How a node finds its cluster: asks addresses it was given, or remembers, until one leads it to
 *  the node that coordinates and that registers this life of the node. A node that has a voice in
 *  the cluster may do that itself where nobody else does: after the whole cluster was stopped there
 *  are only nodes that start. */
import { setTimeout as delay } from 'node:timers/promises';
import type { ServiceError } from '@grpc/grpc-js';
import { IngotError, unreachable } from '../shared/errors.ts';
import { addressOf, type ClusterMap } from '../shared/map.ts';
import { ControlClient } from './control-client.ts';
import type { ControlAccess } from './peer-credentials.ts';
import type { JoinRequest } from './registration.ts';
import type { ControlLog, ControlSettings } from './types.ts';

const retryMs = 250;
const complainEveryMs = 5_000;
const redirectsMax = 3;

/** Refusals that asking again, or elsewhere, does not help against. */
const FINAL: ReadonlySet<string> = new Set([
  'OTHER_CLUSTER',
  'NODE_ID_IN_USE',
  'BAD_JOIN',
  'PEER_REFUSED',
]);

export interface JoinOptions {
  /** `host:control port`; asked in this order, again and again. */
  addresses: () => readonly string[];
  request: JoinRequest;
  /** Registers this life without the others' help; null where it cannot. */
  ownWay: () => (() => Promise<ClusterMap>) | null;
  access: ControlAccess;
  /** Infinity for a node that knows its cluster: it waits until that is back. */
  patienceMs: number;
  log: ControlLog;
  signal: AbortSignal;
}

/** Resolves with the map that lists this life of the node. Rejects with an IngotError where the
 *  cluster refuses the node, or where nobody could be asked in time. */
export async function joinCluster(options: JoinOptions): Promise<ClusterMap> {
  const { addresses, request, access, ownWay, patienceMs, log, signal } = options;
  for (let waitedMs = 0; ; waitedMs += retryMs) {
    const sought = addresses();
    const ways = sought.map((address) => () => joinThrough(address, request, access));
    const own = ownWay();
    let lastWhy = '';
    for (const join of own === null ? ways : [...ways, own]) {
      signal.throwIfAborted();
      try {
        return await join();
      } catch (error) {
        if (error instanceof IngotError && FINAL.has(error.code)) throw error;
        lastWhy = shortReason(error as Error);
      }
    }
    const those = sought.join(', ');
    if (waitedMs >= patienceMs) {
      throw unreachable(`a node to join at ${those}`, lastWhy, 'check --join and start that node');
    }
    if (waitedMs > 0 && waitedMs % complainEveryMs === 0) {
      log.warn(
        { event: 'cluster.sought', addresses: sought, why: lastWhy },
        own === null ? `no answer from ${those}` : `waits for a majority of the acceptors`,
      );
    }
    await delay(retryMs, undefined, { signal });
  }
}

/** The addresses of the start command, then those of all other nodes that are known. */
export function whereToAsk({ id, join }: ControlSettings, map: ClusterMap | null): string[] {
  const others = (map?.nodes ?? []).filter((node) => node.id !== id);
  return [...new Set([...join, ...others.map((node) => addressOf(node, 'control'))])];
}

/** The cluster ids of those of the addresses that answer; one that is not there has none. */
export async function clusterIdsAt(
  addresses: readonly string[],
  access: ControlAccess,
): Promise<string[]> {
  const answers = await Promise.allSettled(
    addresses.map((address) =>
      withClient(address, access, async (client) => (await client.status('node')).map.clusterId),
    ),
  );
  return answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
}

async function joinThrough(
  first: string,
  request: JoinRequest,
  access: ControlAccess,
): Promise<ClusterMap> {
  let address = first;
  for (let redirects = 0; redirects <= redirectsMax; redirects++) {
    const outcome = await withClient(address, access, (client) => client.join(request));
    if ('map' in outcome) return outcome.map;
    address = outcome.askInstead;
  }
  throw new Error(`${first} leads to nobody who coordinates`);
}

async function withClient<T>(
  address: string,
  access: ControlAccess,
  ask: (client: ControlClient) => Promise<T>,
): Promise<T> {
  const client = new ControlClient(address, null, access);
  try {
    return await ask(client);
  } finally {
    client.close();
  }
}

/** grpc-js wraps what the system said in a sentence of its own. */
function shortReason(error: Error): string {
  const text = (error as Partial<ServiceError>).details ?? error.message;
  return /\bE[A-Z]{4,}\b/.exec(text)?.[0] ?? text;
}
