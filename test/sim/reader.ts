/** A reader of one copy, all the time: goes through the store's read protocol in small steps, between any two of which
 *  anything may happen, the middle of a passage included.
 *
 *  What it saw counts if the gate did not move. Then every value must be whole, as it was at the seq of the copy, keys
 *  of a group must be of one transaction, and no key may be older than it was seen before. */
import { newStableView, ROLE_NONE } from '@ingot/store';
import type { Random } from '../../packages/replication/src/random.fixture.ts';
import {
  GROUPS,
  type Key,
  KEYS,
  keysOfGroup,
  SINGLE_KEYS,
  stampOf,
  VALUE_BYTES_MAX,
} from './keys.ts';
import type { SimCopy } from './copy.ts';
import { Broken } from './trace.ts';

/** What was read of one key. `bytes` -1 = absent. */
interface Look {
  readonly key: Key;
  readonly bytes: number;
  readonly value: Buffer;
}

interface Reading {
  readonly token: number;
  readonly seq: number;
  readonly keys: readonly Key[];
  readonly looks: Look[];
  /** Of the key at hand: its value, half read. */
  half: { ref: number; bytes: number; value: Buffer } | null;
}

export class Reader {
  readonly #copy: SimCopy;
  readonly #random: Random;
  readonly #view = newStableView();
  readonly #seen = new Map<number, number>();
  #reading: Reading | null = null;
  #lastSeq = 0;

  constructor(copy: SimCopy, random: Random) {
    this.#copy = copy;
    this.#random = random;
  }

  /** The copy takes another course: keys may go back. */
  forget(): void {
    this.#seen.clear();
    this.#lastSeq = 0;
  }

  step(): void {
    if (this.#reading === null) this.#begin();
    else if (this.#reading.looks.length < this.#reading.keys.length) this.#look(this.#reading);
    else this.#end(this.#reading);
  }

  #begin(): void {
    const { partition } = this.#copy;
    if (!partition.tryStable(this.#view)) return;
    const token = partition.readBegin();
    const { seq, role, consistent } = this.#view;
    if (role === ROLE_NONE || !consistent) return;
    const choice = this.#random.below(KEYS.length);
    const keys =
      choice < SINGLE_KEYS ? [KEYS[choice]] : keysOfGroup((choice - SINGLE_KEYS) % GROUPS);
    this.#reading = { token, seq, keys, looks: [], half: null };
  }

  /** One half of one value. */
  #look(reading: Reading): void {
    const { partition, node } = this.#copy;
    const key = reading.keys[reading.looks.length];
    if (reading.half === null) {
      const ref = partition.find(key.hash, key.bytes, 0, key.bytes.length, node.clockMs());
      if (ref === 0 || !partition.inRange(ref)) {
        reading.looks.push({ key, bytes: -1, value: Buffer.alloc(0) });
        return;
      }
      const bytes = partition.valueBytes(ref);
      const value = Buffer.alloc(Math.min(bytes, VALUE_BYTES_MAX));
      partition.copyValue(ref, 0, value.length >>> 1, value, 0);
      reading.half = { ref, bytes, value };
      return;
    }
    const { ref, bytes, value } = reading.half;
    const middle = value.length >>> 1;
    partition.copyValue(ref, middle, value.length - middle, value, middle);
    reading.half = null;
    reading.looks.push({ key, bytes, value });
  }

  #end(reading: Reading): void {
    const { partition, trace } = this.#copy;
    this.#reading = null;
    if (!partition.readEnd(reading.token)) {
      trace.count('reads that a passage disturbed');
      return;
    }
    // Until it is repaired, what was flipped in its memory or on its way may be seen, and is not claimed about.
    if (this.#copy.tainted.size > 0) return;
    trace.count('reads');
    this.#judge(reading);
  }

  #judge({ seq, looks }: Reading): void {
    const where = `${this.#copy.name} at seq ${seq}`;
    if (seq < this.#lastSeq) throw new Broken('forward', `${where}, after ${this.#lastSeq}`);
    this.#lastSeq = seq;
    const stamps = looks.map(({ key, bytes, value }) => {
      if (bytes === -1) return -1;
      const stamp = stampOf(value, key, bytes);
      if (stamp === -1) throw new Broken('written', `${where}: ${key.name} is torn`);
      return stamp;
    });
    const present = new Set(stamps.filter((stamp) => stamp !== -1));
    if (present.size > 1) {
      throw new Broken('transaction', `${where}: stamps ${[...present].join(', ')} of one group`);
    }
    looks.forEach(({ key }, i) => this.#judgeKey(where, key, stamps[i], seq));
  }

  #judgeKey(where: string, key: Key, stamp: number, seq: number): void {
    const before = this.#seen.get(key.index) ?? -1;
    if (stamp !== -1 && stamp < before) {
      throw new Broken('forward', `${where}: ${key.name} was ${before}, is ${stamp} again`);
    }
    if (stamp !== -1) this.#seen.set(key.index, stamp);
    const expected = this.#copy.timeline?.keyAt(key.index, seq) ?? null;
    if (expected === null) return;
    if (stamp === expected.stamp) return;
    const mayHaveExpired =
      expected.expiresAtMs !== 0 && expected.expiresAtMs <= this.#copy.node.latestClockMs();
    if (stamp === -1 && mayHaveExpired) return;
    throw new Broken('written', `${where}: ${key.name} is ${stamp}, was ${expected.stamp}`);
  }
}
