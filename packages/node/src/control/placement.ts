/** Placement: which nodes should hold a copy of each partition, and which of them should lead it.
 *
 *  A pure function of the members and of where the copies are now. Moving a copy moves its bytes, a
 *  change of primary moves none, so the two are settled one after the other:
 *  1. Copies. Each partition gets `copies` different nodes; no node holds more than one copy more
 *     than another. Everything stays where it is unless a node is over its quota; the nodes that
 *     hold most get the larger quota, which makes the number of moves the least possible. Where
 *     there are several hosts, copies of one partition are then taken apart as far as that leaves
 *     everybody's share as it is.
 *  2. Primaries. Each partition is led by one of its copies; no node leads more than one partition
 *     more than another. The present primaries stay unless balance asks for a handover. A node that
 *     leads too much may share no partition with one that leads too little, so leads are passed
 *     along a path of nodes. Because copies are balanced such a path always exists (spread each
 *     partition's lead evenly over its copies: every node then carries between the floor and the
 *     ceiling of the average, and flows with whole-number bounds have whole-number solutions).
 *  A partition whose primary somebody has named by hand counts for nobody then, and stays.
 *  Invariant: a result that is fed back comes out unchanged. Ties go to the node listed first. */
import type { NodeId } from '../shared/map.ts';

export interface CopySet {
  primary: NodeId | null;
  followers: NodeId[];
}

export interface PlacementTarget {
  primary: NodeId;
  followers: NodeId[];
}

/** By partition. */
export type PinnedPrimaries = ReadonlyMap<number, NodeId>;

/** `members` must not be empty. With fewer members than `copies` each member holds every
 *  partition. `hosts` names the host of each member; each has its own unless it is said. */
export function place(
  members: readonly NodeId[],
  current: readonly CopySet[],
  copies: number,
  hosts: readonly string[] = members,
  pinned: PinnedPrimaries = new Map(),
): PlacementTarget[] {
  const layout = new Layout(members, current, hosts);
  const copiesEach = Math.min(copies, members.length);
  layout.settleCopyCounts(copiesEach);
  layout.balanceCopies(copiesEach);
  if (new Set(hosts).size > 1) layout.separateHosts();
  layout.balancePrimaries(pinned);
  return layout.targets();
}

/** Two copies on one host weigh more than any imbalance that is left to be evened out. */
const crowdWeight = 1_000_000;

/** The work in progress: nodes are indexes into `members`. */
class Layout {
  readonly #members: readonly NodeId[];
  readonly #hosts: readonly string[];
  readonly #holders: Set<number>[];
  readonly #primary: number[];
  readonly #copyCount: number[];
  readonly #leadCount: number[];
  readonly #pinned = new Set<number>();
  /** [a][b]: how many partitions both nodes hold. */
  readonly #shared: number[][];

  constructor(members: readonly NodeId[], current: readonly CopySet[], hosts: readonly string[]) {
    this.#members = members;
    this.#hosts = hosts;
    this.#copyCount = members.map(() => 0);
    this.#leadCount = members.map(() => 0);
    this.#shared = members.map(() => members.map(() => 0));
    const indexOf = new Map(members.map((node, index) => [node, index]));
    this.#primary = current.map((set) => indexOf.get(set.primary ?? '') ?? -1);
    this.#holders = current.map(() => new Set());
    for (const [partition, set] of current.entries()) {
      const held = [set.primary ?? '', ...set.followers].map((node) => indexOf.get(node) ?? -1);
      for (const node of new Set(held)) if (node >= 0) this.#add(partition, node);
    }
  }

  targets(): PlacementTarget[] {
    return this.#holders.map((holders, partition) => {
      const primary = this.#primary[partition];
      const followers = [...holders].filter((node) => node !== primary);
      return {
        primary: this.#members[primary],
        followers: followers.map((node) => this.#members[node]),
      };
    });
  }

  /** Gives every partition exactly `copiesEach` holders: surplus ones go where most copies are,
   *  missing ones to where fewest are. */
  settleCopyCounts(copiesEach: number): void {
    for (const [partition, holders] of this.#holders.entries()) {
      while (holders.size > copiesEach) {
        const primary = this.#primary[partition];
        const followers = [...holders].filter((node) => node !== primary);
        this.#drop(
          partition,
          least(
            followers,
            (node) => -this.#copyCount[node] - crowdWeight * this.#crowding(node, partition),
          ),
        );
      }
      while (holders.size < copiesEach) {
        const others = this.#nodes().filter((node) => !holders.has(node));
        this.#add(
          partition,
          least(
            others,
            (node) =>
              this.#copyCount[node] +
              this.#closeness(node, partition) +
              crowdWeight * this.#crowding(node, partition),
          ),
        );
      }
    }
  }

  balanceCopies(copiesEach: number): void {
    const quota = this.#copyQuotas(this.#holders.length * copiesEach);
    for (;;) {
      const from = this.#nodes().find((node) => this.#copyCount[node] > quota[node]);
      if (from === undefined) return;
      const to = least(this.#nodes(), (node) => this.#copyCount[node] - quota[node]);
      this.#moveCopy(from, to);
    }
  }

  /** Each round takes two copies on one host apart and puts no others together. */
  separateHosts(): void {
    const isCrowded = (partition: number, node: number) => this.#crowding(node, partition) > 0;
    for (let moved = true; moved; ) {
      moved = false;
      for (const [partition, holders] of this.#holders.entries()) {
        const isPrimary = (node: number) => Number(node === this.#primary[partition]);
        // Followers first: moving one needs no handover.
        const crowded = [...holders]
          .filter((node) => isCrowded(partition, node))
          .sort((a, b) => isPrimary(a) - isPrimary(b));
        if (crowded.some((node) => this.#moveApart(partition, node))) moved = true;
      }
    }
  }

  balancePrimaries(pinned: PinnedPrimaries): void {
    for (const [partition, holders] of this.#holders.entries()) {
      const named = this.#members.indexOf(pinned.get(partition) ?? '');
      if (holders.has(named)) {
        this.#primary[partition] = named;
        this.#pinned.add(partition);
        continue;
      }
      if (!holders.has(this.#primary[partition])) {
        this.#primary[partition] = least([...holders], (node) => this.#leadCount[node]);
      }
      this.#leadCount[this.#primary[partition]]++;
    }
    while (this.#passOneLead());
  }

  #nodes(): number[] {
    return this.#members.map((_, index) => index);
  }

  #add(partition: number, node: number): void {
    for (const other of this.#holders[partition]) this.#countShared(node, other, 1);
    this.#holders[partition].add(node);
    this.#copyCount[node]++;
  }

  #drop(partition: number, node: number): void {
    this.#holders[partition].delete(node);
    this.#copyCount[node]--;
    for (const other of this.#holders[partition]) this.#countShared(node, other, -1);
  }

  #countShared(a: number, b: number, change: number): void {
    this.#shared[a][b] += change;
    this.#shared[b][a] += change;
  }

  /** How much a node already shares with the other holders of a partition, from 0 to below 1:
   *  breaks ties so that the partners of a node are spread, and with them its load when it is
   *  lost. */
  #closeness(node: number, partition: number): number {
    let sharedTotal = 0;
    for (const holder of this.#holders[partition]) sharedTotal += this.#shared[node][holder];
    return sharedTotal / (1 + this.#holders.length * this.#members.length);
  }

  /** How many other copies of the partition the node's host holds. */
  #crowding(node: number, partition: number): number {
    let count = 0;
    for (const holder of this.#holders[partition]) {
      if (holder !== node && this.#hosts[holder] === this.#hosts[node]) count++;
    }
    return count;
  }

  /** Gives a copy to a node of another host: one that holds fewer, or that gives one in return. */
  #moveApart(partition: number, from: number): boolean {
    const free = this.#nodes().filter(
      (node) => !this.#holders[partition].has(node) && this.#crowding(node, partition) === 0,
    );
    for (const to of free) {
      const isLighter = this.#copyCount[to] < this.#copyCount[from];
      const back = isLighter ? null : this.#returnable(to, from);
      if (back === undefined) continue;
      this.#drop(partition, from);
      this.#add(partition, to);
      if (back === null) return true;
      this.#drop(back, to);
      this.#add(back, from);
      return true;
    }
    return false;
  }

  /** A partition that `from` holds and `to` may hold in its place. */
  #returnable(from: number, to: number): number | undefined {
    return [...this.#holders.keys()].find((partition) => {
      const holders = this.#holders[partition];
      if (!holders.has(from) || holders.has(to)) return false;
      const besides = this.#hosts[from] === this.#hosts[to] ? 1 : 0;
      return this.#crowding(to, partition) - besides <= 0;
    });
  }

  #copyQuotas(copyTotal: number): number[] {
    const floor = Math.floor(copyTotal / this.#members.length);
    let larger = copyTotal - floor * this.#members.length;
    const quota = this.#members.map(() => floor);
    const byCopies = this.#nodes().sort((a, b) => this.#copyCount[b] - this.#copyCount[a]);
    for (const node of byCopies) if (larger-- > 0) quota[node]++;
    return quota;
  }

  /** `from` holds more than `to`, so some partition is on the one and not on the other. One that
   *  `from` only follows is preferred: it needs no handover. */
  #moveCopy(from: number, to: number): void {
    const movable = [...this.#holders.keys()].filter(
      (partition) => this.#holders[partition].has(from) && !this.#holders[partition].has(to),
    );
    const chosen = least(
      movable,
      (partition) =>
        (this.#primary[partition] === from ? 1 : 0) +
        this.#closeness(to, partition) +
        crowdWeight * (this.#crowding(to, partition) - this.#crowding(from, partition)),
    );
    this.#drop(chosen, from);
    this.#add(chosen, to);
  }

  /** Passes one lead from a node that leads too much to one that leads too little; false when
   *  there is no such pair. */
  #passOneLead(): boolean {
    const passable = this.#passableLeads();
    for (const from of this.#nodes()) {
      const path = this.#pathToLighter(from, passable);
      if (path === null) continue;
      for (let step = 1; step < path.length; step++) {
        this.#primary[passable[path[step - 1]][path[step]]] = path[step];
      }
      this.#leadCount[from]--;
      this.#leadCount[path[path.length - 1]]++;
      return true;
    }
    return false;
  }

  /** [from][to]: a partition that `from` leads and `to` follows, or -1. */
  #passableLeads(): number[][] {
    const passable = this.#members.map(() => this.#members.map(() => -1));
    for (const [partition, holders] of this.#holders.entries()) {
      if (this.#pinned.has(partition)) continue;
      const from = this.#primary[partition];
      for (const to of holders) if (to !== from) passable[from][to] = partition;
    }
    return passable;
  }

  /** The shortest path (breadth first) from a node to one that should lead in its place. */
  #pathToLighter(from: number, passable: number[][]): number[] | null {
    const cameFrom = new Map<number, number>([[from, from]]);
    const queue = [from];
    for (const node of queue) {
      if (this.#shouldPass(from, node)) return pathBack(cameFrom, from, node);
      for (const next of this.#nodes()) {
        if (passable[node][next] < 0 || cameFrom.has(next)) continue;
        cameFrom.set(next, node);
        queue.push(next);
      }
    }
    return null;
  }

  /** Primaries first; where they differ by one only, the follower counts decide who has the extra
   *  one. */
  #shouldPass(from: number, to: number): boolean {
    const difference = this.#leadCount[from] - this.#leadCount[to];
    const followers = (node: number) => this.#copyCount[node] - this.#leadCount[node];
    return difference >= 2 || (difference === 1 && followers(to) - followers(from) >= 2);
  }
}

function pathBack(cameFrom: Map<number, number>, start: number, end: number): number[] {
  const path = [end];
  while (path[0] !== start) path.unshift(cameFrom.get(path[0]) as number);
  return path;
}

/** The first candidate of the smallest weight. */
function least(candidates: readonly number[], weigh: (candidate: number) => number): number {
  return candidates.reduce((best, candidate) =>
    weigh(candidate) < weigh(best) ? candidate : best,
  );
}
