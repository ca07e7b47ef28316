/** The copies followed here: one outgoing connection per partition that the map gives a primary elsewhere, and none to
 *  a primary whose epoch has been sealed. */
import { type Partition, ROLE_PRIMARY } from '@ingot/store';
import { FollowerConnection, type Source } from './follower-connection.ts';
import type { NodeState } from './node-state.ts';

/** A copy that takes nothing more of the epochs it was sealed for. */
export interface SealedCopy {
  readonly id: number;
  /** Of the last redo applied. */
  readonly epoch: number;
  readonly applied: number;
  /** May lead: consistent, and checked since its last bulk. */
  readonly consistent: boolean;
  /** It was read from the node's disk, and nobody has vouched for it since: others may have more. */
  readonly recovered: boolean;
}

/** What a copy says of itself, once nothing of the epochs it was sealed for gets into it. */
export function sealedCopy(partition: Partition): SealedCopy {
  return {
    id: partition.id,
    epoch: partition.history().at(-1)?.epoch ?? 0,
    applied: partition.stats().seq,
    consistent: partition.consistent() && partition.checked(),
    recovered: partition.recovered(),
  };
}

export class Following {
  readonly #state: NodeState;
  readonly #connections = new Map<number, FollowerConnection>();

  constructor(state: NodeState) {
    this.#state = state;
  }

  /** Opens what should exist and ends what should not, before it returns. */
  update(): void {
    const { partitions, identity } = this.#state;
    for (const [id, connection] of this.#connections) {
      const source = this.#sourceOf(id);
      const partition = partitions.get(id);
      if (source !== null && partition !== undefined && connection.isFrom(partition, source))
        continue;
      connection.stop('the map names another primary');
      this.#connections.delete(id);
    }
    const nowMs = identity.nowMs();
    for (const [id, partition] of partitions) {
      const source = this.#sourceOf(id);
      if (source === null) continue;
      let connection = this.#connections.get(id);
      if (connection === undefined) {
        // Its bytes stay as they are until what was sent to clients from them has left.
        if (partition.values.pinStats(nowMs).pins > 0) continue;
        connection = new FollowerConnection(this.#state, partition, source);
        this.#connections.set(id, connection);
      }
      connection.tick(nowMs);
    }
  }

  /** Ends the connections to primaries of these epochs before it returns, and opens no new ones to them. */
  seal(partitions: readonly { id: number; epoch: number }[]): SealedCopy[] {
    const { sealedThrough } = this.#state;
    for (const { id, epoch } of partitions) {
      sealedThrough.set(id, Math.max(epoch, sealedThrough.get(id) ?? 0));
    }
    this.update();
    return partitions.flatMap(({ id }) => {
      const partition = this.#state.partitions.get(id);
      if (partition === undefined || partition.role() === ROLE_PRIMARY) return [];
      return [sealedCopy(partition)];
    });
  }

  close(): void {
    for (const connection of this.#connections.values()) connection.stop('the node stops');
    this.#connections.clear();
  }

  #sourceOf(id: number): Source | null {
    const { views, identity } = this.#state;
    const view = views.get(id);
    if (view === undefined || view.primary === null || view.primaryAddress === null) return null;
    if (!view.followers.includes(identity.nodeId)) return null;
    if (view.epoch <= (this.#state.sealedThrough.get(id) ?? 0)) return null;
    return { node: view.primary, epoch: view.epoch, ...view.primaryAddress };
  }
}
