/** How a node finds its cluster: asks addresses it was given, or remembers, until one leads it to
 *  the map host and that registers this life of the node. */
import { setTimeout as delay } from 'node:timers/promises';
import type { ServiceError } from '@grpc/grpc-js';
import { IngotError, unreachable } from '../shared/errors.ts';
import type { ClusterMap } from '../shared/map.ts';
import { ControlClient } from './control-client.ts';
import type { ControlAccess } from './peer-credentials.ts';
import type { JoinRequest } from './registration.ts';
import type { ControlLog } from './types.ts';

const retryMs = 250;
const complainEveryMs = 5_000;
const redirectsMax = 3;

export interface JoinOptions {
  /** `host:control port`; asked in this order, again and again. */
  addresses: readonly string[];
  request: JoinRequest;
  access: ControlAccess;
  /** Infinity for a node that knows its cluster: it waits until that is back. */
  patienceMs: number;
  log: ControlLog;
  signal: AbortSignal;
}

/** Resolves with the map that lists this life of the node. Rejects with an IngotError where the
 *  cluster refuses the node, or where nobody could be asked in time. */
export async function joinCluster(options: JoinOptions): Promise<ClusterMap> {
  const { addresses, request, access, patienceMs, log, signal } = options;
  let lastWhy = '';
  for (let waitedMs = 0; ; waitedMs += retryMs) {
    for (const address of addresses) {
      try {
        return await joinThrough(address, request, access);
      } catch (error) {
        if (error instanceof IngotError) throw error;
        lastWhy = shortReason(error as ServiceError);
      }
    }
    const sought = addresses.join(', ');
    if (waitedMs >= patienceMs) {
      throw unreachable(`a node to join at ${sought}`, lastWhy, 'check --join and start that node');
    }
    if (waitedMs > 0 && waitedMs % complainEveryMs === 0) {
      log.warn({ event: 'cluster.sought', addresses, why: lastWhy }, `no answer from ${sought}`);
    }
    await delay(retryMs, undefined, { signal });
  }
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
  throw new Error(`${first} leads to no map host`);
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
function shortReason({ details, message }: ServiceError): string {
  const text = details ?? message;
  return /\bE[A-Z]{4,}\b/.exec(text)?.[0] ?? text;
}
