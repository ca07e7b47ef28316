import { Buffer } from 'node:buffer';
import { COPY_MORE, COPY_WHOLE, type ValueCopy } from '@ingot/store';
import { describe, expect, it } from 'vitest';
import { Allowance, type Holder } from '../serving/allowance.ts';
import { CopyMaking } from '../serving/value-scan.ts';
import { BitopMaking, DEAD_MS, WAIT_MS_MAX } from './bitop-making.ts';
import { PIECE_BYTES, pieceWords } from './value-pieces.ts';

const BYTES = 2 * PIECE_BYTES + 5;

/** BITOP XOR of values of one byte each, over and over. */
class Bitop {
  readonly allowance: Allowance = new Allowance(2 * BYTES);
  nowMs = 0;
  readonly making: BitopMaking;
  private readonly sources: readonly CopyMaking[];

  constructor(values: readonly number[]) {
    this.sources = values.map(
      (value) =>
        new CopyMaking(() => {
          const states = [COPY_MORE, COPY_WHOLE];
          const copy = { seq: 1, value: Buffer.alloc(BYTES, value), step: () => states.shift() };
          return copy as unknown as ValueCopy;
        }, 1),
    );
    const host = { allowance: this.allowance, monotonicMs: () => this.nowMs };
    const xor = (into: Int32Array, at: number, words: number): void => {
      for (let i = 0; i < words; i++) into[at + i] ^= pieceWords[i];
    };
    this.making = new BitopMaking(host, this.sources, BYTES, xor, false);
  }

  /** Copies that it refers to. */
  get copies(): number {
    const { sources } = this.making as unknown as { sources: ({ copy: unknown } | null)[] };
    return sources.filter((source) => source !== null && source.copy !== null).length;
  }

  /** Steps to the end, and says how many copies it had at most. */
  run(): number {
    let most = 0;
    while (this.making.step() === 'more') {
      most = Math.max(most, this.copies);
      expect(this.allowance.bytes).toBe(2 * BYTES);
    }
    return most;
  }
}

const other: Holder = { isStalled: () => false, endStalled: () => {} };

describe('BITOP of long values', () => {
  it('has one copy at a time, and its share of the allowance until it is made', () => {
    const bitop = new Bitop([1, 2, 4, 8]);
    expect(bitop.run()).toBe(1);
    expect(bitop.copies).toBe(0);
    expect(bitop.making.value).toEqual(Buffer.alloc(BYTES, 15));
    expect(bitop.allowance.bytes).toBe(0);
  });

  it('begins once the allowance has room', () => {
    const bitop = new Bitop([1, 2]);
    bitop.allowance.ask(other, BYTES, () => {});
    for (let i = 0; i < 10; i++) expect(bitop.making.step()).toBe('more');
    expect(bitop.copies).toBe(0);
    bitop.allowance.free(other);
    expect(bitop.run()).toBe(1);
    expect(bitop.making.value).toEqual(Buffer.alloc(BYTES, 3));
    expect(bitop.allowance.bytes).toBe(0);
  });

  it('begins all the same where who holds the rest does not end, and asks no longer then', () => {
    const bitop = new Bitop([1, 2]);
    bitop.allowance.ask(other, BYTES, () => {});
    expect(bitop.making.step()).toBe('more');
    bitop.nowMs = WAIT_MS_MAX;
    while (bitop.making.step() === 'more');
    expect(bitop.making.value).toEqual(Buffer.alloc(BYTES, 3));
    bitop.allowance.free(other);
    expect(bitop.allowance.bytes).toBe(0);
  });

  it('that nobody steps any more gives its share to others, and asks anew if it is', () => {
    const bitop = new Bitop([1, 2]);
    const { allowance } = bitop;
    expect(bitop.making.step()).toBe('more');
    let granted = false;
    allowance.ask(other, BYTES, () => (granted = true));
    expect(allowance.stalled(DEAD_MS)).toEqual([]);
    for (const each of allowance.stalled(DEAD_MS + 1)) each.endStalled();
    expect(granted).toBe(true);
    expect(allowance.bytes).toBe(BYTES);
    allowance.free(other);
    expect(bitop.run()).toBe(1);
    expect(bitop.making.value).toEqual(Buffer.alloc(BYTES, 3));
  });
});
