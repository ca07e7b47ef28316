/** One copy of one partition on one simulated node, and what is known of it from outside.
 *
 *  `judge` compares its image with the history it follows, at every consistent point. Chunks in which a bit was
 *  flipped on purpose are `tainted` until they are seen to be right again: they are not claimed about, but for
 *  this: a copy with a chunk that was flipped on its way must not count as checked. */
import type { ResumptionPlace } from '@ingot/replication';
import {
  attachPartition,
  CHUNK_BYTES,
  createPartition,
  type Geometry,
  type Partition,
  ROLE_FOLLOWER,
  ROLE_PRIMARY,
} from '@ingot/store';
import type { Random } from '../../packages/replication/src/random.fixture.ts';
import { Reader } from './reader.ts';
import type { Gate, Thread } from './scheduler.ts';
import type { Timeline } from './timeline.ts';
import { Broken, type Trace } from './trace.ts';

/** What a copy needs to know of its node. */
export interface CopyHost {
  readonly id: string;
  clockMs(): number;
  /** The highest clock of all nodes, ever. */
  latestClockMs(): number;
}

/** Compared with the truth at every judgement, beside what has changed since the last one. */
const moreChunksPerJudgement = 2;

export class SimCopy {
  readonly partition: Partition;
  readonly node: CopyHost;
  readonly trace: Trace;
  readonly gate: Gate = { held: false };
  readonly writer: Thread;
  readonly reader: Reader;
  /** What it follows or leads; null before it ever was consistent. */
  timeline: Timeline | null = null;
  /** Chunks in which a bit was flipped, and that were not seen right since. */
  readonly tainted = new Map<number, 'on the way' | 'in memory'>();
  /** A bit was flipped in its memory: until a repair or a bulk its scratch may be wrong as well. */
  memoryFlipped = false;
  /** A CHECKED frame came since the last BEGIN. */
  passedChecks = false;
  /** Seq from which on it may be consistent; infinite between BEGIN and END. */
  consistentFrom = Number.POSITIVE_INFINITY;
  inTransaction = false;
  /** What it has got of a first bulk. */
  readonly resumption: ResumptionPlace = { current: null };
  #expected: Buffer | null = null;
  #expectedSeq = -1;
  #nextChunk = 0;

  constructor(
    node: CopyHost,
    partition: number,
    geometry: Geometry,
    { trace, random, writer }: { trace: Trace; random: Random; writer: Thread },
  ) {
    this.node = node;
    this.trace = trace;
    this.writer = writer;
    this.partition = attachPartition(createPartition(geometry, partition));
    this.reader = new Reader(this, random);
  }

  get name(): string {
    return `${this.node.id}/${this.partition.id}`;
  }

  get leads(): boolean {
    return this.partition.role() === ROLE_PRIMARY;
  }

  get promotable(): boolean {
    const { partition } = this;
    return partition.role() === ROLE_FOLLOWER && partition.consistent() && partition.checked();
  }

  /** Nothing was flipped in it that was not repaired since. */
  get whole(): boolean {
    return this.tainted.size === 0 && !this.memoryFlipped;
  }

  /** BEGIN: bytes land from now on. */
  bulkBegins(): void {
    this.memoryFlipped = this.tainted.size > 0; // the bulk may leave that chunk out
    this.passedChecks = false;
    this.consistentFrom = Number.POSITIVE_INFINITY;
    this.#expected = null;
    this.reader.forget();
  }

  /** It takes up another history, or its own end of one. */
  follow(timeline: Timeline): void {
    if (timeline !== this.timeline) this.#expected = null;
    this.timeline = timeline;
  }

  /** Called whenever the copy may have moved, outside of passages. */
  judge(everything = false): void {
    const { partition } = this;
    if (this.leads) return;
    const { seq } = partition.stats();
    this.#judgeWords(seq);
    if (!partition.consistent() || this.timeline === null) return;
    const stands = seq === this.#expectedSeq && this.#expected !== null;
    if (stands && !everything) return;
    const isWhole = this.timeline.isWhole(seq);
    if (!isWhole) throw new Broken('transaction', `${this.name} stands inside one, at seq ${seq}`);
    const changed = this.#expect(seq);
    if (changed === null) return;
    this.trace.count('consistent points');
    const chunks = everything ? [...Array(partition.geometry.chunkCount).keys()] : changed;
    for (const chunk of [...chunks, ...this.tainted.keys()]) this.#compare(chunk, seq);
  }

  #judgeWords(seq: number): void {
    const { partition } = this;
    if (partition.consistent() && seq < this.consistentFrom) {
      const from = this.consistentFrom;
      throw new Broken('readable', `${this.name} at seq ${seq}, consistent from ${from} on`);
    }
    if (!partition.checked()) return;
    if (!partition.consistent() || !this.passedChecks) {
      throw new Broken('promotable', `${this.name} at seq ${seq}`);
    }
  }

  /** Moves the expected image to `seq`. Returns chunks to compare; null where the truth is not known any more. */
  #expect(seq: number): Iterable<number> | null {
    const { timeline, partition } = this;
    if (timeline === null) return null;
    if (seq > timeline.nowSeq) {
      throw new Broken('equal', `${this.name} is at seq ${seq}, its primary at ${timeline.nowSeq}`);
    }
    const chunks = new Set<number>();
    const { chunkCount } = partition.geometry;
    while (this.#expected !== null && this.#expectedSeq < seq) {
      if (timeline.redo(this.#expected, ++this.#expectedSeq, chunks)) continue;
      this.#expected = null;
    }
    if (this.#expected === null) {
      this.#expected = timeline.imageAt(seq);
      this.#expectedSeq = seq;
      return this.#expected === null ? null : Array.from({ length: chunkCount }, (_, i) => i);
    }
    for (let i = 0; i < moreChunksPerJudgement; i++) chunks.add(this.#nextChunk++ % chunkCount);
    return chunks;
  }

  #compare(chunk: number, seq: number): void {
    const expected = this.#expected;
    if (expected === null) return;
    const from = chunk * CHUNK_BYTES;
    const to = from + CHUNK_BYTES;
    if (this.partition.imageBuffer.compare(expected, from, to, from, to) === 0) {
      if (this.tainted.delete(chunk)) this.trace.count('flipped chunks that came right again');
      return;
    }
    if (this.tainted.has(chunk)) return;
    const at = this.partition.imageBuffer
      .subarray(from, to)
      .findIndex((byte, i) => byte !== expected[from + i]);
    const epoch = this.timeline?.epoch ?? 0;
    throw new Broken(
      'equal',
      `${this.name} at seq ${seq} of epoch ${epoch}: chunk ${chunk} differs from byte ${at} on`,
    );
  }

  /** A CHECK pass over the last bulk has passed, says the primary. */
  checksPassed(): void {
    this.passedChecks = true;
    this.judge(true);
    for (const [chunk, where] of this.tainted) {
      if (where === 'in memory') continue;
      throw new Broken('promotable', `${this.name}: chunk ${chunk} was flipped on its way`);
    }
  }
}
