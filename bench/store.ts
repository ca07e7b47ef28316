/** The store alone, without sockets and protocol: nanoseconds of CPU per operation on one thread.
 *    node --conditions=source bench/store.ts [--keys 1000000] [--partitions 1,64] [--value 64]
 *
 *  Keys of 16 bytes in random order. `batched` is what the data plane does: hash all of a batch, touch all buckets,
 *  touch all slots, then execute, so that cache misses overlap. Each figure is the best of the rounds: the machine
 *  has other things to do, and never makes anything faster. */

import { cpuUsage } from 'node:process';
import { parseArgs } from 'node:util';
import {
  attachPartition,
  createPartition,
  hashKey,
  type Partition,
  partitionOfSlot,
  planGeometry,
  Prefetch,
  slotOfKey,
} from '../packages/store/src/index.ts';

const KEY_BYTES = 16;
const BATCH = 16;

const { values } = parseArgs({
  options: {
    keys: { type: 'string', default: '1000000' },
    partitions: { type: 'string', default: '1,64' },
    value: { type: 'string', default: '64' },
    rounds: { type: 'string', default: '4' },
  },
});
const keyCount = Number(values.keys);
const valueBytes = Number(values.value);
const keys = Buffer.alloc(keyCount * KEY_BYTES);
for (let i = 0; i < keyCount; i++) {
  keys.write(`key:${String(i).padStart(12, '0')}`, i * KEY_BYTES, 'latin1');
}
const value = Buffer.alloc(valueBytes, 7);
const nowMs = Date.now();

/** Keeps what is read from being optimized away. */
const junk = { sum: 0 };

function shuffled(count: number): Int32Array {
  const order = Int32Array.from({ length: count }, (_, i) => i);
  let state = 12_345;
  for (let i = count - 1; i > 0; i--) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) | 0;
    const j = (state >>> 1) % (i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

class Bench {
  readonly #parts: Partition[];
  readonly #order: Int32Array = shuffled(keyCount);
  readonly #batchHashes = new Int32Array(BATCH);
  readonly #batchIds = new Int16Array(BATCH);
  readonly #prefetch = new Prefetch(BATCH);

  constructor(partitions: number) {
    const geometry = planGeometry({ partitions, capacityBytes: 1 << 29 });
    this.#parts = Array.from({ length: partitions }, (_, id) => {
      const partition = attachPartition(createPartition(geometry, id));
      partition.promote(1, nowMs);
      return partition;
    });
  }

  #partitionOf(at: number): Partition {
    return this.#parts[partitionOfSlot(slotOfKey(keys, at, KEY_BYTES), this.#parts.length)];
  }

  hash(): void {
    for (const i of this.#order) {
      const at = i * KEY_BYTES;
      junk.sum ^= hashKey(keys, at, KEY_BYTES) ^ this.#partitionOf(at).id;
    }
  }

  set(): void {
    for (const i of this.#order) {
      const at = i * KEY_BYTES;
      this.#setOne(this.#partitionOf(at), hashKey(keys, at, KEY_BYTES), at);
    }
  }

  get(): void {
    for (const i of this.#order) {
      const at = i * KEY_BYTES;
      this.#getOne(this.#partitionOf(at), hashKey(keys, at, KEY_BYTES), at);
    }
  }

  setBatched(): void {
    this.#batched((partition, hash, at) => this.#setOne(partition, hash, at));
  }

  getBatched(): void {
    this.#batched((partition, hash, at) => this.#getOne(partition, hash, at));
  }

  remove(): void {
    for (const i of this.#order) {
      const at = i * KEY_BYTES;
      const partition = this.#partitionOf(at);
      partition.enter();
      partition.remove(hashKey(keys, at, KEY_BYTES), keys, at, KEY_BYTES, nowMs);
      partition.leave();
    }
  }

  #setOne(partition: Partition, hash: number, at: number): void {
    partition.enter();
    partition.set(hash, keys, at, KEY_BYTES, value, 0, valueBytes, 0, nowMs);
    partition.leave();
  }

  #getOne(partition: Partition, hash: number, at: number): void {
    for (;;) {
      const token = partition.readBegin();
      const ref = partition.find(hash, keys, at, KEY_BYTES, nowMs);
      const seen = partition.imageBuffer[partition.valueOffset(ref)] ^ partition.valueBytes(ref);
      if (!partition.readEnd(token)) continue;
      junk.sum ^= seen;
      partition.mark(ref);
      return;
    }
  }

  #batched(execute: (partition: Partition, hash: number, at: number) => void): void {
    for (let from = 0; from + BATCH <= keyCount; from += BATCH) {
      const order = this.#order;
      for (let j = 0; j < BATCH; j++) {
        const at = order[from + j] * KEY_BYTES;
        this.#batchIds[j] = this.#partitionOf(at).id;
        this.#batchHashes[j] = hashKey(keys, at, KEY_BYTES);
      }
      this.#prefetch.run(this.#parts, this.#batchIds, this.#batchHashes, BATCH);
      for (let j = 0; j < BATCH; j++) {
        const partition = this.#parts[this.#batchIds[j]];
        execute(partition, this.#batchHashes[j], order[from + j] * KEY_BYTES);
      }
    }
  }
}

function nanoseconds(run: () => void): number {
  const before = cpuUsage();
  run();
  const { user, system } = cpuUsage(before);
  return ((user + system) * 1_000) / keyCount;
}

for (const partitions of values.partitions.split(',').map(Number)) {
  const bench = new Bench(partitions);
  const passes: [string, () => void][] = [
    ['set', () => bench.set()],
    ['set, batched', () => bench.setBatched()],
    ['get', () => bench.get()],
    ['get, batched', () => bench.getBatched()],
    ['hash and slot alone', () => bench.hash()],
  ];
  const best = new Map([['insert', nanoseconds(() => bench.set())]]);
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [name, pass] of passes) {
      best.set(name, Math.min(best.get(name) ?? Number.POSITIVE_INFINITY, nanoseconds(pass)));
    }
  }
  best.set(
    'remove',
    nanoseconds(() => bench.remove()),
  );
  console.log(`${partitions} partitions, ${keyCount} keys, values of ${valueBytes} bytes`);
  for (const [name, ns] of best) console.log(`  ${name.padEnd(22)}${ns.toFixed(0).padStart(6)} ns`);
}
