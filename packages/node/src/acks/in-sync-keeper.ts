/** Keeps the in-sync sets of the partitions led here as they should be. A machine: clock, timers,
 *  the replication worker and the register are passed in.
 *
 *  One round at a time, over all partitions at once: see who should join or leave; have the
 *  replication worker await who is to join, and answer which of them have caught up; propose;
 *  take as settled what was read back.
 *  Invariants: a member is awaited from before it is proposed until a map has been read that was
 *  chosen after the proposal: one whose outcome is unknown goes on being awaited, and the register
 *  is asked again. A member stays awaited until a map without it has come. */
import type { PartitionReplicationStatus, PendingMembers } from '@ingot/replication';
import type { MapChange } from '../register/map-proposer.ts';
import type { Later } from '../shared/later.ts';
import { type ClusterMap, isSameLife, type Life, nameOfLife } from '../shared/map.ts';
import { type MemberChange, wantedChanges, withMembers } from './in-sync-changes.ts';

/** Who has not been connected for so long is no member any more. */
export const goneMs = 1_000;
/** Who was too slow to join is not asked again before. */
const joinAgainMs = 300;
/** The register did not answer. */
const retryMs = 250;

export interface InSyncKeeperOptions {
  /** This life of this node. */
  readonly self: () => Life;
  readonly map: () => ClusterMap;
  readonly nowMs: () => number;
  readonly later: Later;
  /** Awaits `kept`, and `joining` where they are in step, from now on and nobody else but the
   *  members of the map. Resolves with those of `joining` that have all that was committed. */
  readonly awaitMembers: (
    kept: readonly PendingMembers[],
    joining: readonly PendingMembers[],
  ) => Promise<readonly PendingMembers[]>;
  readonly propose: (change: MapChange) => Promise<ClusterMap>;
  /** Of failures in a row the first is told. */
  readonly failed: (error: unknown) => void;
}

export class InSyncKeeper {
  readonly #options: InSyncKeeperOptions;
  #partitions: readonly PartitionReplicationStatus[] = [];
  /** Proposed, and not known to be chosen or not. */
  #unsettled: readonly PendingMembers[] = [];
  /** Per member: since when it is gone. */
  #goneSinceMs = new Map<string, number>();
  readonly #notBeforeMs = new Map<string, number>();
  #awaitedMap: { readonly version: number; readonly came: () => void } | null = null;
  #isBusy = false;
  #isDue = false;
  #isFailing = false;
  #cancel: (() => void) | null = null;
  #closed = false;
  #changes = { added: 0, removed: 0 };

  constructor(options: InSyncKeeperOptions) {
    this.#options = options;
  }

  /** Members that were added and removed by this node. */
  get changes(): { readonly added: number; readonly removed: number } {
    return this.#changes;
  }

  /** What the replication worker says of the followers. */
  heard(partitions: readonly PartitionReplicationStatus[]): void {
    this.#partitions = partitions;
    this.look();
  }

  /** A map has come, or time has passed. */
  look(): void {
    if (this.#closed) return;
    if (this.#awaitedMap !== null && this.#options.map().version >= this.#awaitedMap.version) {
      this.#awaitedMap.came();
      this.#awaitedMap = null;
    }
    if (this.#isBusy) {
      this.#isDue = true;
      return;
    }
    const changes = this.#dueChanges();
    if (changes.length === 0 && this.#unsettled.length === 0) return;
    this.#isBusy = true;
    void this.#round(changes).then((again) => {
      this.#isBusy = false;
      this.#isFailing = !again;
      if (!again) this.#lookIn(retryMs);
      else if (this.#isDue) this.look();
      this.#isDue = false;
    });
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
  }

  /** What is wanted and need not wait any longer. */
  #dueChanges(): MemberChange[] {
    const { map, self, nowMs } = this.#options;
    const now = nowMs();
    const gone = new Map<string, number>();
    let nextMs = Number.POSITIVE_INFINITY;
    const due = wantedChanges(map(), self(), this.#partitions).filter((change) => {
      const key = keyOf(change);
      let fromMs = now;
      if (change.kind === 'add') fromMs = this.#notBeforeMs.get(key) ?? now;
      else if (change.mayPass) {
        const sinceMs = this.#goneSinceMs.get(key) ?? now;
        gone.set(key, sinceMs);
        fromMs = sinceMs + goneMs;
      }
      if (fromMs > now) nextMs = Math.min(nextMs, fromMs - now);
      return fromMs <= now;
    });
    this.#goneSinceMs = gone;
    if (nextMs < Number.POSITIVE_INFINITY) this.#lookIn(nextMs);
    return due;
  }

  #lookIn(delayMs: number): void {
    if (this.#closed) return;
    this.#cancel?.();
    this.#cancel = this.#options.later(delayMs, () => {
      this.#cancel = null;
      this.look();
    });
  }

  /** False where the register could not be asked. */
  async #round(changes: readonly MemberChange[]): Promise<boolean> {
    const { awaitMembers, propose, self, failed } = this.#options;
    const life = self();
    try {
      const joining = pendingOf(changes, life);
      const hadPending = this.#unsettled.length > 0 || joining.length > 0;
      const ready = hadPending ? await awaitMembers(this.#unsettled, joining) : [];
      const proposed = changes.filter((change) => isReady(change, life, ready));
      this.#postpone(changes, proposed);
      this.#unsettled = union(this.#unsettled, ready);
      if (proposed.length === 0 && this.#unsettled.length === 0) return true;
      let done: readonly MemberChange[] = [];
      const settled = await propose((map) => {
        // The register may have been away for long: who is back meanwhile stays.
        const due = this.#stillDue(map, proposed);
        done = due.filter((change) => withMembers(map, life, [change]) !== map);
        return withMembers(map, life, due);
      });
      this.#count(done);
      if (!hadPending) return true;
      await this.#hasCome(settled.version);
      this.#unsettled = [];
      await awaitMembers([], []);
      return true;
    } catch (error) {
      if (!this.#isFailing) failed(error);
      return false;
    }
  }

  #stillDue(map: ClusterMap, changes: readonly MemberChange[]): MemberChange[] {
    const wanted = wantedChanges(map, this.#options.self(), this.#partitions);
    const due = new Set(wanted.filter(({ kind }) => kind === 'remove').map(keyOf));
    return changes.filter((change) => change.kind === 'add' || due.has(keyOf(change)));
  }

  /** The map has come, so that its members are awaited because it says so. */
  #hasCome(version: number): Promise<void> {
    if (this.#options.map().version >= version) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#awaitedMap = { version, came: resolve };
    return promise;
  }

  #postpone(changes: readonly MemberChange[], proposed: readonly MemberChange[]): void {
    const untilMs = this.#options.nowMs() + joinAgainMs;
    for (const [key, ms] of this.#notBeforeMs) {
      if (ms <= this.#options.nowMs()) this.#notBeforeMs.delete(key);
    }
    const late = changes.filter((change) => change.kind === 'add' && !proposed.includes(change));
    for (const change of late) this.#notBeforeMs.set(keyOf(change), untilMs);
    if (late.length > 0) this.#lookIn(joinAgainMs);
  }

  #count(done: readonly MemberChange[]): void {
    const added = done.filter(({ kind }) => kind === 'add').length;
    this.#changes = {
      added: this.#changes.added + added,
      removed: this.#changes.removed + done.length - added,
    };
  }
}

/** The followers that want to join. A primary need not await itself. */
function pendingOf(changes: readonly MemberChange[], self: Life): PendingMembers[] {
  const joining = changes.filter(({ kind, life }) => kind === 'add' && life.node !== self.node);
  return [...Map.groupBy(joining, ({ partition }) => partition)].map(([partition, members]) => ({
    partition,
    epoch: members[0].epoch,
    lives: members.map(({ life }) => life),
  }));
}

/** Asked again and again while the register is away, the same members do not pile up. */
function union(a: readonly PendingMembers[], b: readonly PendingMembers[]): PendingMembers[] {
  const known = new Set(a.map((each) => JSON.stringify(each)));
  return [...a, ...b.filter((each) => !known.has(JSON.stringify(each)))];
}

function isReady(change: MemberChange, self: Life, ready: readonly PendingMembers[]): boolean {
  const { kind, partition, epoch, life } = change;
  if (kind === 'remove' || life.node === self.node) return true;
  return ready.some(
    (each) =>
      each.partition === partition &&
      each.epoch === epoch &&
      each.lives.some((other) => isSameLife(other, life)),
  );
}

function keyOf({ partition, epoch, life }: MemberChange): string {
  return `${partition}/${epoch}/${nameOfLife(life)}`;
}
