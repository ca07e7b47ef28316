/** The copies followed here: one outgoing connection per partition that the map gives a primary elsewhere, and none to
 *  a primary whose epoch has been sealed.
 *
 *  The primary may have another follower feed a new copy: then the connection goes there, once, and back to the primary when
 *  the copy is consistent or the other fails. */
import { type Partition, ROLE_PRIMARY } from '@ingot/store';
import { type ConnectionHost, FollowerConnection, type Source } from './follower-connection.ts';
import type { ReplicationEventName } from './events.ts';
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

export class Following implements ConnectionHost {
  readonly #state: NodeState;
  readonly #connections = new Map<number, FollowerConnection>();

  constructor(state: NodeState) {
    this.#state = state;
  }

  /** Opens what should exist and ends what should not, before it returns. */
  update(): void {
    const { partitions, identity } = this.#state;
    for (const [id, connection] of this.#connections) {
      const source = this.#sourceOf(id, connection);
      const partition = partitions.get(id);
      if (source !== null && partition !== undefined && connection.isFrom(partition, source))
        continue;
      connection.stop('the map names another source');
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
        connection = this.#connect(partition, source);
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

  /** The primary itself brings the copy up to date. */
  followsPrimary(id: number): boolean {
    const connection = this.#connections.get(id);
    return connection !== undefined && connection.source.seedSeq === null && connection.isStreaming;
  }

  sentTo(id: number, node: string, seedSeq: number): void {
    const view = this.#state.views.get(id);
    const partition = this.#state.partitions.get(id);
    const former = this.#connections.get(id);
    const address = this.#state.addresses[node];
    if (view === undefined || partition === undefined || address === undefined) return;
    former?.stop(`${node} feeds the copy`);
    const { host, port } = address;
    this.#log(id, 'seedStarted', { source: node });
    const connection = this.#connect(partition, { node, epoch: view.epoch, host, port, seedSeq });
    connection.tick(this.#state.identity.nowMs());
  }

  seedOver(id: number, reason: string): void {
    const node = this.#connections.get(id)?.source.node ?? '';
    this.#connections.delete(id);
    this.#log(id, 'seedEnded', { source: node, reason });
    this.update();
  }

  #connect(partition: Partition, source: Source): FollowerConnection {
    const connection = new FollowerConnection(this.#state, partition, source, this);
    this.#connections.set(partition.id, connection);
    return connection;
  }

  #log(partition: number, event: ReplicationEventName, fields: Record<string, string>): void {
    this.#state.identity.log({ level: 'info', event, partition, ...fields });
  }

  close(): void {
    for (const connection of this.#connections.values()) connection.stop('the node stops');
    this.#connections.clear();
  }

  /** Where a copy belongs; the follower that feeds it, as long as the map names it and its primary. */
  #sourceOf(id: number, present?: FollowerConnection): Source | null {
    const { views, identity } = this.#state;
    const view = views.get(id);
    if (view === undefined || view.primary === null || view.primaryAddress === null) return null;
    if (!view.followers.includes(identity.nodeId)) return null;
    if (view.epoch <= (this.#state.sealedThrough.get(id) ?? 0)) return null;
    if (present !== undefined && present.source.seedSeq !== null) {
      const { node, epoch, seedSeq } = present.source;
      const address = this.#state.addresses[node];
      const isNamed = view.epoch === epoch && view.followers.includes(node);
      if (isNamed && address !== undefined) return { node, epoch, ...address, seedSeq };
    }
    return { node: view.primary, epoch: view.epoch, ...view.primaryAddress, seedSeq: null };
  }
}
