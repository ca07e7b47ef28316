/** Random interleavings of a writer, a sender and a follower, micro-step by micro-step, in one thread.
 *
 *  The writer is the real store: its `onStep` hook, between the steps of every mutation, lets the connection move while
 *  the gate is odd and the image half written. Small ring, large values: the sender is lapped often. Connections are
 *  cut anywhere and come back with what the copy offers.
 *  Checked at every consistent point: the copy equals, byte for byte, what the primary was at that seq; and at the
 *  end, at rest: the copy equals the primary, and `verify` finds both sound. A failure names its seed. */
import {
  attachPartition,
  createPartition,
  hashKey,
  type Partition,
  PartitionMap,
  planGeometry,
  ROLE_FOLLOWER,
} from '@ingot/store';
import { Oracle } from './oracle.fixture.ts';
import { Random } from './random.fixture.ts';
import { Wire } from './wire.fixture.ts';

const EPOCH = 1;
const ringBytes = 262_144;
const keyCount = 80;
/** Micro-steps of the connection inside a passage, between two of its steps, and between two writes. */
const insideStepsMax = 4;
const betweenStepsMax = 60;
/** Now and then a writer is stopped for so long that whole passes of a bulk go by. */
const burstStepsMax = 300;
const stalledWritesMax = 70;
/** Micro-steps after the last write within which the copy must have settled. */
const settleStepsMax = 200_000;

export interface InterleavedRun {
  consistentPoints: number;
  cuts: number;
  /** How often the primary did what. */
  readonly events: Map<string, number>;
}

export interface RunOptions {
  readonly seed: number;
  readonly writes: number;
}

/** @throws Error that names the seed and the broken claim. */
export function runInterleaved(options: RunOptions): InterleavedRun {
  const run = new Interleaver(options);
  try {
    return run.go();
  } catch (error) {
    throw new Error(`seed ${options.seed}: ${(error as Error).message}`, { cause: error });
  }
}

class Interleaver {
  readonly #random: Random;
  readonly #writes: number;
  readonly #primary: Partition;
  readonly #map: PartitionMap;
  readonly #copy: Partition;
  readonly #oracle: Oracle;
  readonly #outcome: InterleavedRun = { consistentPoints: 0, cuts: 0, events: new Map() };
  #wire: Wire;
  #nowMs = 1_000_000;
  #judgedSeq = -1;
  /** Writes during which the connection does not move: this is how it gets lapped. */
  #stalledWrites = 0;
  #sweepCursor = 0;

  constructor({ seed, writes }: RunOptions) {
    this.#random = new Random(seed);
    this.#writes = writes;
    const capacityBytes = 8 * 1_048_576;
    const planned = planGeometry({ partitions: 1, capacityBytes, capacityMaxBytes: capacityBytes });
    const geometry = { ...planned, ringBytes };
    this.#primary = attachPartition(createPartition(geometry, 0));
    this.#copy = attachPartition(createPartition(geometry, 0));
    this.#map = new PartitionMap(this.#primary);
    this.#primary.promote(EPOCH, this.#nowMs);
    this.#copy.setRole(ROLE_FOLLOWER, EPOCH);
    this.#oracle = new Oracle(this.#primary);
    this.#wire = this.#connect();
  }

  go(): InterleavedRun {
    for (let i = 0; i < 40; i++) this.#write();
    this.#primary.onStep = (step) => {
      if (step === 'publish') this.#oracle.published();
      this.#move(this.#random.chance(0.05) ? burstStepsMax : insideStepsMax);
    };
    for (let i = 0; i < this.#writes; i++) {
      this.#write();
      this.#oracle.published();
      this.#move(betweenStepsMax);
      if (this.#random.chance(this.#copy.consistent() ? 0.02 : 0.04)) this.#cut();
      if (this.#random.chance(0.02)) this.#stalledWrites = this.#random.below(stalledWritesMax);
    }
    this.#primary.onStep = null;
    this.#settle();
    this.#countEvents();
    return this.#outcome;
  }

  // ------------------------------------------------------------ writer

  #write(): void {
    this.#nowMs += this.#random.below(30);
    if (this.#stalledWrites > 0) this.#stalledWrites--;
    const choice = this.#random.next();
    const key = this.#key();
    if (choice < 0.7) this.#map.set(key, this.#value(), this.#nowMs);
    else if (choice < 0.8) this.#map.delete(key, this.#nowMs);
    else if (choice < 0.85)
      this.#map.expire(key, this.#nowMs + this.#random.below(500), this.#nowMs);
    else if (choice < 0.95) this.#writeTransaction();
    else if (choice < 0.99)
      this.#sweepCursor = this.#primary.sweep(this.#sweepCursor, 8, this.#nowMs);
    else this.#flush();
  }

  #writeTransaction(): void {
    const count = 2 + this.#random.below(4);
    this.#primary.enter();
    this.#primary.beginTransaction();
    for (let i = 0; i < count; i++) {
      const [key, value] = [this.#key(), this.#value()];
      const hash = hashKey(key, 0, key.length);
      this.#primary.set(hash, key, 0, key.length, value, 0, value.length, 0, this.#nowMs);
    }
    this.#primary.endTransaction();
    this.#primary.leave();
  }

  #flush(): void {
    this.#primary.enter();
    this.#primary.flush(this.#nowMs);
    this.#primary.leave();
  }

  #key(): Buffer {
    return Buffer.from(`key:${this.#random.below(keyCount)}`);
  }

  /** Mostly small; now and then large enough for a few of them to fill the ring. */
  #value(): Buffer {
    const bytes = this.#random.chance(0.25) ? this.#random.below(60_000) : this.#random.below(800);
    return Buffer.alloc(bytes, this.#random.below(256));
  }

  // ------------------------------------------------------------ connection

  #connect(): Wire {
    return new Wire({ primary: this.#primary, copy: this.#copy, epoch: EPOCH }, this.#random);
  }

  #cut(): void {
    this.#countEvents();
    this.#outcome.cuts++;
    this.#wire = this.#connect();
  }

  #countEvents(): void {
    const { events } = this.#outcome;
    for (const event of this.#wire.events) events.set(event, (events.get(event) ?? 0) + 1);
  }

  #move(stepsMax: number): void {
    if (this.#stalledWrites > 0) return;
    for (let steps = this.#random.below(stepsMax); steps > 0; steps--) this.#moveOnce();
  }

  #moveOnce(): void {
    const wasConsistent = this.#copy.consistent();
    this.#wire.step(this.#nowMs);
    if (this.#wire.dropped !== null)
      throw new Error(`the connection was dropped: ${this.#wire.dropped}`);
    const { seq } = this.#copy.stats();
    if (!this.#copy.consistent() || (wasConsistent && seq === this.#judgedSeq)) return;
    this.#judgedSeq = seq;
    const differs = this.#oracle.differs(this.#copy);
    if (differs !== null) throw new Error(differs);
    this.#oracle.forgetBefore(seq);
    this.#outcome.consistentPoints++;
  }

  /** No more writes: the copy must become equal, checked and sound. */
  #settle(): void {
    this.#stalledWrites = 0;
    for (let steps = 0; !this.#isSettled(); steps++) {
      if (steps === settleStepsMax) throw new Error('the copy does not settle');
      this.#moveOnce();
    }
    if (!this.#copy.imageBuffer.equals(this.#primary.imageBuffer))
      throw new Error('the images differ');
    const broken = this.#primary.verify() ?? this.#copy.verify();
    if (broken !== null) throw new Error(broken);
  }

  #isSettled(): boolean {
    const isCurrent = this.#copy.stats().seq === this.#primary.stats().seq;
    return isCurrent && this.#copy.consistent() && this.#copy.checked() && this.#wire.quiet;
  }
}
