/** Touches the pages of an image, so that the kernel provides them before they are needed.
 *  An atomic `or` with 0 writes a word without changing it, whatever others write meanwhile: the
 *  image's bytes stay as they are. Goes in slices, so that its thread can do other work between. */

import { CHUNK_BYTES, type PartitionHandle } from '@ingot/store';

const PAGE_WORDS = 1_024;
const SLICE_PAGES = 4_096;

/** Yields after every 16 MiB. Touches what may come into use now, not what is laid out for
 *  later. */
export function* touchPages({ geometry, image }: PartitionHandle): Generator<void> {
  const bytes = Math.min(image.byteLength, geometry.capacityChunks * CHUNK_BYTES);
  const words = new Int32Array(image, 0, bytes >>> 2);
  let pages = 0;
  for (let word = 0; word < words.length; word += PAGE_WORDS) {
    Atomics.or(words, word, 0);
    if (++pages % SLICE_PAGES === 0) yield;
  }
}
