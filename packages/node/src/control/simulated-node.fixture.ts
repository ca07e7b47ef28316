/** A node as the coordinator sees one, without memory, threads or sockets: copies are a few words
 *  each. What a copy holds is told by its seq alone, so "has the data" is "has the seq".
 *  It breaks with an error where the map asks for something that would lose data. */
import {
  type ClusterMap,
  copiesOf,
  holdsCopy,
  isSameLife,
  type Life,
  nameOfLife,
  type NodeId,
} from '../shared/map.ts';
import {
  type CopyRole,
  type FollowerState,
  NO_CHECKPOINTS,
  NO_MEMORY,
  NO_SCRUB,
  type NodeCallbacks,
  type NodeReport,
  type NodeStatus,
  type PartitionEpoch,
  type PartitionReport,
  type SavedMemory,
  type SealedCopy,
  type SealOutcome,
  type VerifyReport,
} from './types.ts';

export interface Copy {
  role: CopyRole;
  epoch: number;
  seq: number;
  consistent: boolean;
  sealed: boolean;
  /** Nothing of this epoch and those before it gets in. */
  refusedThrough: number;
  /** The epoch of the last write applied. */
  appliedEpoch: number;
  /** On a primary: how far each follower is. */
  followers: Map<NodeId, FollowerState>;
  /** On a primary: the seq that each life has acknowledged at this epoch. */
  acked: Map<string, number>;
  /** On a primary: whom writes with acks=isr wait for. */
  awaited: Life[];
  /** A change of the in-sync set is on its way: old and new members are awaited. */
  isProposing: boolean;
}

export class SimulatedNode implements NodeCallbacks {
  readonly id: NodeId;
  readonly incarnation: number;
  readonly copies: Map<number, Copy> = new Map();
  readonly retirements: string[] = [];
  readonly lives: number[] = [];
  isBetweenLives = false;
  hasLeft = false;
  #missed: ClusterMap | null = null;
  map: ClusterMap | null = null;
  /** It serves until then. */
  servesUntilMs: number = Number.POSITIVE_INFINITY;

  constructor(id: NodeId, incarnation: number) {
    this.id = id;
    this.incarnation = incarnation;
  }

  /** Nothing is saved here. */
  async recover(): Promise<SavedMemory> {
    return NO_MEMORY;
  }

  /** Brings the copies in line with a map, as the node process does. */
  apply(map: ClusterMap): void {
    if (this.isBetweenLives) {
      this.#missed = map;
      return;
    }
    if (this.map !== null && map.version <= this.map.version) return;
    this.map = map;
    for (const [partition, entry] of map.placement.entries()) {
      if (!holdsCopy(entry, this.id)) {
        this.copies.delete(partition);
        continue;
      }
      const role = entry.primary === this.id ? 'primary' : 'follower';
      const copy = this.copies.get(partition) ?? emptyCopy();
      this.copies.set(partition, copy);
      if (role === 'primary' && copy.role !== 'primary') this.#lead(copy, partition, map);
      if (role === 'follower' || copy.epoch !== entry.epoch) copy.sealed = false;
      if (role === 'primary' && copy.epoch !== entry.epoch) copy.acked = new Map();
      copy.role = role;
      copy.epoch = entry.epoch;
      if (!copy.isProposing) copy.awaited = entry.inSync;
      const peers = copiesOf(entry).filter((node) => node !== this.id);
      copy.followers = new Map(
        role === 'primary'
          ? peers.map((node) => [node, copy.followers.get(node) ?? 'connecting'])
          : [],
      );
    }
  }

  /** A client writes; only an unsealed primary with a lease takes it. */
  write(partition: number, nowMs: number = 0): boolean {
    const copy = this.copies.get(partition);
    if (copy?.role !== 'primary' || copy.sealed || nowMs >= this.servesUntilMs) return false;
    copy.seq++;
    copy.appliedEpoch = copy.epoch;
    return true;
  }

  /** Up to which seq writes with acks=isr are answered. */
  answeredSeq(partition: number, nowMs: number): number {
    const copy = this.copies.get(partition);
    if (copy?.role !== 'primary' || nowMs >= this.servesUntilMs) return 0;
    const others = copy.awaited.filter(({ node }) => node !== this.id);
    return Math.min(copy.seq, ...others.map((life) => copy.acked.get(nameOfLife(life)) ?? 0));
  }

  /** The lives that have all that this primary has. */
  livesInStep(partition: number, running: (node: NodeId) => SimulatedNode | undefined): Life[] {
    const copy = this.copies.get(partition);
    const own = { node: this.id, incarnation: this.incarnation };
    const others = [...(copy?.followers.keys() ?? [])].flatMap((node): Life[] => {
      const incarnation = running(node)?.incarnation;
      if (incarnation === undefined) return [];
      const life = { node, incarnation };
      return copy?.acked.get(nameOfLife(life)) === copy?.seq ? [life] : [];
    });
    return [own, ...others];
  }

  /** One follower catches up with this primary, completely. */
  sendTo(follower: SimulatedNode, partition: number): void {
    const own = this.copies.get(partition);
    const copy = follower.copies.get(partition);
    if (own?.role !== 'primary' || copy?.role !== 'follower' || copy.epoch !== own.epoch) return;
    if (copy.refusedThrough >= own.epoch) return;
    copy.seq = own.seq;
    copy.appliedEpoch = own.appliedEpoch;
    copy.consistent = true;
    own.followers.set(follower.id, 'streaming');
    own.acked.set(nameOfLife({ node: follower.id, incarnation: follower.incarnation }), own.seq);
  }

  report(): NodeReport {
    return {
      node: this.id,
      incarnation: this.incarnation,
      mapVersion: this.map?.version ?? 0,
      partitions: [...this.copies].map(([id, copy]) => partitionReport(id, copy)),
    };
  }

  async seal(partition: number, to: NodeId): Promise<SealOutcome> {
    const copy = this.copies.get(partition);
    if (copy?.followers.get(to) !== 'streaming') return { ok: false, seq: 0, why: 'not in sync' };
    copy.sealed = true;
    return { ok: true, seq: copy.seq };
  }

  unseal(partition: number): void {
    const copy = this.copies.get(partition);
    if (copy !== undefined) copy.sealed = false;
  }

  async sealCopies(partitions: readonly PartitionEpoch[]): Promise<SealedCopy[]> {
    return partitions.flatMap(({ id, epoch }) => {
      const copy = this.copies.get(id);
      if (copy === undefined) return [];
      copy.refusedThrough = Math.max(copy.refusedThrough, epoch);
      const { appliedEpoch, seq: applied, consistent } = copy;
      return [{ id, epoch: appliedEpoch, applied, consistent, recovered: false }];
    });
  }

  lifeEnded(): void {
    this.isBetweenLives = true;
    for (const copy of this.copies.values()) if (copy.role === 'primary') copy.role = 'follower';
  }

  lifeBegan(incarnation: number): void {
    this.isBetweenLives = false;
    this.lives.push(incarnation);
    if (this.#missed !== null) this.apply(this.#missed);
    this.#missed = null;
  }

  async verify(partitions: number[]): Promise<VerifyReport> {
    return { chunksChecked: partitions.length, differences: [], notChecked: [] };
  }

  async status(): Promise<NodeStatus> {
    const { partitions, ...node } = this.report();
    return {
      ...node,
      scrub: NO_SCRUB,
      checkpoints: NO_CHECKPOINTS,
      partitions: partitions.map((partition) => ({
        ...partition,
        keys: partition.seq,
        usedBytes: 65_536,
        followers: partition.followers.map((follower) => ({
          ...follower,
          lagSeq: partition.seq - follower.ackedSeq,
          lagSeconds: 0,
          sync: null,
        })),
      })),
    };
  }

  leaseRenewed(): void {
    // Nobody is served here.
  }

  retired(reason: string): void {
    this.retirements.push(reason);
  }

  left(): void {
    this.hasLeft = true;
  }

  #lead(copy: Copy, partition: number, map: ClusterMap): void {
    const { epoch, lost } = map.placement[partition];
    if (!copy.consistent && epoch > 1 && !lost) {
      throw new Error(`${this.id} is to lead partition ${partition} without its data`);
    }
    copy.consistent = true;
  }
}

/** The same lives, in whatever order. */
export function sameLives(a: readonly Life[], b: readonly Life[]): boolean {
  return a.length === b.length && a.every((life) => b.some((other) => isSameLife(life, other)));
}

function emptyCopy(): Copy {
  return {
    role: 'none',
    epoch: 0,
    seq: 0,
    consistent: false,
    sealed: false,
    refusedThrough: 0,
    appliedEpoch: 0,
    followers: new Map(),
    acked: new Map(),
    awaited: [],
    isProposing: false,
  };
}

function partitionReport(id: number, copy: Copy): PartitionReport {
  const { role, epoch, seq, consistent, followers } = copy;
  return {
    id,
    role,
    epoch,
    seq,
    consistent,
    checked: consistent,
    followers: [...followers].map(([node, state]) => ({
      node,
      state,
      ackedSeq: state === 'streaming' ? seq : 0,
      checked: state === 'streaming',
    })),
  };
}
