/** Faults to be planted into a thread of a hammer: each leaves out one rule that keeps threads apart. They change the
 *  prototypes of that thread's own modules, so other threads stay as they are. */
import { hashKey, type Int64, Partition, PartitionMap, type Pin } from '@ingot/store';
import { PartitionState } from '../../packages/store/src/partition-state.ts';
import { Slab } from '../../packages/store/src/slab.ts';
import { TypedMap } from '../../packages/store/src/typed-map.ts';
import type { HammerTask } from './hammer.ts';
import type { Claim } from './run.ts';

type Does = Partial<Pick<HammerTask, 'does' | 'key'>>;

export interface Fault {
  /** The rule. */
  readonly breaks: string;
  /** What may be the first to notice. */
  readonly claims: readonly Claim[];
  /** Not only in the first thread, but in all: then they keep the same pace. */
  readonly everywhere?: boolean;
  /** What the thread with the fault does, and what the others do. */
  readonly faulty: Does;
  readonly others: readonly Does[];
  /** Of each thread, at most: what is seen by order alone is judged only at the end. */
  readonly calls: number;
  plant(): void;
}

const UNTIL_SEEN = 1_000_000;
const TO_BE_JUDGED = 2_000;

const asleep = new Int32Array(new SharedArrayBuffer(4));
const LAG_MS = 0.1;

/** Lets others by, so that they meet the fault soon. */
const lag = (): unknown => Atomics.wait(asleep, 0, 0, LAG_MS);

const find = (partition: Partition, key: Uint8Array, nowMs: number): number =>
  partition.find(hashKey(key, 0, key.length), key, 0, key.length, nowMs);

export const FAULTS: Readonly<Record<string, Fault>> = {
  readerTrustsItsFirstLook: {
    breaks: 'a reader looks at the gate again before it trusts what it read',
    claims: ['torn', 'order'],
    faulty: { does: 'reads', key: 'middle' },
    others: [{ does: 'writes', key: 'middle' }],
    calls: UNTIL_SEEN,
    plant() {
      PartitionState.prototype.readEnd = () => true;
      const copyValue: Partition['copyValue'] = Reflect.get(Partition.prototype, 'copyValue');
      Partition.prototype.copyValue = function (ref, from, bytes, target, at): number {
        const half = copyValue.call(this, ref, from, bytes >>> 1, target, at);
        lag();
        return half + copyValue.call(this, ref, from + half, bytes - half, target, at + half);
      };
    },
  },
  writerSkipsTheGate: {
    breaks: 'a writer goes through the gate',
    claims: ['torn', 'pinned', 'order'],
    faulty: { does: 'writes', key: 'middle' },
    others: [{ does: 'reads', key: 'middle' }],
    calls: UNTIL_SEEN,
    plant() {
      PartitionState.prototype.enter = () => {};
      PartitionState.prototype.leave = () => {};
    },
  },
  writerIgnoresPins: {
    breaks: 'a writer leaves the bytes alone that are pinned',
    // Chunks that a large write fills are pinned, too.
    claims: ['pinned', 'torn'],
    faulty: { does: 'writes' },
    others: [{ does: 'reads' }],
    calls: UNTIL_SEEN,
    plant() {
      Slab.prototype.isPinned = () => false;
    },
  },
  pinTrustsItsFirstLook: {
    breaks: 'whoever pins looks at the gate again afterwards',
    claims: ['torn', 'pinned', 'order'],
    faulty: { does: 'reads', key: 'middle' },
    others: [{ does: 'writes', key: 'middle' }],
    calls: UNTIL_SEEN,
    plant() {
      PartitionMap.prototype.pin = function (key: Uint8Array, nowMs: number): Pin | null {
        const ref = find(this.partition, key, nowMs);
        lag();
        return ref === 0 ? null : this.partition.values.pinInside(ref, nowMs);
      };
    },
  },
  incrementReadsOutside: {
    breaks: 'a counter is read in the passage that writes it',
    claims: ['lost', 'order'],
    faulty: { key: 'count' },
    others: [{ key: 'count' }],
    everywhere: true,
    calls: TO_BE_JUDGED,
    plant() {
      PartitionMap.prototype.increment = function (key: Uint8Array, by: Int64, nowMs): Int64 {
        const sum = Number(this.get(key, nowMs) ?? '0') + Number(by);
        lag();
        this.set(key, Buffer.from(String(sum)), nowMs);
        return sum;
      };
    },
  },
  fieldIsAddedToOutside: {
    breaks: 'a field is read in the passage that adds to it',
    claims: ['order'],
    faulty: { key: 'record' },
    others: [{ key: 'record' }],
    everywhere: true,
    calls: TO_BE_JUDGED,
    plant() {
      const increment = function (this: TypedMap<never>, key: string, name: never, by: bigint) {
        const value: unknown = this.read(key, name);
        if (value === null) return null;
        const sum = (value as bigint) + by;
        lag();
        this.write(key, name, sum as never);
        return sum;
      };
      TypedMap.prototype.increment = increment as typeof TypedMap.prototype.increment;
    },
  },
  swapComparesOutside: {
    breaks: 'compareAndSet compares in the passage that sets',
    claims: ['order'],
    faulty: { key: 'counter' },
    others: [{ key: 'counter' }],
    everywhere: true,
    calls: TO_BE_JUDGED,
    plant() {
      PartitionMap.prototype.compareAndSet = function (key, expected, next, nowMs): boolean {
        const value = this.get(key, nowMs);
        const applies = expected === null ? value === null : value?.equals(expected) === true;
        lag();
        if (applies) this.set(key, next, nowMs);
        return applies;
      };
    },
  },
};
