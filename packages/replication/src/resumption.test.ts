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
import type { ResumptionPlace } from './resumption.ts';
import { Wire } from './wire.fixture.ts';

const EPOCH = 1;
const settleStepsMax = 400_000;
const capacityBytes = 8 * 1_048_576;
const planned = planGeometry({ partitions: 1, capacityBytes, capacityMaxBytes: capacityBytes });
const geometry = { ...planned, ringBytes: 262_144 };
const filled = 40;

const created = (): Partition => attachPartition(createPartition(geometry, 0));

/** A joiner with nothing, whose sources fail again and again: the primary, and a follower that lags behind it. */
class Joining {
  readonly primary: Partition = created();
  readonly relay: Partition = created();
  readonly joiner: Partition = created();
  readonly random: Random;
  readonly events = new Set<string>();
  readonly #resumption: ResumptionPlace = { current: null };
  readonly #map: PartitionMap;
  readonly #oracle: Oracle;
  readonly #toRelay: Wire;
  #toJoiner: Wire;
  #chunkBytes = 0;
  #nowMs = 1_000_000;
  /** Drawn where null. */
  nextIsRelay: boolean | null;
  relayMoves = true;

  constructor(seed: number, firstIsRelay: boolean | null = null) {
    this.nextIsRelay = firstIsRelay;
    this.random = new Random(seed);
    this.primary.promote(EPOCH, this.#nowMs);
    this.relay.setRole(ROLE_FOLLOWER, EPOCH);
    this.joiner.setRole(ROLE_FOLLOWER, EPOCH);
    this.#map = new PartitionMap(this.primary);
    this.#oracle = new Oracle(this.primary);
    for (let i = 0; i < filled; i++) this.write(`fill:${i}`, 60_000);
    this.#nowMs += 1_000;
    this.write('the first of a generation', 8);
    const ends = { primary: this.primary, copy: this.relay, epoch: EPOCH };
    this.#toRelay = new Wire(ends, this.random);
    while (!this.relay.consistent()) this.#toRelay.step(this.#nowMs);
    this.#toJoiner = this.#connect();
  }

  /** Of all its sources. */
  get chunkBytes(): number {
    return this.#chunkBytes + this.#toJoiner.chunkBytes;
  }

  /** Generations last 100 ms. */
  write(key: string, bytes: number): void {
    this.#nowMs += this.random.below(30);
    this.#map.set(Buffer.from(key), Buffer.alloc(bytes, this.random.below(256)), this.#nowMs);
    this.#oracle.published();
  }

  /** The relay gets its redo now and then, the joiner what it is sent. */
  move(steps: number): void {
    for (let i = 0; i < steps; i++) {
      if (this.relayMoves && this.random.chance(0.2)) this.#toRelay.step(this.#nowMs);
      this.#toJoiner.step(this.#nowMs);
      this.#judge();
    }
  }

  fail(): void {
    for (const event of this.#toJoiner.events) this.events.add(event);
    this.#chunkBytes += this.#toJoiner.chunkBytes;
    this.#toJoiner = this.#connect();
  }

  settle(): void {
    for (let steps = 0; !this.joiner.consistent(); steps++) {
      if (steps === settleStepsMax) throw new Error('the joiner does not settle');
      this.move(1);
    }
    this.fail();
  }

  /** Its first chunks are handed over. */
  get hasBegun(): boolean {
    return this.#toJoiner.events.includes('BEGIN');
  }

  /** The primary says who is next, and how far that one has to be. */
  #connect(): Wire {
    const relay = this.nextIsRelay ?? this.random.chance(0.5);
    const at = {
      primary: relay ? this.relay : this.primary,
      atLeastSeq: relay ? this.primary.stats().seq : 0,
    };
    const joiner = { copy: this.joiner, epoch: EPOCH, relay, resumption: this.#resumption };
    return new Wire({ ...joiner, ...at }, this.random);
  }

  #judge(): void {
    const { dropped } = this.#toJoiner;
    if (dropped !== null) throw new Error(dropped);
    if (!this.joiner.consistent()) return;
    const differs = this.#oracle.differs(this.joiner);
    if (differs !== null) throw new Error(`the joiner differs: ${differs}`);
  }
}

const seeds = Array.from({ length: 24 }, (_, i) => i + 1);

describe('a copy whose source fails goes on elsewhere with what has landed', () => {
  const events = new Set<string>();

  test.each(seeds)('seed %i: it never differs where it is consistent, and arrives', (seed) => {
    const joining = new Joining(seed);
    for (let i = 0; i < 60 && !joining.joiner.consistent(); i++) {
      if (joining.random.chance(0.5)) {
        const isFill = joining.random.chance(0.3);
        if (isFill) joining.write(`fill:${joining.random.below(filled)}`, 60_000);
        else joining.write(`key:${joining.random.below(60)}`, joining.random.below(800));
      }
      joining.move(joining.random.below(120));
      if (joining.random.chance(0.12)) joining.fail();
    }
    joining.settle();
    for (const event of joining.events) events.add(event);
  });

  test('the seeds together saw copies that went on', () => {
    const wentOn = 'syncStarted: catch-up, the copy was interrupted in the middle of a bulk';
    expect([...events]).toEqual(expect.arrayContaining([wentOn]));
  });

  test('bytes that landed may be newer than a source: it has to be as far as the primary', () => {
    const joining = new Joining(5, false);
    joining.relayMoves = false;
    while (!joining.hasBegun) joining.move(1);
    // Its bytes land before its redo, and the source fails in between.
    joining.write('newer', 8);
    while (joining.joiner.stamps[0] === 0) joining.move(1);
    expect(joining.joiner.stats().seq).toBeLessThan(joining.primary.stats().seq);
    joining.nextIsRelay = true;
    joining.fail();
    joining.move(3_000);
    expect(joining.joiner.consistent()).toBe(false);
    joining.relayMoves = true;
    joining.settle();
  });

  test('nothing is sent twice where nobody writes', () => {
    const joining = new Joining(7);
    const imageBytes = joining.primary.chunksTouched() * 65_536;
    const fails = 4;
    for (let i = 0; i < fails; i++) {
      joining.move(250);
      expect(joining.joiner.consistent()).toBe(false);
      joining.fail();
    }
    joining.settle();
    expect(joining.events.has('syncStarted: full, the copy is empty')).toBe(true);
    // Two batches were on their way when a source failed, and a few chunks have the generation of R0.
    const again = 3 * 262_144;
    expect(joining.chunkBytes).toBeLessThan(imageBytes + fails * again);
  });
});
