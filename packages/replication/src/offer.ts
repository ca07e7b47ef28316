/** What a follower says of its copy at HELLO. */
import { CHUNK_BYTES, FORMAT_VERSION, type Partition } from '@ingot/store';
import { type Hello, MACHINE_BYTE_ORDER } from './hello.ts';
import type { Resumption } from './resumption.ts';

export type Greeter = Pick<Hello, 'clusterId' | 'nodeId' | 'incarnation'>;

export interface OfferOptions {
  /** The copy may be fed by a follower, and knows what SEED means. */
  readonly seedable?: boolean;
  readonly snapshot?: boolean;
  /** What a copy without a base has got so far. */
  readonly resumption?: Resumption | null;
  readonly epoch?: number;
  /** The peer is, or will be, as far as this. */
  readonly atLeastSeq?: number;
}

/** A consistent copy offers what it has applied; one that a bulk was cut short on offers its base. One that never had any
 *  offers what landed whole, if that was at the same epoch. */
export function offerCopy(
  partition: Partition,
  { clusterId, nodeId, incarnation }: Greeter,
  {
    seedable = false,
    snapshot = false,
    resumption = null,
    epoch = 0,
    atLeastSeq = 0,
  }: OfferOptions = {},
): Hello {
  const { id, geometry } = partition;
  const own = partition.offer();
  const resumed = own.base === null ? resumption?.offer(partition, epoch, atLeastSeq) : null;
  const { base, history, stamps } = resumed ?? own;
  return {
    storeFormat: FORMAT_VERSION,
    byteOrder: MACHINE_BYTE_ORDER,
    clusterId,
    nodeId,
    incarnation,
    partition: id,
    partitions: geometry.partitions,
    chunkBytes: CHUNK_BYTES,
    chunkCount: geometry.chunkCount,
    valueMaxBytes: geometry.valueMaxBytes,
    base,
    consistent: partition.consistent(),
    checked: partition.checked(),
    seedable,
    snapshot,
    guest: false,
    history,
    stamps: stamps.subarray(0, stamps.findLastIndex((stamp) => stamp !== 0) + 1),
  };
}
