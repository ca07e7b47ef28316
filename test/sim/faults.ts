/** What goes wrong in a simulated cluster, drawn from the seed: one row per kind of fault. */
import { CHUNK_BYTES, ROLE_FOLLOWER } from '@ingot/store';
import type { FlipTarget } from './connection.ts';
import type { SimCopy } from './copy.ts';
import type { Link } from './link.ts';
import type { SimNode } from './node.ts';
import type { Workload } from './workload.ts';
import type { World } from './world.ts';

interface FaultRow {
  readonly name: string;
  /** How often it is drawn, beside the others. */
  readonly share: number;
  /** False where it could not happen now. */
  readonly happen: (faults: Faults) => boolean;
}

const FAULTS: readonly FaultRow[] = [
  { name: 'connection cut anywhere', share: 8, happen: (faults) => faults.cut() },
  { name: 'link down', share: 3, happen: (faults) => faults.linkDown(15_000) },
  { name: 'reader stalls', share: 4, happen: (faults) => faults.stall() },
  { name: 'link slow', share: 4, happen: (faults) => faults.slow() },
  { name: 'header flipped', share: 2, happen: (faults) => faults.flip('header') },
  { name: 'redo flipped', share: 2, happen: (faults) => faults.flip('redo') },
  { name: 'chunk flipped', share: 3, happen: (faults) => faults.flip('chunk') },
  { name: 'other payload flipped', share: 1, happen: (faults) => faults.flip('other') },
  { name: 'memory flipped', share: 2, happen: (faults) => faults.flipMemory() },
  { name: 'process dies', share: 2, happen: (faults) => faults.die() },
  { name: 'process paused', share: 2, happen: (faults) => faults.pause() },
  { name: 'promotion', share: 3, happen: (faults) => faults.promote() },
  { name: 'ring lapped', share: 4, happen: (faults) => faults.lap() },
  { name: 'away while the ring is lapped', share: 5, happen: (faults) => faults.lapOne() },
  { name: 'bulk cut, a copy behind promoted', share: 3, happen: (faults) => faults.ordeal() },
  { name: 'clock moves', share: 1, happen: (faults) => faults.moveClock() },
];
const shares = FAULTS.reduce((sum, { share }) => sum + share, 0);

export class Faults {
  readonly #world: World;
  readonly #workload: Workload;

  constructor(world: World, workload: Workload) {
    this.#world = world;
    this.#workload = workload;
  }

  /** Something goes wrong. */
  strike(): void {
    const { random, trace } = this.#world;
    let left = random.below(shares);
    for (const { name, share, happen } of FAULTS) {
      left -= share;
      if (left >= 0) continue;
      if (happen(this)) trace.count(`fault: ${name}`);
      return;
    }
  }

  // ------------------------------------------------------------ network

  cut(): boolean {
    const { random } = this.#world;
    if (random.chance(0.4)) this.#link().cutAtChunk = 1 + random.below(3);
    else {
      const connection = this.#pick([...this.#world.connections].filter(({ open }) => open));
      if (connection === null) return false;
      const pipe = random.chance(0.8) ? connection.toFollower : connection.toPrimary;
      pipe.cutAfterBytes = 1 + random.below(pipe === connection.toFollower ? 300_000 : 300);
    }
    return true;
  }

  linkDown(msMax: number): boolean {
    const link = this.#link();
    this.breakLink(link, this.#world.random.below(msMax));
    return true;
  }

  breakLink(link: Link, ms: number): void {
    const world = this.#world;
    link.down = true;
    world.note(`link ${link.name} down`);
    for (const connection of world.connectionsOver(link)) connection.cut('link down', 'network');
    world.scheduler.after(ms, world.control, () => {
      link.down = false;
    });
  }

  stall(): boolean {
    const { random, scheduler } = this.#world;
    this.#link().stalledUntilMs = scheduler.nowMs + random.below(random.chance(0.2) ? 9_000 : 900);
    return true;
  }

  slow(): boolean {
    const { random } = this.#world;
    const link = this.#link();
    link.latencyMs = 0.1 + random.next() * 40;
    link.bytesPerMs = [200, 1_000, 5_000, 200_000][random.below(4)];
    return true;
  }

  flip(target: FlipTarget): boolean {
    const { random } = this.#world;
    if (target === 'chunk') {
      this.#link().flipsChunk = true;
      return true;
    }
    const connection = this.#pick([...this.#world.connections].filter(({ open }) => open));
    if (connection === null) return false;
    const up = target === 'header' || target === 'other' ? random.chance(0.3) : false;
    (up ? connection.toPrimary : connection.toFollower).flip = target;
    return true;
  }

  // ------------------------------------------------------------ processes

  die(): boolean {
    const node = this.#node();
    if (node === null) return false;
    const others = this.#world.members.filter((other) => other !== node && other.alive);
    const leads = this.#world.map.flatMap(({ primary }, partition) =>
      primary === node.id ? [partition] : [],
    );
    const isCovered = leads.every((partition) =>
      others.some((other) => other.copy(partition).promotable),
    );
    if (!isCovered && this.#world.random.chance(0.9)) return false;
    node.stepsToLive = 1 + this.#world.random.below(400);
    return true;
  }

  pause(): boolean {
    const { random, scheduler } = this.#world;
    const node = this.#node();
    if (node === null) return false;
    const untilMs = scheduler.nowMs + random.below(random.chance(0.3) ? 7_000 : 400);
    const threads = random.chance(0.5) ? node.threads() : [node.replication];
    for (const thread of threads) thread.pausedUntilMs = untilMs;
    return true;
  }

  moveClock(): boolean {
    const world = this.#world;
    const node = this.#node();
    if (node === null) return false;
    node.clockAheadMs = world.random.below(300) - 150;
    world.clockAheadMsMax = Math.max(world.clockAheadMsMax, node.clockAheadMs);
    return true;
  }

  // ------------------------------------------------------------ roles and load

  promote(): boolean {
    const { random, members, map } = this.#world;
    const partition = random.below(map.length);
    const able = members
      .filter(({ alive }) => alive)
      .map((node) => node.copy(partition))
      .filter((copy) => copy.promotable && copy.whole);
    const copy = this.#pick(able);
    if (copy === null) return false;
    this.promoteCopy(copy, random.chance(0.5) ? random.below(4_000) : random.below(60));
    return true;
  }

  /** The old primary learns of it after `aloneMs`, and writes on until then. */
  promoteCopy(copy: SimCopy, aloneMs: number): void {
    const world = this.#world;
    const { id } = copy.partition;
    const old = world.primaryOf(id);
    if (old !== null) {
      const behind = old.partition.stats().seq - copy.partition.stats().seq;
      if (behind > 0) world.trace.count('promotions of a copy that was behind');
      const oldNode = world.nodeOf(old);
      if (world.random.chance(0.4)) {
        // Its rewind will be cut short.
        world.link(copy.node.id, oldNode.id).cutAtChunk = 1 + world.random.below(2);
      }
      oldNode.deafUntilMs = world.scheduler.nowMs + aloneMs;
    }
    world.promote(copy);
  }

  /** Two followers are behind, each in its way: one gets half a bulk from a primary that is then lost to the other. */
  ordeal(): boolean {
    const { random, map, scheduler, control } = this.#world;
    const partition = random.below(map.length);
    const primary = this.#world.primaryOf(partition);
    const others = this.#world.members.filter(({ alive, id }) => alive && id !== primary?.node.id);
    const [half, heir] = random.chance(0.5) ? others : others.toReversed();
    if (primary === null || half === undefined || heir === undefined) return false;
    const toHalf = this.#world.link(primary.node.id, half.id);
    const toHeir = this.#world.link(primary.node.id, heir.id);
    this.breakLink(toHalf, 500);
    toHalf.cutAtChunk = 1 + random.below(2);
    toHalf.downAfterCutMs = 3_000;
    scheduler.after(300, control, () => {
      toHeir.stalledUntilMs = scheduler.nowMs + 3_000;
    });
    scheduler.after(350, control, () => this.lap());
    scheduler.after(1_500 + random.below(600), control, () => {
      const copy = heir.copy(partition);
      if (heir.alive && copy.promotable && copy.whole) {
        this.promoteCopy(copy, random.below(2_000));
      }
    });
    return true;
  }

  lap(): boolean {
    this.#workload.burst(60 + this.#world.random.below(500));
    return true;
  }

  lapOne(): boolean {
    const link = this.#link();
    this.breakLink(link, 200 + this.#world.random.below(600));
    // What follows is a bulk that takes long, under writes.
    if (this.#world.random.chance(0.5)) link.bytesPerMs = 1_000;
    return this.lap();
  }

  flipMemory(): boolean {
    const { random, members } = this.#world;
    const copies = members.filter(({ alive }) => alive).flatMap(({ copies }) => copies);
    const copy = this.#pick(copies.filter((copy) => this.#mayFlip(copy)));
    if (copy === null) return false;
    const chunk = 2 + random.below(copy.partition.chunksTouched() - 2);
    if (copy.partition.chunkIsFree(chunk)) return false;
    this.flipBit(copy, chunk);
    return true;
  }

  /** One at a time of a partition: with two wrong copies of three nobody can say which is right. */
  #mayFlip({ partition }: SimCopy): boolean {
    const all = this.#world.members
      .filter(({ alive }) => alive)
      .map((node) => node.copy(partition.id));
    if (all.some(({ whole }) => !whole)) return false;
    return partition.role() === ROLE_FOLLOWER && partition.consistent() && partition.checked();
  }

  flipBit(copy: SimCopy, chunk: number): void {
    const { random } = this.#world;
    const at = chunk * CHUNK_BYTES + random.below(CHUNK_BYTES);
    copy.partition.imageBuffer[at] ^= 1 << random.below(8);
    copy.tainted.set(chunk, 'in memory');
    copy.memoryFlipped = true;
    this.#world.note(`${copy.name} a bit flips in chunk ${chunk}`);
  }

  // ------------------------------------------------------------ picks

  #link(): Link {
    const links = [...this.#world.links.values()];
    return links[this.#world.random.below(links.length)];
  }

  #node(): SimNode | null {
    return this.#pick(this.#world.nodes.filter(({ alive }) => alive));
  }

  #pick<T>(from: readonly T[]): T | null {
    return from.length === 0 ? null : from[this.#world.random.below(from.length)];
  }
}
