/** What BITOP makes of long values, a little at a time: each source is copied, then combined into the result. */

import { Buffer } from 'node:buffer';
import type { CopyMaking, Making } from '../serving/value-scan.ts';
import { piece, PIECE_BYTES, pieceWords } from './value-pieces.ts';

/** Combines words of `pieceWords` into those from `at` on. */
export type Combine = (into: Int32Array, at: number, words: number) => void;

const NOTHING: Buffer = Buffer.alloc(0);

export class BitopMaking implements Making {
  /** Null: there is no such key, and zeros stand for its value. */
  private readonly sources: readonly (CopyMaking | null)[];
  private readonly bytes: number;
  private readonly words: Int32Array;
  private readonly combine: Combine;
  /** BITOP NOT, of one source. */
  private readonly inverts: boolean;
  /** The source that has its turn, and how far it is combined; -1: it is being copied. */
  private source = 0;
  private at = -1;

  /** `combine`: for all sources but the first. */
  constructor(
    sources: readonly (CopyMaking | null)[],
    bytes: number,
    combine: Combine,
    inverts: boolean,
  ) {
    this.inverts = inverts;
    this.sources = sources;
    this.bytes = bytes;
    this.words = new Int32Array((bytes + 3) >>> 2);
    this.combine = combine;
  }

  get value(): Buffer {
    return Buffer.from(this.words.buffer, 0, this.bytes);
  }

  step(): 'more' | 'made' | 'changed' {
    const source = this.sources[this.source];
    if (this.at === -1) {
      const state = source?.step() ?? 'made';
      if (state === 'made') this.at = 0;
      return state === 'changed' ? state : 'more';
    }
    this.combineNext(source?.value ?? NOTHING);
    if (this.at < this.bytes) return 'more';
    this.at = -1;
    this.source++;
    return this.source === this.sources.length ? 'made' : 'more';
  }

  private combineNext(value: Buffer): void {
    const wanted = Math.min(PIECE_BYTES, this.bytes - this.at);
    const copied = this.at < value.length ? value.copy(piece, 0, this.at, this.at + wanted) : 0;
    const end = (wanted + 3) & ~3;
    piece.fill(0, copied, end);
    const [at, words] = [this.at >>> 2, end >>> 2];
    if (this.source === 0) this.words.set(pieceWords.subarray(0, words), at);
    else this.combine(this.words, at, words);
    if (this.inverts) for (let i = at; i < at + words; i++) this.words[i] = ~this.words[i];
    this.at += wanted;
  }
}
