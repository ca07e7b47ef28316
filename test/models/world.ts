/** One run of a model: a shared map, the oracle that says what each of its calls must return, a follower that is fed by redo
 *  alone, and an image of some earlier moment to which the redo since is replayed. */
import { strict as assert } from 'node:assert';
import {
  attachPartition,
  CHUNK_BYTES,
  createMap,
  type LargeWrite,
  type Partition,
  type Pin,
  REDO_TXN_END,
  type SharedMap,
  StoreError,
  type TypedMap,
} from '@ingot/store';
import {
  assertEqualCopies,
  newFollower,
  RingReader,
} from '../../packages/store/src/pair.fixture.ts';
import { Oracle } from './oracle.ts';
import { Quote, Rate } from './records.ts';
import { replay } from './replay.ts';

const MIB = 2 ** 20;
const CAPACITY_BYTES = 8 * MIB;
/** A quarter of the partition: the most that there is. */
export const VALUE_MAX_BYTES: number = CAPACITY_BYTES / 4;
/** Of values, pinned bytes and large writes under way together: nothing is ever refused for lack of memory. */
const LIVE_BYTES_MAX = 4.5 * MIB;

interface HeldPin {
  readonly pin: Pin;
  readonly bytes: Buffer;
}

export interface OpenWrite {
  readonly key: string;
  readonly value: Buffer;
  readonly write: LargeWrite;
}

export class World {
  readonly map: SharedMap;
  readonly quotes: TypedMap<(typeof Quote)['shape']>;
  readonly rates: TypedMap<(typeof Rate)['shape']>;
  readonly oracle: Oracle = new Oracle((bytes) => this.partition.values.valueBytesMax(bytes));
  /** The same memory as another thread would see it. */
  readonly partition: Partition;
  readonly pins: HeldPin[] = [];
  readonly writes: OpenWrite[] = [];
  readonly #follower: Partition;
  readonly #reader: RingReader;
  #earlier: Buffer | null = null;
  readonly #since: Buffer[] = [];

  constructor() {
    this.map = createMap({
      ...{ capacityBytes: CAPACITY_BYTES, partitions: 1, valueMaxBytes: VALUE_MAX_BYTES },
      ...{ eviction: 'noeviction', redo: true, clock: () => this.oracle.nowMs },
    });
    this.quotes = this.map.typed(Quote);
    this.rates = this.map.typed(Rate);
    this.partition = attachPartition(this.map.handle.partitions[0]);
    this.#follower = newFollower(this.partition.geometry);
    this.#reader = new RingReader(this.partition, 1);
    assert.equal(this.#follower.becomeConsistent(0), null);
  }

  /** Asks both; they must return, or refuse, the same. */
  both(map: () => unknown, oracle: () => unknown): void {
    const actual = outcomeOf(map);
    // What is being written meanwhile may keep a large change out: then nothing has changed.
    if (actual.refused === 'VALUE_BUSY' && this.writes.length > 0) return;
    const expected = outcomeOf(oracle);
    const difference = differenceOf(actual, expected);
    if (difference !== null) assert.fail(difference);
  }

  /** Whether there is room for so many bytes more, with what they replace still there. */
  hasRoomFor(bytes: number): boolean {
    const pinned = this.pins.reduce((sum, pin) => sum + pin.bytes.length, 0);
    const written = this.writes.reduce((sum, { value }) => sum + value.length, 0);
    return this.oracle.bytes() + pinned + written + bytes <= LIVE_BYTES_MAX;
  }

  unpin(index: number): void {
    const [held] = this.pins.splice(index % this.pins.length, 1);
    const views = Buffer.concat([...held.pin.views]);
    assert(views.equals(held.bytes), `${held.bytes.length} bytes changed under their pin`);
    held.pin.unpin();
  }

  /** Keeps the image as it is now: the redo from here on must lead from it to the end. */
  remember(): void {
    if (this.#earlier !== null) return;
    this.stream();
    const { imageBuffer } = this.partition;
    this.#earlier = Buffer.alloc(imageBuffer.length);
    imageBuffer.copy(this.#earlier, 0, 0, this.partition.chunksTouched() * CHUNK_BYTES);
  }

  /** To the follower goes what there is of redo: transactions as a whole. */
  stream(): void {
    const reader = this.#reader;
    let records: Buffer = Buffer.alloc(0);
    for (;;) {
      const bytes = reader.read();
      if (bytes <= 0) {
        assert.equal(bytes, 0, 'the ring holds what the follower lacks');
        return assert.equal(records.length, 0, 'no transaction is left open');
      }
      records = Buffer.concat([records, reader.buffer.subarray(0, bytes)]);
      if (endsTransaction(records)) {
        this.#apply(records);
        records = Buffer.alloc(0);
      }
    }
  }

  #apply(records: Buffer): void {
    if (this.#earlier !== null) this.#since.push(records);
    const outcome = this.#follower.applyRedo(records, 0, records.length, this.oracle.nowMs);
    assert(outcome.ok, JSON.stringify(outcome));
    for (const check of outcome.checks) assert.equal(check.actual, check.expected);
  }

  /** Whatever is under way ends; then all must agree. */
  end(): void {
    const { map, oracle, partition } = this;
    while (this.pins.length > 0) this.unpin(0);
    for (const { write } of this.writes) write.abort(oracle.nowMs);
    assert.deepEqual(sorted(map.keys()), oracle.keys());
    for (const key of oracle.keys()) {
      this.both(
        () => map.get(key),
        () => oracle.get(key),
      );
      this.both(
        () => map.ttl(key),
        () => oracle.ttl(key),
      );
    }
    assert.equal(map.stats().pins, 0);
    assert.equal(map.verify(), null);
    this.stream();
    assertEqualCopies(partition, this.#follower);
    if (this.#earlier !== null) this.#assertReplayed(this.#earlier);
  }

  #assertReplayed(image: Buffer): void {
    for (const records of this.#since) replay(image, records);
    const bytes = this.partition.chunksTouched() * CHUNK_BYTES;
    const now = this.partition.imageBuffer.subarray(0, bytes);
    assert(image.subarray(0, bytes).equals(now), 'the redo since leads to the same bytes');
  }
}

/** Whether the last of these records is the end of a transaction, or one of its own. */
function endsTransaction(records: Buffer): boolean {
  let last = 0;
  for (let at = 0; at < records.length; at += records.readUInt32LE(at)) last = at;
  return (records[last + 5] & REDO_TXN_END) !== 0;
}

export const sorted = (keys: Iterable<Buffer>): string[] =>
  Array.from(keys, (key) => key.toString()).sort();

interface Outcome {
  readonly returned?: unknown;
  /** Code of a StoreError. */
  readonly refused?: string;
}

function outcomeOf(run: () => unknown): Outcome {
  try {
    return { returned: run() };
  } catch (error) {
    if (error instanceof StoreError) return { refused: error.code };
    throw error;
  }
}

/** Null: the same. Values are too long to be shown. */
function differenceOf(actual: Outcome, expected: Outcome): string | null {
  if (actual.refused !== expected.refused) return `${show(actual)}, not ${show(expected)}`;
  const [a, b] = [actual.returned, expected.returned];
  if (Buffer.isBuffer(a) && Buffer.isBuffer(b)) {
    if (a.equals(b)) return null;
    const at = a.findIndex((byte, i) => byte !== b[i]);
    return `${show(actual)}, not ${show(expected)}; they differ from byte ${at} on`;
  }
  try {
    assert.deepEqual(a, b);
    return null;
  } catch {
    return `${show(actual)}, not ${show(expected)}`;
  }
}

function show({ refused, returned }: Outcome): string {
  if (refused !== undefined) return `refused with ${refused}`;
  if (Buffer.isBuffer(returned)) return `returned ${returned.length} bytes`;
  if (typeof returned === 'bigint') return `returned ${returned}n`;
  return `returned ${typeof returned === 'number' ? returned : JSON.stringify(returned)}`;
}
