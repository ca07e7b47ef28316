import {
  attachPartition,
  createPartition,
  type Partition,
  PartitionMap,
  planGeometry,
  ROLE_FOLLOWER,
} from '@ingot/store';
import { describe, expect, test } from 'vitest';
import { Oracle } from './oracle.fixture.ts';
import { Random } from './random.fixture.ts';
import { Wire } from './wire.fixture.ts';

const EPOCH = 1;
const writes = 250;
const settleStepsMax = 400_000;
const stalledWritesMax = 60;
const capacityBytes = 8 * 1_048_576;
const planned = planGeometry({ partitions: 1, capacityBytes, capacityMaxBytes: capacityBytes });
const geometry = { ...planned, ringBytes: 262_144 };

const created = (): Partition => attachPartition(createPartition(geometry, 0));

/** primary -> relay -> leaf, moved step by step by a seed. */
class Chain {
  readonly primary: Partition = created();
  readonly relay: Partition = created();
  readonly leaf: Partition = created();
  readonly random: Random;
  /** How often the leaf was cut off because the relay was about to be written over. */
  drops = 0;
  leafPoints = 0;
  readonly leafEvents = new Set<string>();
  readonly #map: PartitionMap;
  readonly #oracle: Oracle;
  #upper: Wire;
  #lower: Wire | null = null;
  #stalledWrites = 0;
  #leafSeq = 0;
  #nowMs = 1_000_000;

  constructor(seed: number) {
    this.random = new Random(seed);
    this.primary.promote(EPOCH, this.#nowMs);
    this.relay.setRole(ROLE_FOLLOWER, EPOCH);
    this.leaf.setRole(ROLE_FOLLOWER, EPOCH);
    this.#map = new PartitionMap(this.primary);
    this.#oracle = new Oracle(this.primary);
    this.#upper = this.#connectUpper();
    // The relay is stopped between the patches of what it applies, and the leaf's connection moves on.
    this.relay.onStep = () => this.#moveLower(3);
  }

  write(): void {
    this.#nowMs += this.random.below(30);
    this.#stalledWrites = Math.max(0, this.#stalledWrites - 1);
    const bytes = this.random.chance(0.3) ? this.random.below(60_000) : this.random.below(800);
    const key = Buffer.from(`key:${this.random.below(60)}`);
    if (this.random.chance(0.15)) this.#map.delete(key, this.#nowMs);
    else this.#map.set(key, Buffer.alloc(bytes, this.random.below(256)), this.#nowMs);
    this.#oracle.published();
  }

  move(steps: number): void {
    for (let i = 0; i < steps; i++) {
      if (this.#stalledWrites === 0) this.#upper.step(this.#nowMs);
      if (this.#upper.dropped !== null) throw new Error(this.#upper.dropped);
      this.#moveLower(2);
    }
  }

  /** The relay gets nothing for a while. */
  stall(): void {
    this.#stalledWrites = this.random.below(stalledWritesMax);
  }

  cutUpper(): void {
    this.#upper = this.#connectUpper();
  }

  cutLower(): void {
    for (const event of this.#lower?.events ?? []) this.leafEvents.add(event);
    this.#lower = null;
  }

  settle(): void {
    this.#stalledWrites = 0;
    const { seq } = this.primary.stats();
    for (let steps = 0; this.leaf.stats().seq !== seq || !this.leaf.consistent(); steps++) {
      if (steps === settleStepsMax) throw new Error('the leaf does not settle');
      this.move(1);
    }
    this.cutLower();
  }

  #moveLower(steps: number): void {
    for (let i = 0; i < steps; i++) {
      if (this.#lower === null && this.relay.consistent()) this.#lower = this.#connectLower();
      if (this.#lower === null) return;
      this.#lower.step(this.#nowMs);
      this.#judgeLeaf();
      const { dropped } = this.#lower;
      if (dropped === null) continue;
      // It connected between a BEGIN and what follows it.
      if (dropped !== 'primary: the copy here is not consistent') throw new Error(dropped);
      this.cutLower();
    }
  }

  #connectUpper(): Wire {
    const wire = new Wire({ primary: this.primary, copy: this.relay, epoch: EPOCH }, this.random);
    wire.dropSubscribers = () => {
      if (this.#lower !== null) this.drops++;
      this.cutLower();
    };
    return wire;
  }

  #connectLower(): Wire {
    const ends = { primary: this.relay, copy: this.leaf, epoch: EPOCH, relay: true };
    return new Wire(ends, this.random);
  }

  #judgeLeaf(): void {
    const { seq } = this.leaf.stats();
    if (!this.leaf.consistent() || seq === this.#leafSeq) return;
    this.#leafSeq = seq;
    this.leafPoints++;
    const applied = this.relay.stats().seq;
    if (seq > applied) throw new Error(`the leaf is at ${seq}, its relay at ${applied}`);
    const differs = this.#oracle.differs(this.leaf);
    if (differs !== null) throw new Error(`the leaf differs: ${differs}`);
  }
}

const seeds = Array.from({ length: 16 }, (_, i) => i + 1);

describe('a consistent follower serves another', () => {
  const seen = { drops: 0, leafPoints: 0, events: new Set<string>() };

  test.each(seeds)(
    'seed %i: a leaf is never ahead of its relay, never differs, arrives',
    (seed) => {
      const chain = new Chain(seed);
      for (let i = 0; i < 30; i++) chain.write();
      for (let i = 0; i < writes; i++) {
        chain.write();
        chain.move(chain.random.below(60));
        if (chain.random.chance(0.02)) chain.cutUpper();
        if (chain.random.chance(0.03)) chain.cutLower();
        if (chain.random.chance(0.04)) chain.stall();
      }
      chain.settle();
      expect(chain.leaf.imageBuffer.equals(chain.primary.imageBuffer)).toBe(true);
      expect(chain.leaf.verify()).toBeNull();
      expect(chain.leaf.checked()).toBe(false);
      seen.drops += chain.drops;
      seen.leafPoints += chain.leafPoints;
      for (const event of chain.leafEvents) seen.events.add(event);
    },
  );

  test('the seeds together saw leaves cut off by a BEGIN, and every kind of sync', () => {
    expect(seen.drops).toBeGreaterThan(5);
    expect(seen.leafPoints).toBeGreaterThan(100);
    expect([...seen.events]).toEqual(
      expect.arrayContaining([
        'syncFinished: full, the copy is empty',
        'syncStarted: stream, the copy is current and the ring holds what follows',
        'syncFinished: catch-up, the ring has moved past the copy',
        'syncFinished: catch-up, the copy was interrupted in the middle of a bulk',
      ]),
    );
  });
});
