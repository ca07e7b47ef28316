import {
  attachPartition,
  createPartition,
  type Partition,
  PartitionMap,
  planGeometry,
  ROLE_FOLLOWER,
} from '@ingot/store';
import { describe, expect, test } from 'vitest';
import { mutationRepairsMax } from './checking.ts';
import { Oracle } from './oracle.fixture.ts';
import { Random } from './random.fixture.ts';
import { Wire } from './wire.fixture.ts';

const EPOCH = 1;
const capacityBytes = 8 * 1_048_576;
const planned = planGeometry({ partitions: 1, capacityBytes, capacityMaxBytes: capacityBytes });
const geometry = { ...planned, ringBytes: 262_144 };
const settleStepsMax = 100_000;

/** A primary and one follower, connected by a wire that moves when told. */
class Pair {
  readonly primary: Partition = attachPartition(createPartition(geometry, 0));
  readonly copy: Partition = attachPartition(createPartition(geometry, 0));
  readonly random: Random;
  readonly oracle: Oracle;
  readonly #map: PartitionMap = new PartitionMap(this.primary);
  wire: Wire;
  nowMs = 1_000_000;
  /** Whether the copy must equal the primary wherever it is consistent. */
  judging = true;

  constructor(seed: number) {
    this.random = new Random(seed);
    this.primary.promote(EPOCH, this.nowMs);
    this.copy.setRole(ROLE_FOLLOWER, EPOCH);
    for (let i = 0; i < 12; i++) this.set(`key:${i}`, 9_000);
    this.oracle = new Oracle(this.primary);
    this.wire = this.#connect();
    this.settle();
  }

  set(key: string, valueBytes: number): void {
    this.#map.set(Buffer.from(key), Buffer.alloc(valueBytes, this.random.below(256)), this.nowMs);
  }

  /** While the follower is away, more is written than the ring holds; then it comes back. */
  lapAndReconnect(): void {
    this.nowMs += 1_000;
    for (let i = 0; i < 9; i++) this.set('lap', 40_000);
    this.nowMs += 1_000;
    this.oracle.published();
    this.reconnect();
  }

  reconnect(): void {
    this.wire = this.#connect();
  }

  #connect(): Wire {
    return new Wire({ primary: this.primary, copy: this.copy, epoch: EPOCH }, this.random);
  }

  move(steps: number): void {
    for (let i = 0; i < steps; i++) {
      const before = this.copy.consistent() ? this.copy.stats().seq : -1;
      this.wire.step(this.nowMs);
      if (this.wire.dropped !== null) throw new Error(this.wire.dropped);
      const isNew = this.copy.consistent() && this.copy.stats().seq !== before;
      const differs = isNew && this.judging ? this.oracle.differs(this.copy) : null;
      if (differs !== null) throw new Error(differs);
    }
  }

  moveUntil(claim: string, holds: () => boolean): void {
    for (let steps = 0; !holds(); steps++) {
      if (steps === settleStepsMax) throw new Error(`never happened: ${claim}`);
      this.move(1);
    }
  }

  settle(): void {
    this.moveUntil('the copy equals the primary', () => {
      const isCurrent = this.copy.stats().seq === this.primary.stats().seq;
      return isCurrent && this.copy.consistent() && this.copy.checked() && this.wire.quiet;
    });
    expect(this.copy.imageBuffer.equals(this.primary.imageBuffer)).toBe(true);
  }
}

const seeds = [1, 2, 3, 4, 5, 6];
const stops = Array.from({ length: 10 }, (_, i) => i);

describe('resync: a writer stopped between any two steps of a mutation, while a bulk goes by', () => {
  test.each(stops)('stopped at step %i', (stop) => {
    for (const seed of seeds) {
      const pair = new Pair(seed);
      pair.lapAndReconnect();
      pair.move(pair.random.below(40));
      let step = 0;
      pair.primary.onStep = (name) => {
        if (name === 'publish') pair.oracle.published();
        if (step++ === stop) pair.move(1_500);
      };
      pair.set(`key:${seed}`, 9_000);
      pair.set('another', 20_000);
      pair.primary.onStep = null;
      pair.settle();
    }
  });
});

describe('resync: a copy that was cut off', () => {
  test.each(seeds)('in the middle of a bulk it offers its base, and resumes: seed %i', (seed) => {
    const pair = new Pair(seed);
    const base = pair.copy.stats().seq;
    pair.lapAndReconnect();
    pair.moveUntil('a chunk lands', () => pair.copy.offer().stamps.includes(0xffff_ffff));
    expect(pair.copy.offer().base?.seq).toBe(base);
    pair.reconnect();
    pair.settle();
    expect(pair.wire.events[0]).toBe(
      'syncStarted: catch-up, the copy was interrupted in the middle of a bulk',
    );
  });

  test.each(seeds)(
    'in the middle of a repair by bulk it is not streamed to, though the ring would do: seed %i',
    (seed) => {
      const pair = new Pair(seed);
      for (let i = 0; i <= mutationRepairsMax; i++) pair.set(`large:${i}`, 60_000);
      pair.oracle.published();
      pair.settle();
      for (let chunk = 3; chunk < 4 + mutationRepairsMax; chunk++) {
        pair.copy.imageBuffer[chunk * 65_536 + 100] ^= 1;
      }
      pair.copy.setChecked(false);
      pair.judging = false;
      pair.reconnect();
      pair.moveUntil('the repair has begun', () => !pair.copy.consistent());
      pair.judging = true;
      pair.reconnect();
      pair.settle();
      expect(pair.wire.events[0]).toContain('catch-up');
    },
  );
});
