/** MGET of keys that are all led here: it is not cut into calls by partition, and no reply is put together.
 *
 *  All keys are hashed, and what they lead to is loaded, before the first is looked for, as a batch of commands does
 *  (batch.ts): their cache misses overlap. Then they are read in the order in which they were asked for. The first key of each
 *  partition begins a read of it, and at the end all those reads must have been whole; else the command is run once more, and
 *  then partition by partition (fan-out.ts), as it is where a value is long or a reply waits for copies in sync.
 *  So values of one partition belong together, as `split` promises, and mostly all of them do.
 *  Owner: one per worker; nothing here outlives a call. */

import type { Buffer } from 'node:buffer';
import { type Partition, partitionOfSlot, placeKey, Prefetch } from '@ingot/store';
import { Counter } from '../metrics/layout.ts';
import type { Args } from '../resp/args.ts';
import type { Connection } from './connection.ts';
import type { Desk } from './desk.ts';
import { PINNED_BYTES_MIN } from './pinned-value.ts';

const KEYS_AT_ONCE = 512;
const TRIES_MAX = 2;
/** Imported constants are loaded and checked where they are used; those of a module itself are not. */
const PINNED_FROM: number = PINNED_BYTES_MIN;
/** No read of this partition has begun: tokens are even. */
const NOT_BEGUN = -1;

export class GatherReads {
  private readonly desk: Desk;
  private readonly prefetch: Prefetch = new Prefetch(KEYS_AT_ONCE);
  private readonly hashes: Int32Array = new Int32Array(KEYS_AT_ONCE);
  private readonly slots: Uint16Array = new Uint16Array(KEYS_AT_ONCE);
  private readonly partitionIds: Int16Array = new Int16Array(KEYS_AT_ONCE);
  /** What mostly is received, for words that begin anywhere. */
  private readonly received: DataView;
  /** Per partition. */
  private readonly tokens: Int32Array;
  private readonly begun: Partition[] = [];
  private begunCount = 0;
  private hits = 0;
  private misses = 0;

  constructor(desk: Desk) {
    this.desk = desk;
    this.received = viewOf(desk.host.receiveBuffer);
    this.tokens = new Int32Array(desk.host.map.partitions).fill(NOT_BEGUN);
  }

  /** Answers with the values of arguments [1, count); false, and nothing was answered, where somebody else must. */
  run(connection: Connection, args: Args): boolean {
    const { desk } = this;
    const { out, passage, host } = desk;
    if (connection.awaits !== 0 || connection.isLink || connection.noTouch) return false;
    if (!host.lease.holds) return false;
    passage.close();
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const mark = out.mark();
      this.hits = 0;
      this.misses = 0;
      const answered = this.read(connection, args);
      const isWhole = this.endReads();
      if (answered && isWhole) {
        if (this.hits > 0) host.counters.add(Counter.hits, this.hits);
        if (this.misses > 0) host.counters.add(Counter.misses, this.misses);
        return true;
      }
      out.rewind(mark);
      if (isWhole) return false;
    }
    return false;
  }

  private read(connection: Connection, args: Args): boolean {
    const { count } = args;
    this.desk.out.array(count - 1);
    for (let from = 1; from < count; from += KEYS_AT_ONCE) {
      const keys = Math.min(KEYS_AT_ONCE, count - from);
      if (!this.begin(connection, args, from, keys)) return false;
      this.prefetch.run(this.desk.host.partitions, this.partitionIds, this.hashes, keys);
      if (!this.put(args, from, keys)) return false;
    }
    return true;
  }

  /** Hashes keys, and begins to read their partitions. False: one of them is not led here. */
  private begin(connection: Connection, args: Args, from: number, keys: number): boolean {
    const { desk, hashes, slots, partitionIds, tokens } = this;
    const { map, partitions } = desk.host;
    const partitionCount = map.partitions;
    const mayBeBehind = connection.repliesDue;
    const view = args.buf === desk.host.receiveBuffer ? this.received : viewOf(args.buf);
    for (let i = 0; i < keys; i++) {
      placeKey(view, args.start(from + i), args.bytes(from + i), hashes, slots, i);
      const id = partitionOfSlot(slots[i], partitionCount);
      partitionIds[i] = id;
      if (tokens[id] !== NOT_BEGUN) continue;
      const partition = partitions[id];
      if (partition === null || (mayBeBehind && desk.isBehind(connection, id))) return false;
      tokens[id] = partition.readBegin();
      this.begun[this.begunCount++] = partition;
      if (!partition.mayWrite()) return false;
    }
    return true;
  }

  private put(args: Args, from: number, keys: number): boolean {
    const { desk, hashes, partitionIds } = this;
    const { out, execution, host } = desk;
    const { nowMs } = execution;
    const { partitions } = host;
    const { buf } = args;
    for (let i = 0; i < keys; i++) {
      const partition = partitions[partitionIds[i]] as Partition;
      const ref = partition.find(hashes[i], buf, args.start(from + i), args.bytes(from + i), nowMs);
      if (ref === 0) {
        out.nil();
        this.misses++;
        continue;
      }
      const valueBytes = partition.valueBytes(ref);
      if (valueBytes >= PINNED_FROM || !partition.isInOnePiece(ref)) return false;
      const image = partition.imageBuffer;
      const valueStart = partition.valueOffset(ref);
      // Torn, these may say anything; the copy must stay inside the image all the same.
      if (valueStart + valueBytes > image.length) return false;
      out.bulkOf(image, partition.imageView, valueStart, valueBytes);
      partition.mark(ref);
      this.hits++;
    }
    return true;
  }

  /** True: nobody wrote to what was read. */
  private endReads(): boolean {
    const { begun, tokens } = this;
    let isWhole = true;
    for (let i = 0; i < this.begunCount; i++) {
      const partition = begun[i];
      if (!partition.readEnd(tokens[partition.id])) isWhole = false;
      tokens[partition.id] = NOT_BEGUN;
    }
    this.begunCount = 0;
    return isWhole;
  }
}

function viewOf(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
}
