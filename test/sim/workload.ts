/** Clients of the simulated cluster: every copy that believes it leads is written to, fast and slowly by turns.
 *
 *  Sets and deletes of single keys, expiries, transactions over the keys of a group, sweeps, now and then a flush. Some
 *  values take more than a chunk: their passages lie among those of the other writes, and whatever else happens. */
import { type LargeWrite, SET_OK } from '@ingot/store';
import type { SimCopy } from './copy.ts';
import {
  fillValue,
  GROUPS,
  type Key,
  KEYS,
  keysOfGroup,
  SINGLE_KEYS,
  VALUE_BYTES_MAX,
  VALUE_BYTES_MIN,
} from './keys.ts';
import type { World } from './world.ts';

/** Pauses between two writes, how many of twenty moods choose them, and how long such a mood lasts at most. */
const PACES: readonly (readonly [gapMs: number, share: number, msMax: number])[] = [
  [0.4, 1, 500],
  [5, 3, 1_500],
  [40, 7, 4_000],
  [250, 5, 6_000],
  [2_000, 4, 8_000],
];

const LARGE_BYTES_MIN = 66_000;

export class Workload {
  readonly #world: World;
  /** Cleared while the cluster comes to rest. */
  writing = true;
  #gapMs = 30;
  #moodUntilMs = 0;
  #stamp = 0;
  readonly #larges = new Map<SimCopy, { write: LargeWrite; value: Buffer; key: Key }>();

  constructor(world: World) {
    this.#world = world;
    world.onLead = (copy) => this.#writeSoon(copy, 1);
  }

  /** Clients write as fast as they can for a while. */
  burst(ms: number): void {
    this.#gapMs = 0.2;
    this.#moodUntilMs = this.#world.scheduler.nowMs + ms;
  }

  #writeSoon(copy: SimCopy, delayMs: number): void {
    const { scheduler } = this.#world;
    scheduler.after(delayMs, copy.writer, () => this.#turn(copy), copy.gate);
  }

  #turn(copy: SimCopy): void {
    if (!copy.leads) return;
    const { random } = this.#world;
    if (!this.writing) return this.#writeSoon(copy, 50 + random.below(100));
    this.write(copy);
    this.#writeSoon(copy, this.#gap() * (0.2 + 1.6 * random.next()));
  }

  #gap(): number {
    const { scheduler, random } = this.#world;
    if (scheduler.nowMs < this.#moodUntilMs) return this.#gapMs;
    let left = random.below(20);
    for (const [gapMs, share, msMax] of PACES) {
      left -= share;
      if (left >= 0) continue;
      this.#gapMs = gapMs;
      this.#moodUntilMs = scheduler.nowMs + random.below(msMax);
      break;
    }
    return this.#gapMs;
  }

  // ------------------------------------------------------------ one write

  write(copy: SimCopy): void {
    const { partition } = copy;
    const { random, trace } = this.#world;
    const nowMs = copy.node.clockMs();
    const choice = random.next();
    trace.count('writes');
    const key = this.#otherThanLarge(copy, random.below(SINGLE_KEYS));
    if (this.#larges.has(copy) && random.chance(0.4)) this.#writeLarge(copy, nowMs);
    else if (choice < 0.02) this.#beginLarge(copy, key);
    else if (choice < 0.62) this.#passage(copy, () => this.#set(copy, key, nowMs));
    else if (choice < 0.7) {
      this.#passage(copy, () => partition.remove(key.hash, key.bytes, 0, key.bytes.length, nowMs));
    } else if (choice < 0.76) {
      const atMs = nowMs + random.below(4_000);
      this.#passage(copy, () =>
        partition.setExpiry(key.hash, key.bytes, 0, key.bytes.length, atMs, nowMs),
      );
    } else if (choice < 0.96) this.#passage(copy, () => this.#transaction(copy, nowMs));
    else if (choice < 0.995) partition.sweep(0, 32, nowMs);
    else this.#passage(copy, () => partition.flush(nowMs));
    const { seq } = partition.stats();
    this.#world.note(`${copy.name} written, seq ${seq}`);
    this.#world.nodeOf(copy).wake(partition.id);
  }

  /** The value under way has its stamp already: a later one of its key, published before it, would seem to go back. */
  #otherThanLarge(copy: SimCopy, index: number): Key {
    const isTaken = this.#larges.get(copy)?.key.index === index;
    return KEYS[isTaken ? (index + 1) % SINGLE_KEYS : index];
  }

  /** Sets one key to one value of a size; for scenarios. */
  setKey(copy: SimCopy, key: Key, bytes: number): void {
    this.#passage(copy, () => this.#put(copy, key, ++this.#stamp, bytes, copy.node.clockMs()));
    this.#world.nodeOf(copy).wake(copy.partition.id);
  }

  #passage(copy: SimCopy, body: () => void): void {
    copy.partition.enter();
    body();
    copy.partition.leave();
  }

  #set(copy: SimCopy, key: Key, nowMs: number): void {
    this.#put(copy, key, ++this.#stamp, this.#size(), nowMs);
  }

  #transaction(copy: SimCopy, nowMs: number): void {
    const { partition, timeline } = copy;
    const { random } = this.#world;
    const keys = keysOfGroup(random.below(GROUPS));
    const removes = random.chance(0.1);
    const stamp = ++this.#stamp;
    copy.inTransaction = true;
    partition.beginTransaction();
    for (const key of keys) {
      if (removes) partition.remove(key.hash, key.bytes, 0, key.bytes.length, nowMs);
      else this.#put(copy, key, stamp, this.#size() >>> 1, nowMs);
    }
    partition.endTransaction();
    copy.inTransaction = false;
    timeline?.endTransaction();
  }

  #beginLarge(copy: SimCopy, key: Key): void {
    if (this.#larges.has(copy)) return;
    const { random } = this.#world;
    const size = LARGE_BYTES_MIN + random.below(VALUE_BYTES_MAX - LARGE_BYTES_MIN);
    const { values } = copy.partition;
    const write = values.beginLarge(key.hash, key.bytes, 0, key.bytes.length, size);
    if (typeof write === 'number') return;
    const value = Buffer.allocUnsafe(size);
    fillValue(value, key, ++this.#stamp, size);
    this.#larges.set(copy, { write, value, key });
  }

  /** One passage of a value that takes a few; the last publishes it. */
  #writeLarge(copy: SimCopy, nowMs: number): void {
    const { trace, random } = this.#world;
    const large = this.#larges.get(copy);
    if (large === undefined) return;
    const { write, value } = large;
    const left = value.length - write.written;
    if (random.chance(0.03)) write.abort(nowMs);
    else if (left > 0) write.write(value, write.written, left, nowMs);
    else if (write.publish(0, nowMs) === SET_OK) trace.count('large values published');
    if (write.isOpen) return;
    if (left > 0) trace.count('large values given up');
    this.#larges.delete(copy);
  }

  #put(copy: SimCopy, key: Key, stamp: number, bytes: number, nowMs: number): void {
    const size = Math.max(bytes, VALUE_BYTES_MIN);
    const value = Buffer.allocUnsafe(size);
    fillValue(value, key, stamp, size);
    const { partition } = copy;
    partition.set(key.hash, key.bytes, 0, key.bytes.length, value, 0, size, 0, nowMs);
  }

  /** Mostly small, of a few classes; now and then large enough for a few of them to fill the ring. */
  #size(): number {
    const { random } = this.#world;
    const choice = random.next();
    if (choice < 0.6) return 20 + random.below(120);
    if (choice < 0.85) return 1_500 + random.below(500);
    if (choice < 0.95) return 12_000 + random.below(4_000);
    return 40_000 + random.below(20_000);
  }
}
