/** How far the in-sync set of each partition led here is: what a reply with acks=isr waits for.
 *
 *  Owner: `Leading`. Awaited are the members that the map names and those about to be proposed: a
 *  member counts from before it is proposed until a map without it has come. So whatever set the
 *  register holds at any moment is a part of what was awaited.
 *  Invariant: whoever is awaited gets no BEGIN; what was published for an epoch never goes back.
 *  Knows no sockets, timers and clocks; sessions are asked through `acked`. */
import type { AckBoard } from './ack-board.ts';
import type { NodeState } from './node-state.ts';
import type { MemberLife, PartitionView } from './view.ts';

/** Members about to be proposed for a partition, at an epoch. */
export interface PendingMembers {
  readonly partition: number;
  readonly epoch: number;
  readonly lives: readonly MemberLife[];
}

export class InSync {
  readonly #state: NodeState;
  readonly #board: AckBoard | null;
  /** Seq that this life of a follower has acknowledged on its present connection, or -1. */
  readonly #acked: (partition: number, life: MemberLife) => number;
  readonly #ackedByAll: (partition: number) => readonly number[];
  readonly #leads = new Set<number>();
  #pending: readonly PendingMembers[] = [];

  constructor(
    state: NodeState,
    board: AckBoard | null,
    acked: (partition: number, life: MemberLife) => number,
    ackedByAll: (partition: number) => readonly number[],
  ) {
    this.#state = state;
    this.#board = board;
    this.#acked = acked;
    this.#ackedByAll = ackedByAll;
  }

  /** Replaces what is pending. */
  set pending(members: readonly PendingMembers[]) {
    this.#pending = members;
    this.update();
  }

  get pending(): readonly PendingMembers[] {
    return this.#pending;
  }

  /** The map, or what is pending, has changed. */
  update(): void {
    const board = this.#board;
    if (board === null) return;
    const { views, identity } = this.#state;
    for (const id of this.#leads) {
      if (this.#state.leads(id) && this.#state.partitions.has(id)) continue;
      this.#leads.delete(id);
      board.end(id);
    }
    for (const [id, view] of views) {
      if (!this.#state.leads(id) || !this.#state.partitions.has(id)) continue;
      this.#leads.add(id);
      const others = (view.inSync ?? []).filter(({ node }) => node !== identity.nodeId);
      board.lead(id, view.epoch, 1 + others.length, this.#awaited(view).length);
      this.#publish(view);
    }
    board.notify(true);
  }

  /** A follower has acknowledged more, or is gone. Readers are woken by `notify`. */
  moved(partition: number): void {
    const view = this.#state.views.get(partition);
    if (view !== undefined && this.#leads.has(partition)) this.#publish(view);
  }

  notify(all: boolean): void {
    this.#board?.notify(all);
  }

  /** Whether this life is waited for: then its copy may not be written over. */
  isAwaited(partition: number, node: string, incarnation: number): boolean {
    const view = this.#state.views.get(partition);
    if (view === undefined) return false;
    return this.#awaited(view).some(
      (life) => life.node === node && life.incarnation === incarnation,
    );
  }

  /** Published for this partition: every awaited follower has `seq`. */
  has(partition: number, seq: number): boolean {
    const view = this.#state.views.get(partition);
    if (view === undefined || !this.#leads.has(partition)) return false;
    return this.#reached(view, this.#awaited(view)) >= seq;
  }

  #awaited({ id, epoch, inSync = [] }: PartitionView): MemberLife[] {
    const pending = this.#pending.filter((each) => each.partition === id && each.epoch === epoch);
    const lives = [...inSync, ...pending.flatMap((each) => each.lives)];
    return lives.filter(({ node }) => node !== this.#state.identity.nodeId);
  }

  #reached({ id }: PartitionView, awaited: readonly MemberLife[]): number {
    const seqs = awaited.map((life) => this.#acked(id, life));
    return Math.min(Number.MAX_SAFE_INTEGER, ...seqs);
  }

  #publish(view: PartitionView): void {
    const board = this.#board;
    if (board === null) return;
    board.acked(view.id, this.#ackedByAll(view.id));
    // With nobody to wait for it is what is committed, whatever that is by now: readers know.
    const awaited = this.#awaited(view);
    if (awaited.length > 0) board.reached(view.id, this.#reached(view, awaited));
  }
}
