/** Snapshot mode alone: a partition, its follower, and a node that takes snapshots of whoever leads; the product's machines
 *  and store, over links of which every piece is a step.
 *
 *  Readers of the snapshots look at the board when they like, and hold on to what they found until they look again. Between
 *  any two steps each must find one whole round there: the image that was published, byte for byte, with transactions whole
 *  or absent. Links are cut anywhere, primaries are replaced in the middle of rounds, some by followers that lack writes. */
import {
  attachPartition,
  createPartition,
  hashKey,
  type Partition,
  planGeometry,
  ROLE_FOLLOWER,
} from '@ingot/store';
import { SnapshotBoard, SnapshotRounds } from '@ingot/replication';
import { crc32 } from 'node:zlib';
import { Oracle } from '../../../packages/replication/src/oracle.fixture.ts';
import { Random } from '../../../packages/replication/src/random.fixture.ts';
import { Wire } from '../../../packages/replication/src/wire.fixture.ts';
import { Broken, Trace } from '../trace.ts';

const capacityBytes = 8 * 1_048_576;
const planned = planGeometry({ partitions: 1, capacityBytes, capacityMaxBytes: capacityBytes });
/** A ring that some dozens of writes fill: rounds of chunks are as frequent as those of redo. */
const geometry = { ...planned, ringBytes: 262_144 };
const everyMs = 250;
const stepMs = 3;
const readerCount = 2;
const pairCount = 12;
const valueBytesMax = 30_000;
const writingShares = [0.02, 0.08, 0.3];
const startMs = 1_000_000;
const settleStepsMax = 60_000;

interface Key {
  readonly bytes: Buffer;
  readonly hash: number;
}

const keyOf = (name: string): Key => {
  const bytes = Buffer.from(name);
  return { bytes, hash: hashKey(bytes, 0, bytes.length) };
};
const pairs = Array.from({ length: pairCount }, (_, i) => [
  keyOf(`left:${i}`),
  keyOf(`right:${i}`),
]);

/** What a reader holds on to. */
interface Held {
  readonly image: Partition;
  readonly seq: number;
  readonly crc: number;
}

interface Copy {
  readonly partition: Partition;
  oracle: Oracle;
}

const created = (): Partition => attachPartition(createPartition(geometry, 0));
const crcOf = (image: Partition): number =>
  crc32(image.imageBuffer.subarray(0, image.chunksTouched() * 65_536));

export class SnapshotRun {
  readonly world: { trace: Trace; elapsedMs: number; scheduler: { eventCount: number } };
  readonly #random: Random;
  readonly #board = SnapshotBoard.create(1, readerCount);
  readonly #rounds = new SnapshotRounds(everyMs);
  readonly #images: readonly [Partition, Partition] = [created(), created()];
  readonly #held: (Held | null)[] = Array.from({ length: readerCount }, () => null);
  /** Of the image that is current: what it was when it was published. */
  #published: Held | null = null;
  #version = 0;
  #epoch = 1;
  #primary: Copy;
  #follower: Copy;
  #replica: Wire;
  #round: Wire | null = null;
  #stalled = 0;
  /** So many steps the follower gets nothing, and falls behind the snapshots. */
  #replicaStalled = 0;
  #stamp = 0;
  #healed = false;
  /** How likely a step is to write. */
  #writing = 0;
  readonly #value = Buffer.alloc(valueBytesMax);

  constructor(seed: number, print: ((line: string) => void) | null) {
    this.world = { trace: new Trace(print), elapsedMs: 0, scheduler: { eventCount: 0 } };
    this.#random = new Random(seed);
    const [a, b] = [created(), created()];
    a.promote(this.#epoch, this.#nowMs);
    b.setRole(ROLE_FOLLOWER, this.#epoch);
    this.#primary = { partition: a, oracle: new Oracle(a) };
    this.#follower = { partition: b, oracle: new Oracle(b) };
    this.#replica = this.#follow();
  }

  async run(simulatedMs: number): Promise<void> {
    while (this.world.elapsedMs < simulatedMs) {
      this.#healed = false;
      this.#writing = writingShares[this.#random.below(writingShares.length)];
      const untilMs = this.world.elapsedMs + 500 + this.#random.below(4_000);
      while (this.world.elapsedMs < untilMs) this.#step();
      this.#healed = true;
      this.#settle();
    }
  }

  get #nowMs(): number {
    return startMs + this.world.elapsedMs;
  }

  #step(): void {
    this.world.elapsedMs += stepMs;
    this.world.scheduler.eventCount++;
    const random = this.#random;
    if (!this.#healed) {
      if (random.chance(this.#writing)) this.#write();
      if (random.chance(0.004)) this.#replica = this.#follow();
      if (random.chance(0.006)) this.#interrupt('the link was cut');
      if (random.chance(0.003)) this.#stalled = random.below(400);
      if (random.chance(0.004)) this.#replicaStalled = random.below(400);
      if (random.chance(0.003)) this.#fail();
    }
    if (this.#replicaStalled > 0) this.#replicaStalled--;
    else for (let i = random.below(20); i > 0; i--) this.#moveReplica();
    for (let i = random.below(24); i > 0; i--) this.#moveRound();
    this.#tick();
    for (let reader = 0; reader < readerCount; reader++) {
      if (random.chance(this.#healed ? 0.2 : 0.03)) this.#look(reader);
      this.#judge(reader);
    }
  }

  // ------------------------------------------------------------ those who are copied

  /** A pair in one transaction, or one key alone. */
  #write(): void {
    const { partition, oracle } = this.#primary;
    const random = this.#random;
    const pair = pairs[random.below(pairCount)];
    const isGone = random.chance(0.1);
    const bytes = 8 + random.below(random.chance(0.2) ? valueBytesMax - 8 : 600);
    this.#stamp++;
    partition.enter();
    partition.beginTransaction();
    for (const key of pair) {
      this.#value.writeUInt32LE(this.#stamp, 0);
      this.#value.fill(this.#stamp & 0xff, 4, bytes);
      const { hash, bytes: name } = key;
      if (isGone) partition.remove(hash, name, 0, name.length, this.#nowMs);
      else partition.set(hash, name, 0, name.length, this.#value, 0, bytes, 0, this.#nowMs);
    }
    partition.endTransaction();
    partition.leave();
    oracle.published();
  }

  #follow(): Wire {
    const ends = { primary: this.#primary.partition, copy: this.#follower.partition };
    return new Wire({ ...ends, epoch: this.#epoch }, this.#random);
  }

  #moveReplica(): void {
    this.#replica.step(this.#nowMs);
    if (this.#replica.dropped !== null) this.#replica = this.#follow();
  }

  /** The follower leads from here on, with what it has. */
  #fail(): void {
    const next = this.#follower;
    if (!next.partition.consistent()) return;
    this.#count(
      next.partition.stats().seq < this.#primary.partition.stats().seq
        ? 'primaries lost, with writes'
        : 'primaries lost',
    );
    this.#epoch++;
    this.#follower = this.#primary;
    this.#follower.partition.setRole(ROLE_FOLLOWER, this.#epoch);
    next.partition.promote(this.#epoch, this.#nowMs);
    next.oracle = new Oracle(next.partition);
    this.#primary = next;
    this.#replica = this.#follow();
    this.#interrupt('another primary');
  }

  // ------------------------------------------------------------ the node that takes snapshots

  #tick(): void {
    const isSpare = this.#board.allHaveSeen(this.#version);
    const actions = this.#rounds.step({ kind: 'tick', isReachable: true, isSpare }, this.#nowMs);
    for (const { image } of actions) {
      const copy = this.#images[image];
      copy.setRole(ROLE_FOLLOWER, this.#epoch);
      const ends = { primary: this.#primary.partition, copy, epoch: this.#epoch, snapshot: true };
      this.#round = new Wire(ends, this.#random);
      this.#note(`round begins, image ${image}`);
    }
  }

  #moveRound(): void {
    const round = this.#round;
    if (round === null) return;
    if (this.#stalled > 0) {
      this.#stalled--;
      return;
    }
    round.step(this.#nowMs);
    if (round.roundEnded) this.#end(round);
    else if (round.dropped !== null) this.#interrupt(round.dropped);
    for (let reader = 0; reader < readerCount; reader++) this.#judgeMarks(reader);
  }

  #interrupt(why: string): void {
    if (this.#round === null) return;
    this.#countKinds(this.#round, 'interrupted');
    this.#round = null;
    this.#perform(this.#rounds.step({ kind: 'interrupted' }, this.#nowMs));
    this.#note(`round interrupted: ${why}`);
  }

  #end(round: Wire): void {
    this.#countKinds(round, 'ended');
    this.#round = null;
    this.#perform(this.#rounds.step({ kind: 'ended' }, this.#nowMs));
  }

  #perform(actions: ReturnType<SnapshotRounds['step']>): void {
    for (const { kind, image: index } of actions) {
      if (kind !== 'publish') continue;
      const image = this.#images[index];
      if (!image.consistent())
        throw new Broken('readable', `image ${index} is published in a bulk`);
      const differs = this.#primary.oracle.differs(image);
      if (differs !== null) throw new Broken('equal', `image ${index}: ${differs}`);
      const broken = image.verify();
      if (broken !== null) throw new Broken('sound', `image ${index}: ${broken}`);
      this.#published = { image, seq: image.stats().seq, crc: crcOf(image) };
      this.#version = this.#board.publish(0, index, this.#nowMs);
      this.#note(`image ${index} is published, seq ${this.#published.seq}`);
    }
  }

  // ------------------------------------------------------------ readers

  #look(reader: number): void {
    const version = this.#board.version();
    const index = this.#board.current(0);
    if (index === 0 || index === 1) {
      this.#held[reader] = this.#published;
      if (this.#published?.image !== this.#images[index]) {
        throw new Broken('wholeRound', 'the board names what was published last');
      }
    }
    this.#board.saw(reader, version);
  }

  /** After every piece that lands: cheap. */
  #judgeMarks(reader: number): void {
    const held = this.#held[reader];
    if (held === null) return;
    const { image, seq } = held;
    if (image.consistent() && image.stats().seq === seq) return;
    throw new Broken('wholeRound', `a reader of seq ${seq} finds ${image.stats().seq}`);
  }

  #judge(reader: number): void {
    const held = this.#held[reader];
    if (held === null) return;
    this.#judgeMarks(reader);
    const pair = pairs[this.#random.below(pairCount)];
    const [left, right] = pair.map((key) => this.#stampOf(held.image, key));
    if (left !== right) throw new Broken('transaction', `stamps ${left} and ${right} of one pair`);
    if (this.#random.chance(0.02) && crcOf(held.image) !== held.crc) {
      throw new Broken('wholeRound', `bytes of seq ${held.seq} have changed under a reader`);
    }
    this.#count('reads');
  }

  /** -1: absent. */
  #stampOf(image: Partition, { hash, bytes }: Key): number {
    const ref = image.find(hash, bytes, 0, bytes.length, this.#nowMs);
    return ref === 0 ? -1 : image.imageBuffer.readUInt32LE(image.valueOffset(ref));
  }

  // ------------------------------------------------------------ healing

  /** Nobody writes: a round ends that is the primary, byte for byte, and every reader comes to see it. */
  #settle(): void {
    const { partition } = this.#primary;
    this.#stalled = 0;
    this.#replicaStalled = 0;
    for (let steps = 0; !this.#isSettled(); steps++) {
      if (steps > settleStepsMax) {
        const { seq } = partition.stats();
        throw new Broken('settles', `no reader sees seq ${seq} after ${steps} steps`);
      }
      this.#step();
    }
    for (const held of this.#held) {
      if (held?.image.imageBuffer.equals(partition.imageBuffer)) continue;
      throw new Broken('equal', 'at rest a snapshot is the primary, byte for byte');
    }
    this.#count('healings');
  }

  #isSettled(): boolean {
    const { seq } = this.#primary.partition.stats();
    return this.#held.every((held) => held?.seq === seq);
  }

  #countKinds(round: Wire, how: string): void {
    const kinds = round.events.filter((event) => event.startsWith('syncStarted'));
    this.#count(`rounds ${how}, ${kinds.at(-1)?.slice('syncStarted: '.length) ?? 'not begun'}`);
  }

  #count(what: string): void {
    this.world.trace.count(what);
  }

  #note(what: string): void {
    this.world.trace.note(this.world.elapsedMs, what);
  }
}
