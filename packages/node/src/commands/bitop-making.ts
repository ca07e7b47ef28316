/** What BITOP makes of long values, a little at a time: each source is copied, then combined into the result.
 *
 *  Bound: it has one copy at a time beside the result, and asks the worker's allowance for both before it begins; where
 *  it is given nothing for WAIT_MS_MAX it begins all the same, because who holds the rest may wait for it. */

import { Buffer } from 'node:buffer';
import type { Allowance, Holder } from '../serving/allowance.ts';
import type { CopyMaking, Making } from '../serving/value-scan.ts';
import { piece, PIECE_BYTES, pieceWords } from './value-pieces.ts';

/** Combines words of `pieceWords` into those from `at` on. */
export type Combine = (into: Int32Array, at: number, words: number) => void;

const NOTHING: Buffer = Buffer.alloc(0);
export const WAIT_MS_MAX = 5_000;
/** One that is begun is stepped in every turn. */
export const DEAD_MS = 1_000;

/** What it asks. */
export interface MakingHost {
  readonly allowance: Allowance;
  monotonicMs(): number;
}

/** Its share of the allowance. Nobody says that a making is not wanted any more: it is not stepped, and its memory is
 *  free by itself, so this does not refer to it. */
class Share implements Holder {
  private readonly host: MakingHost;
  private readonly bytes: number;
  private steppedAtMs = 0;
  private askedAtMs = 0;
  private state: 'none' | 'asked' | 'given' = 'none';

  constructor(host: MakingHost, bytes: number) {
    this.host = host;
    this.bytes = bytes;
  }

  /** Called at each step: whether it may do anything. */
  mayStep(): boolean {
    const { allowance } = this.host;
    this.steppedAtMs = this.host.monotonicMs();
    if (this.state === 'none') {
      this.askedAtMs = this.steppedAtMs;
      this.state = 'asked';
      const given = (): void => void (this.state = 'given');
      if (allowance.ask(this, this.bytes, given)) given();
    }
    return this.state === 'given' || this.steppedAtMs - this.askedAtMs >= WAIT_MS_MAX;
  }

  free(): void {
    this.host.allowance.free(this);
  }

  isStalled(nowMs: number): boolean {
    return nowMs - this.steppedAtMs > DEAD_MS;
  }

  endStalled(): void {
    this.state = 'none';
    this.free();
  }
}

export class BitopMaking implements Making {
  /** Null: there is no such key, and zeros stand for its value. */
  private readonly sources: (CopyMaking | null)[];
  private readonly bytes: number;
  private readonly share: Share;
  /** Null before the first step. */
  private words: Int32Array | null = null;
  private readonly combine: Combine;
  /** BITOP NOT, of one source. */
  private readonly inverts: boolean;
  /** The source that has its turn, and how far it is combined; -1: it is being copied. */
  private source = 0;
  private at = -1;

  /** `combine`: for all sources but the first. */
  constructor(
    host: MakingHost,
    sources: readonly (CopyMaking | null)[],
    bytes: number,
    combine: Combine,
    inverts: boolean,
  ) {
    this.inverts = inverts;
    this.sources = [...sources];
    this.bytes = bytes;
    this.share = new Share(host, 2 * bytes);
    this.combine = combine;
  }

  get value(): Buffer {
    return Buffer.from((this.words as Int32Array).buffer as ArrayBuffer, 0, this.bytes);
  }

  step(): 'more' | 'made' | 'changed' {
    if (!this.share.mayStep()) return 'more';
    const state = this.proceed();
    if (state !== 'more') this.share.free();
    return state;
  }

  private proceed(): 'more' | 'made' | 'changed' {
    this.words ??= new Int32Array((this.bytes + 3) >>> 2);
    const source = this.sources[this.source];
    if (this.at === -1) {
      const state = source?.step() ?? 'made';
      if (state === 'made') this.at = 0;
      return state === 'changed' ? state : 'more';
    }
    this.combineNext(this.words, source?.value ?? NOTHING);
    if (this.at < this.bytes) return 'more';
    this.at = -1;
    this.sources[this.source] = null;
    this.source++;
    return this.source === this.sources.length ? 'made' : 'more';
  }

  private combineNext(into: Int32Array, value: Buffer): void {
    const wanted = Math.min(PIECE_BYTES, this.bytes - this.at);
    const copied = this.at < value.length ? value.copy(piece, 0, this.at, this.at + wanted) : 0;
    const end = (wanted + 3) & ~3;
    piece.fill(0, copied, end);
    const [at, words] = [this.at >>> 2, end >>> 2];
    if (this.source === 0) into.set(pieceWords.subarray(0, words), at);
    else this.combine(into, at, words);
    if (this.inverts) for (let i = at; i < at + words; i++) into[i] = ~into[i];
    this.at += wanted;
  }
}
