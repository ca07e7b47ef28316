/** A door for tests, open only where INGOT_TEST_DOOR=1: it damages a follower's copy, behind the
 *  back of everything, so that a test can see `ingot verify` find it. */

import { CHUNK_BYTES, type Partition } from '@ingot/store';
import { roleName } from './local-partitions.ts';

/** Flips the lowest bit of one image byte. Returns what it did; a RangeError says why it did
 *  not. */
export function flipFollowerByte(
  partition: Partition | undefined,
  chunk: number,
  byteInChunk: number,
): string {
  if (partition === undefined || roleName(partition) !== 'follower') {
    throw new RangeError('no follower copy of this partition is held here');
  }
  const offset = chunk * CHUNK_BYTES + byteInChunk;
  if (!Number.isInteger(offset) || offset < 0 || offset >= partition.imageBuffer.length) {
    throw new RangeError('the image has no such byte');
  }
  partition.imageBuffer[offset] ^= 1;
  return `flipped a bit of partition ${partition.id} chunk ${chunk} byte ${byteInChunk}`;
}
