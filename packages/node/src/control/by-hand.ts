/** What operators ask of whoever coordinates: a node leaves, a life stops, a partition is led by a node of
 *  their choice, the capacity is another one. What is asked goes into the map first (wishes.ts), so that another coordinator goes
 *  on with it; the steps that follow from it are made as all others are, and here it is only
 *  waited for. Owner: the coordinator.
 *  Everything rejects with an IngotError that says why it cannot be. */
import type { MapProposer } from '../register/map-proposer.ts';
import { capacityRefusal } from '../shared/capacity.ts';
import { refusal } from '../shared/errors.ts';
import {
  type ClusterMap,
  holdsCopy,
  isLeaving,
  isUp,
  ledBy,
  type Life,
  type NodeId,
  nodeOf,
} from '../shared/map.ts';
import type { ClusterView } from './cluster-view.ts';
import type { Failover } from './failover.ts';
import { withCapacityLimit } from './map-changes.ts';
import type { MapWaits } from './map-waits.ts';
import { canHandOver } from './steps.ts';
import { withLeaving, withPin, withStopping } from './wishes.ts';

export interface ByHandOptions {
  readonly proposer: MapProposer;
  readonly view: ClusterView;
  readonly failover: Pick<Failover, 'endLife' | 'promoteAnyway'>;
  readonly waits: MapWaits;
  readonly wallMs: () => number;
  readonly follow: (map: ClusterMap) => void;
  readonly nudge: () => void;
}

export class ByHand {
  readonly #options: ByHandOptions;

  constructor(options: ByHandOptions) {
    this.#options = options;
  }

  /** Resolves when the node has handed over, given up its copies and is out of the map. One that is
   *  down has nothing to hand over: its copies are made anew elsewhere. */
  async leave(node: NodeId): Promise<void> {
    await this.#ask((map) => {
      if (nodeOf(map, node) === null) {
        throw refusal('NO_SUCH_NODE', `the cluster has no node named ${node}`);
      }
      const isLast = map.nodes.every(
        ({ id, witness, observer }) => id === node || witness || observer || isLeaving(map, id),
      );
      if (isLast) throw refusal('LAST_NODE', `${node} is the last node that holds copies; stop it`);
      return withLeaving(map, node);
    });
    await this.#options.waits.until(
      (map) => nodeOf(map, node) === null,
      (map) =>
        nodeOf(map, node) === null || isLeaving(map, node)
          ? null
          : refusal('LEAVE_UNDONE', `${node} has been started again, and stays`),
    );
  }

  /** Resolves when this life of the node leads nothing, or nothing more that others could take, and
   *  writes with acks=isr wait for it no more. */
  async drain(life: Life): Promise<void> {
    const { waits, wallMs } = this.#options;
    const sinceMs = wallMs();
    const map = await this.#ask((current) => withStopping(current, life, sinceMs));
    const isDone = (current: ClusterMap): boolean =>
      !canHandOver(current, life.node) && !isAwaited(current, life);
    if (!isDone(map)) await waits.until(isDone);
  }

  /** This life was drained and serves nothing any more: it is over, and nobody has to find that out
   *  from its silence. */
  async stopped(life: Life): Promise<void> {
    const { failover, follow } = this.#options;
    const map = await this.#ask((current) => current);
    const led = ledBy(map, life.node);
    if (led.length > 0) {
      throw refusal('STILL_LEADS', `${life.node} still leads partitions: its end is a failover`);
    }
    const isStillWanted = (): boolean => true;
    const ended = await failover.endLife(map, { life, cause: 'stopped', isStillWanted });
    if (ended !== null) follow(ended);
  }

  /** Resolves when `node` leads the partition. */
  async promote(partition: number, node: NodeId, acceptLoss: boolean): Promise<void> {
    const { view, waits } = this.#options;
    const map = await this.#ask((current) => current);
    const entry = map.placement[partition];
    if (entry === undefined) {
      throw refusal('NO_SUCH_PARTITION', `there are partitions 0 to ${map.partitions - 1}`);
    }
    const others = entry.followers.filter((follower) => isUp(map, follower));
    if (!holdsCopy(entry, node) || !isUp(map, node)) {
      throw refusal(
        'NO_COPY',
        `${node} holds no copy of partition ${partition}, or is not up; ` +
          (others.length === 0 ? 'nobody else does' : `${others.join(', ')} could`),
      );
    }
    if (entry.primary === null) return await this.#promoteVacant(map, partition, node, acceptLoss);
    if (entry.primary !== node && !view.isInSync(map, partition, node)) {
      throw refusal(
        'NOT_IN_SYNC',
        `the copy on ${node} is not in sync with ${entry.primary}; ` +
          'wait until "ingot status" shows it streaming',
      );
    }
    const lostMeanwhile = (current: ClusterMap): Error | null =>
      holdsCopy(current.placement[partition], node) && isUp(current, node)
        ? null
        : refusal('NO_COPY', `${node} has lost its copy of partition ${partition} meanwhile`);
    const pinned = await this.#ask((current) => {
      const lost = lostMeanwhile(current);
      if (lost !== null) throw lost;
      return withPin(current, partition, node);
    });
    const leads = (current: ClusterMap): boolean => current.placement[partition].primary === node;
    if (!leads(pinned)) await waits.until(leads, lostMeanwhile);
  }

  /** Resolves when the map says so. Nodes go by it as soon as they have the map. */
  async setCapacity(capacityBytes: number): Promise<void> {
    await this.#ask((map) => {
      const refused = capacityRefusal(map, capacityBytes);
      if (refused !== null) throw refused;
      return withCapacityLimit(map, capacityBytes);
    });
  }

  async #promoteVacant(
    map: ClusterMap,
    partition: number,
    node: NodeId,
    acceptLoss: boolean,
  ): Promise<void> {
    if (!acceptLoss) {
      throw refusal(
        'NO_COPY_IN_SYNC',
        `partition ${partition} has no primary, because no copy in sync is left; ` +
          `"ingot promote ${partition} ${node} --accept-loss" makes do with the copy on ${node}`,
      );
    }
    const { failover, follow } = this.#options;
    follow(await failover.promoteAnyway(map, partition, node));
  }

  /** The map as it is once what is asked for is in it. */
  async #ask(change: (map: ClusterMap) => ClusterMap): Promise<ClusterMap> {
    const { proposer, follow, nudge } = this.#options;
    const map = await proposer.propose(change);
    follow(map);
    nudge();
    return map;
  }
}

/** Writes wait for this follower, and could do without: where --min-isr asks for it, its primary keeps
 *  it in the set to the end. */
function isAwaited(map: ClusterMap, { node, incarnation }: Life): boolean {
  return map.placement.some(({ primary, inSync }) => {
    if (primary === null || primary === node || !isUp(map, primary)) return false;
    if (inSync.length <= map.minIsr) return false;
    return inSync.some((life) => life.node === node && life.incarnation === incarnation);
  });
}
