/** The copies this node holds, and the one performer of the map applier's steps.
 *  Owner: the main thread. Workers get a copy by its handle and let go of it when told to; its
 *  memory is freed when the last of them has.
 *  Invariant: a copy has its role and epoch before any worker gets it. */

import {
  attachPartition,
  type Budget,
  CHUNK_BYTES,
  createPartition,
  type Geometry,
  type Partition,
  type PartitionHandle,
  ROLE_FOLLOWER,
  ROLE_NONE,
  ROLE_PRIMARY,
  sumOfBudgets,
} from '@ingot/store';
import type { GoneCounts, PartitionSample } from '../metrics/sources.ts';
import { geometryOf } from '../shared/capacity.ts';
import type { IngotError } from '../shared/errors.ts';
import { type ClusterMap, copiesOn } from '../shared/map.ts';
import type { NodeLog } from './log.ts';
import { type CopyRole, type LocalCopy, planSteps, type Step } from './map-applier.ts';
import { type MemoryLimit, memoryRefusal } from './memory.ts';

/** What the rest of the node does when copies come, go or change. */
export interface CopyListener {
  attach(handle: PartitionHandle): void;
  /** Role words agree with `map` now. */
  publish(map: ClusterMap): void;
  detach(partition: number): void;
}

interface Held {
  readonly handle: PartitionHandle;
  readonly partition: Partition;
}

const ROLE_NAMES: Readonly<Record<number, CopyRole>> = {
  [ROLE_NONE]: 'none',
  [ROLE_PRIMARY]: 'primary',
  [ROLE_FOLLOWER]: 'follower',
};

export function roleName(partition: Partition): CopyRole {
  return ROLE_NAMES[partition.role()] ?? 'none';
}

export function samplesOf(partitions: readonly Partition[]): PartitionSample[] {
  return partitions.map((partition) => ({
    role: roleName(partition),
    consistent: partition.consistent(),
    checked: partition.checked(),
    ...partition.stats(),
    ...partition.values.pinStats(Date.now()),
  }));
}

/** What a simulation passes in otherwise. */
export interface CopySurroundings {
  readonly nowMs: () => number;
  readonly geometryOf: (map: ClusterMap) => Geometry;
}

const surroundings: CopySurroundings = { nowMs: Date.now, geometryOf };

export class LocalPartitions {
  readonly #nodeId: string;
  readonly #limit: MemoryLimit;
  readonly #listener: CopyListener;
  readonly #log: NodeLog;
  readonly #surroundings: CopySurroundings;
  readonly #held = new Map<number, Held>();
  readonly #gone = { evictions: 0, expiries: 0, moves: 0, drains: 0 };
  #refusal: IngotError | null = null;
  #appliedVersion = 0;

  constructor(
    nodeId: string,
    limit: MemoryLimit,
    listener: CopyListener,
    log: NodeLog,
    { nowMs, geometryOf }: CopySurroundings = surroundings,
  ) {
    this.#nodeId = nodeId;
    this.#limit = limit;
    this.#listener = listener;
    this.#log = log;
    this.#surroundings = { nowMs, geometryOf };
  }

  /** Brings the copies to what the map asks. Copies that do not fit in memory are left out, see
   *  `refusal`; the next map tries them again. */
  apply(map: ClusterMap): void {
    if (map.version <= this.#appliedVersion) return;
    const geometry = this.#surroundings.geometryOf(map);
    this.#refusal = null;
    this.#limitTo(geometry);
    for (const step of planSteps(map, this.#nodeId, this.#copies())) {
      this.#perform(step, map, geometry);
    }
    this.#appliedVersion = map.version;
  }

  /** Copies that were here before, without a role: the next map says what becomes of them. */
  recover(handles: readonly PartitionHandle[]): void {
    for (const handle of handles) {
      this.#held.set(handle.id, { handle, partition: attachPartition(handle) });
    }
  }

  /** Nothing is led here until a map says so again: what was stays as it is, as a follower's copy. */
  standDown(): void {
    for (const { partition } of this.#held.values()) {
      if (partition.role() === ROLE_PRIMARY) partition.setRole(ROLE_FOLLOWER, partition.epoch());
    }
  }

  /** The newest map that was applied; 0 = none. */
  appliedVersion(): number {
    return this.#appliedVersion;
  }

  /** Why copies that the last map asks for are missing; null when none are. */
  refusal(): IngotError | null {
    return this.#refusal;
  }

  get(partition: number): Partition | undefined {
    return this.#held.get(partition)?.partition;
  }

  all(): Partition[] {
    return [...this.#held.values()].map(({ partition }) => partition);
  }

  handles(): PartitionHandle[] {
    return [...this.#held.values()].map(({ handle }) => handle);
  }

  samples(): PartitionSample[] {
    return samplesOf(this.all());
  }

  /** What happened in copies that were here once. */
  gone(): GoneCounts {
    return this.#gone;
  }

  /** Of all copies held, a line for each byte. */
  budget(): Budget {
    return sumOfBudgets(this.all().map((partition) => partition.budget()));
  }

  #copies(): Map<number, LocalCopy> {
    const copies = new Map<number, LocalCopy>();
    for (const [id, { partition }] of this.#held) {
      copies.set(id, {
        role: roleName(partition),
        epoch: partition.epoch(),
        consistent: partition.consistent(),
      });
    }
    return copies;
  }

  /** Copies that are made later have the limit from the start. */
  #limitTo(geometry: Geometry): void {
    let isNew = false;
    for (const { partition } of this.#held.values()) {
      isNew ||= partition.stats().capacityBytes !== geometry.capacityChunks * CHUNK_BYTES;
      partition.setCapacityChunks(geometry.capacityChunks);
    }
    const short = isNew ? memoryRefusal(geometry, this.#held.size, this.#limit) : null;
    if (short !== null) this.#log('warn', 'memory.short', { text: short.message });
  }

  #perform(step: Step, map: ClusterMap, geometry: Geometry): void {
    if (step.kind === 'publish') return this.#listener.publish(map);
    if (step.kind === 'create') return this.#create(step.partition, map, geometry);
    if (step.kind === 'refuse') {
      const { partition, epoch } = step;
      const text = 'the map names this node primary, but its copy is not consistent, or not here';
      return this.#log('error', 'partition.notPromoted', { partition, epoch, text });
    }
    const held = this.#held.get(step.partition);
    if (held === undefined) return; // refused for memory, and with it what would follow
    const { partition, handle } = held;
    switch (step.kind) {
      case 'promote':
        return partition.promote(step.epoch, this.#surroundings.nowMs());
      case 'follow':
        return partition.setRole(ROLE_FOLLOWER, step.epoch);
      case 'retire':
        return partition.setRole(ROLE_NONE, partition.epoch());
      case 'attach':
        return this.#listener.attach(handle);
      case 'drop':
        return this.#drop(step.partition, partition);
    }
  }

  #create(id: number, map: ClusterMap, geometry: Geometry): void {
    const old = this.#held.get(id);
    if (old !== undefined) this.#drop(id, old.partition);
    const wanted = copiesOn(map, this.#nodeId);
    const kept = wanted.filter((partition) => this.#held.has(partition)).length;
    if (memoryRefusal(geometry, kept + 1, this.#limit) !== null) {
      this.#refuse(memoryRefusal(geometry, wanted.length, this.#limit));
      return;
    }
    const handle = createPartition(geometry, id, { eviction: map.eviction });
    this.#held.set(id, { handle, partition: attachPartition(handle) });
  }

  /** Once per map. */
  #refuse(refusal: IngotError | null): void {
    if (this.#refusal !== null) return;
    this.#refusal = refusal;
    this.#log('error', 'memory.refused', { text: refusal?.message });
  }

  #drop(id: number, partition: Partition): void {
    const { evictions, expiries, moves, drains } = partition.stats();
    this.#gone.evictions += evictions;
    this.#gone.expiries += expiries;
    this.#gone.moves += moves;
    this.#gone.drains += drains;
    this.#held.delete(id);
    this.#listener.detach(id);
  }
}
