/** What a follower says of its copy at HELLO. */
import { CHUNK_BYTES, FORMAT_VERSION, type Partition } from '@ingot/store';
import { type Hello, MACHINE_BYTE_ORDER } from './hello.ts';

export type Greeter = Pick<Hello, 'clusterId' | 'nodeId' | 'incarnation'>;

/** A consistent copy offers what it has applied; one that a bulk was cut short on offers its base. */
export function offerCopy(
  partition: Partition,
  { clusterId, nodeId, incarnation }: Greeter,
): Hello {
  const { id, geometry } = partition;
  const { base, history, stamps } = partition.offer();
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
    history,
    stamps: stamps.subarray(0, stamps.findLastIndex((stamp) => stamp !== 0) + 1),
  };
}
