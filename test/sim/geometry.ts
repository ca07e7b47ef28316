/** Images as small as the store can work with. */
import { type Geometry, planGeometry } from '@ingot/store';

const MIB = 1_048_576;
const chunkCount = 22;
const capacityChunks = 16;

export function smallGeometry(partitions: number, ringBytes: number): Geometry {
  const capacityBytes = 8 * MIB;
  const request = { partitions: 1, capacityBytes, capacityMaxBytes: capacityBytes };
  const imageBytes = chunkCount * 65_536;
  const images = { partitions, imageBytes, chunkCount, capacityChunks, ringBytes };
  return { ...planGeometry(request), ...images };
}
