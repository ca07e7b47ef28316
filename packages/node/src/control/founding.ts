/** The first map of a new cluster, and the checks before one is founded. Founding beside a cluster
 *  that is there, and joining a second one, are mistakes in a start command that would cost data;
 *  so whoever is named in it is asked first. */
import { randomUUID } from 'node:crypto';
import { planGeometry, StoreError } from '@ingot/store';
import { refusal, usageError } from '../shared/errors.ts';
import type { ClusterMap, MapNode } from '../shared/map.ts';
import type { Identity } from './identity.ts';
import { clusterIdsAt } from './joining.ts';
import { foundingMap } from './map-changes.ts';
import type { ControlAccess } from './peer-credentials.ts';
import type { ControlSettings } from './types.ts';

/** Throws an IngotError where an address in --join is of another cluster than the data dir, or
 *  where a cluster is to be founded next to one that answers. */
export async function refuseOtherClusters(
  { found, join }: ControlSettings,
  identity: Identity,
  access: ControlAccess,
): Promise<void> {
  const own = identity.membership()?.clusterId ?? null;
  if (own === null && !found) return;
  const other = (await clusterIdsAt(join, access)).find((clusterId) => clusterId !== own);
  if (other === undefined) return;
  if (own !== null) {
    throw refusal(
      'OTHER_CLUSTER',
      `the data dir ${identity.dataDir} belongs to cluster ${own}, ` +
        `but --join leads to cluster ${other}; ` +
        'choose another --data-dir or --join the right cluster',
    );
  }
  throw refusal(
    'CLUSTER_EXISTS',
    `--join leads to cluster ${other}, which exists already; start without --found to join it`,
  );
}

/** Makes a new cluster of which `founder` is the only node. On disk when it resolves. */
export async function foundCluster(
  settings: ControlSettings,
  identity: Identity,
  founder: MapNode,
): Promise<ClusterMap> {
  const { partitions, copies, capacityBytes, capacityMaxBytes, eviction } = settings;
  const { minIsr, uncleanFailover } = settings;
  const clusterId = randomUUID();
  const map = foundingMap(
    {
      clusterId,
      partitions,
      copies,
      capacityBytes,
      capacityMaxBytes,
      valueMaxBytes: valueMaxOf(settings),
      eviction,
      minIsr,
      uncleanFailover,
    },
    founder,
  );
  const { id: nodeId, incarnation } = founder;
  await identity.found({ nodeId, clusterId, incarnation }, map);
  return map;
}

/** The store derives it from the capacity where it is not set, and refuses what cannot work. */
function valueMaxOf(settings: ControlSettings): number {
  const { partitions, capacityBytes, capacityMaxBytes, valueMaxBytes } = settings;
  try {
    return planGeometry({
      partitions,
      capacityBytes,
      capacityMaxBytes,
      ...(valueMaxBytes === null ? {} : { valueMaxBytes }),
    }).valueMaxBytes;
  } catch (error) {
    if (error instanceof StoreError) throw usageError(error.message);
    throw error;
  }
}
