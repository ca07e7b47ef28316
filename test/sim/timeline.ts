/** The truth of one epoch: what its primary's image was after every mutation, and what every key was.
 *
 *  Watches the image from outside of all code under test: after each published seq it compares the image with its
 *  own copy and keeps the blocks that differ, before and after, so that the image at any recent seq can be had by
 *  going forward or back. A promotion forks: the child goes on from the seq of the copy that was promoted, whatever
 *  else its parent wrote.
 *  Bounded: the newest `deltasMax` mutations of an epoch are kept. */
import { CHUNK_BYTES, type Partition } from '@ingot/store';
import { Broken } from './trace.ts';

const blockBytes = 512;
export const deltasMax = 6_000;

interface Delta {
  /** Ends a transaction: a copy may stand here. */
  whole: boolean;
  readonly blocks: readonly number[];
  readonly before: Buffer;
  readonly after: Buffer;
}

/** What one key was from `seq` on. `stamp` -1 = absent. */
export interface KeyVersion {
  readonly seq: number;
  readonly stamp: number;
  readonly expiresAtMs: number;
}

const ABSENT: KeyVersion = { seq: 0, stamp: -1, expiresAtMs: 0 };
const keyVersionsMax = 400;

export class Timeline {
  readonly epoch: number;
  readonly forkSeq: number;
  /** Epochs that led here, newest last. */
  readonly lineage: readonly number[];
  readonly now: Buffer;
  nowSeq: number;
  #parent: Timeline | null;
  #stamps = new Uint32Array(0);
  #generation = 0;
  readonly #stamped = new Set<number>();
  #nextChunk = 0;
  readonly #deltas = new Map<number, Delta>();
  readonly #keys = new Map<number, KeyVersion[]>();
  /** Keys whose oldest versions are gone. */
  readonly #forgotten = new Set<number>();

  /** `image` at `forkSeq`. Without a parent: a partition that begins anew. */
  constructor(epoch: number, parent: Timeline | null, forkSeq: number, image: Buffer) {
    this.epoch = epoch;
    this.#parent = parent;
    this.forkSeq = forkSeq;
    this.lineage = [...(parent?.lineage ?? []).slice(-63), epoch];
    this.now = Buffer.from(image);
    this.nowSeq = forkSeq;
  }

  /** The partition's image is that of the next seq now. */
  published(partition: Partition, whole: boolean): void {
    const { seq } = partition.stats();
    if (seq !== this.nowSeq + 1) {
      throw new Broken('outside', `seq ${seq} was published after ${this.nowSeq}`);
    }
    const blocks: number[] = [];
    const { imageBuffer } = partition;
    for (const chunk of this.#chunksToLookAt(partition)) {
      const at = chunk * CHUNK_BYTES;
      const known = blocks.length;
      differingBlocks(imageBuffer, this.now, at, CHUNK_BYTES, blocks);
      if (blocks.length > known && !this.#stamped.has(chunk)) {
        throw new Broken('outside', `chunk ${chunk} changed up to seq ${seq} without a stamp`);
      }
    }
    const before = Buffer.allocUnsafe(blocks.length * blockBytes);
    const after = Buffer.allocUnsafe(blocks.length * blockBytes);
    blocks.forEach((at, i) => {
      this.now.copy(before, i * blockBytes, at, at + blockBytes);
      imageBuffer.copy(after, i * blockBytes, at, at + blockBytes);
      imageBuffer.copy(this.now, at, at, at + blockBytes);
    });
    this.#deltas.set(seq, { whole, blocks, before, after });
    this.#deltas.delete(seq - deltasMax);
    this.nowSeq = seq;
    if (this.#parent !== null && seq - this.forkSeq > deltasMax) this.#parent = null;
  }

  /** Those of the generation that stamps now, in turn two others, which must not have changed. */
  #chunksToLookAt({ stamps }: Partition): Iterable<number> {
    const changed = stamps.findIndex((stamp, chunk) => stamp !== this.#stamps[chunk]);
    if (changed !== -1) this.#generation = stamps[changed];
    this.#stamps = stamps.slice();
    this.#stamped.clear();
    stamps.forEach((stamp, chunk) => {
      if (stamp === this.#generation) this.#stamped.add(chunk);
    });
    const chunks = new Set(this.#stamped);
    for (let i = 0; i < 2; i++) chunks.add(this.#nextChunk++ % stamps.length);
    return chunks;
  }

  /** The newest mutation ends its transaction after all. */
  endTransaction(): void {
    const delta = this.#deltas.get(this.nowSeq);
    if (delta !== undefined) delta.whole = true;
  }

  /** Whether a copy may stand at `seq`: between transactions. */
  isWhole(seq: number): boolean {
    if (seq <= this.forkSeq) return this.#parent?.isWhole(seq) ?? true;
    return this.#deltas.get(seq)?.whole ?? true;
  }

  /** Takes an image from seq - 1 to seq. Chunks that changed are added to `chunks`. */
  redo(image: Buffer, seq: number, chunks: Set<number>): boolean {
    const delta = this.#delta(seq);
    if (delta === null) return false;
    delta.blocks.forEach((at, i) => {
      delta.after.copy(image, at, i * blockBytes, (i + 1) * blockBytes);
      chunks.add(Math.floor(at / CHUNK_BYTES));
    });
    return true;
  }

  /** The image at `seq`; null where that is too long ago. */
  imageAt(seq: number): Buffer | null {
    const image = Buffer.from(this.now);
    for (let at = this.nowSeq; at > seq; at--) {
      const delta = this.#delta(at);
      if (delta === null) return null;
      delta.blocks.forEach((block, i) => {
        delta.before.copy(image, block, i * blockBytes, (i + 1) * blockBytes);
      });
    }
    return image;
  }

  sharesEpochWith(other: Timeline): boolean {
    return this.lineage.some((epoch) => other.lineage.includes(epoch));
  }

  #delta(seq: number): Delta | null {
    if (seq <= this.forkSeq) return this.#parent === null ? null : this.#parent.#delta(seq);
    return this.#deltas.get(seq) ?? null;
  }

  // ------------------------------------------------------------ keys

  keyChanged(key: number, stamp: number, expiresAtMs: number): void {
    let versions = this.#keys.get(key);
    if (versions === undefined) this.#keys.set(key, (versions = []));
    versions.push({ seq: this.nowSeq, stamp, expiresAtMs });
    if (versions.length <= keyVersionsMax) return;
    versions.splice(0, keyVersionsMax / 2);
    this.#forgotten.add(key);
  }

  /** What the key was at `seq`; null where that is too long ago to know. */
  keyAt(key: number, seq: number): KeyVersion | null {
    const versions = this.#keys.get(key) ?? [];
    for (let i = versions.length - 1; i >= 0; i--) if (versions[i].seq <= seq) return versions[i];
    if (this.#forgotten.has(key) && seq > this.forkSeq) return null;
    if (this.#parent !== null) return this.#parent.keyAt(key, Math.min(seq, this.forkSeq));
    return this.lineage.length === 1 ? ABSENT : null;
  }
}

/** Halves what differs until it is a block. */
function differingBlocks(a: Buffer, b: Buffer, at: number, bytes: number, blocks: number[]): void {
  if (a.compare(b, at, at + bytes, at, at + bytes) === 0) return;
  if (bytes === blockBytes) {
    blocks.push(at);
    return;
  }
  differingBlocks(a, b, at, bytes / 2, blocks);
  differingBlocks(a, b, at + bytes / 2, bytes / 2, blocks);
}
