/** A partition as a map of byte keys to byte values: the plain way in, with its own gate handling.
 *
 *  For library users, tests and cold paths; the RESP data plane batches on Partition itself. */
import { StoreError } from './errors.ts';
import { hashKey } from './hash.ts';
import type { Partition } from './partition.ts';
import { OUT_OF_MEMORY, TOO_LARGE } from './writer.ts';

export interface SetOptions {
  /** Unix ms; absent or 0 = never. */
  expiresAtMs?: number;
  /** Only if the key is absent. */
  nx?: boolean;
  /** Only if the key is there. */
  xx?: boolean;
  /** Keep the expiry that the key has. */
  keepTtl?: boolean;
  /** Return the former value. */
  get?: boolean;
}

export interface SetResult {
  /** False when `nx` or `xx` stood in the way. */
  readonly applied: boolean;
  /** The former value, if asked for by `get`; null = there was none. */
  readonly previous: Buffer | null;
}

export interface ScanPage {
  readonly keys: Buffer[];
  /** Bucket to go on with; 0 = complete. */
  readonly cursor: number;
}

export class PartitionMap {
  readonly partition: Partition;

  constructor(partition: Partition) {
    this.partition = partition;
  }

  /** A copy of the value, or null. */
  get(key: Buffer, nowMs: number): Buffer | null {
    const hash = hashKey(key, 0, key.length);
    return this.partition.readStable(() => {
      const ref = this.partition.find(hash, key, 0, key.length, nowMs);
      return ref === 0 ? null : this.#value(ref);
    });
  }

  /** Unix ms at which the key expires, 0 = never, or null when it is absent. */
  expiresAtMs(key: Buffer, nowMs: number): number | null {
    const hash = hashKey(key, 0, key.length);
    return this.partition.readStable(() => {
      const ref = this.partition.find(hash, key, 0, key.length, nowMs);
      return ref === 0 ? null : this.partition.expiresAtMs(ref);
    });
  }

  /** @throws StoreError OUT_OF_MEMORY or VALUE_TOO_LARGE; nothing has changed then. */
  set(key: Buffer, value: Buffer, nowMs: number, options: SetOptions = {}): SetResult {
    const { partition } = this;
    const hash = hashKey(key, 0, key.length);
    partition.enter();
    const ref = partition.find(hash, key, 0, key.length, nowMs);
    const applied = ref === 0 ? options.xx !== true : options.nx !== true;
    const previous = options.get === true && ref !== 0 ? this.#value(ref) : null;
    const kept = options.keepTtl === true && ref !== 0 ? partition.expiresAtMs(ref) : 0;
    const expiresAtMs = options.expiresAtMs ?? kept;
    const outcome = applied
      ? partition.set(hash, key, 0, key.length, value, 0, value.length, expiresAtMs, nowMs)
      : 0;
    partition.leave();
    if (outcome === OUT_OF_MEMORY) throw new StoreError('OUT_OF_MEMORY');
    if (outcome === TOO_LARGE) throw new StoreError('VALUE_TOO_LARGE', `${value.length} bytes`);
    return { applied, previous };
  }

  /** Whether a live key was removed. */
  delete(key: Buffer, nowMs: number): boolean {
    const { partition } = this;
    partition.enter();
    const removed = partition.remove(hashKey(key, 0, key.length), key, 0, key.length, nowMs);
    partition.leave();
    return removed === 1;
  }

  /** Whether the key is there; it now expires at `expiresAtMs`. */
  expire(key: Buffer, expiresAtMs: number, nowMs: number): boolean {
    const { partition } = this;
    const hash = hashKey(key, 0, key.length);
    partition.enter();
    const found = partition.setExpiry(hash, key, 0, key.length, expiresAtMs, nowMs);
    partition.leave();
    return found === 1;
  }

  /** Whether the key was there and had an expiry, which it no longer has. */
  persist(key: Buffer, nowMs: number): boolean {
    const { partition } = this;
    const hash = hashKey(key, 0, key.length);
    partition.enter();
    const ref = partition.find(hash, key, 0, key.length, nowMs);
    const expires = ref !== 0 && partition.expiresAtMs(ref) !== 0;
    if (expires) partition.setExpiry(hash, key, 0, key.length, 0, nowMs);
    partition.leave();
    return expires;
  }

  /** Keys of at least `count` records (fewer at the end) from bucket `cursor` on. Every key that is there all the
   *  while is returned at least once. */
  scan(cursor: number, count: number, nowMs: number): ScanPage {
    const { partition } = this;
    const keys: Buffer[] = [];
    for (let bucket = cursor; ; ) {
      const page = partition.readStable(() => this.#keysOf(bucket, nowMs));
      keys.push(...page.keys);
      bucket = page.cursor;
      if (bucket === 0 || keys.length >= count) return { keys, cursor: bucket };
    }
  }

  #keysOf(bucket: number, nowMs: number): ScanPage {
    const { partition } = this;
    const keys: Buffer[] = [];
    const cursor = partition.scanBucket(bucket, (ref) => {
      if (partition.isAbsent(ref, nowMs)) return;
      const at = partition.keyOffset(ref);
      keys.push(Buffer.from(partition.imageBuffer.subarray(at, at + partition.keyBytes(ref))));
    });
    return { keys, cursor };
  }

  #value(ref: number): Buffer {
    const { partition } = this;
    if (!partition.inRange(ref)) return Buffer.alloc(0); // torn: readEnd will say so
    const value = Buffer.allocUnsafe(partition.valueBytes(ref));
    partition.copyValue(ref, 0, value.length, value, 0);
    return value;
  }
}
