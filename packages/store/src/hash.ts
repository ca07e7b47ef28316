/** Key hashes: murmur3 for the index, CRC16 for the Redis hash slot.
 *
 *  The two are independent on purpose: CRC16 chooses the partition, so its bits are all alike inside one.
 *  Sources: MurmurHash3_x86_32 (A. Appleby, public domain); https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/ */

const MURMUR_SEED = 0x49_6e_67_6f;
const C1 = 0xcc9e2d51 | 0;
const C2 = 0x1b873593;

/** The hash of a key in every index: as an int32. */
export function hashKey(source: Uint8Array, start: number, bytes: number): number {
  return murmur3(source, start, bytes, MURMUR_SEED);
}

/** MurmurHash3_x86_32 of `bytes` bytes at `start`, as an int32. */
export function murmur3(source: Uint8Array, start: number, bytes: number, seed: number): number {
  let h = seed | 0;
  const blockEnd = start + (bytes & ~3);
  let at = start;
  for (; at < blockEnd; at += 4) {
    let k = source[at] | (source[at + 1] << 8) | (source[at + 2] << 16) | (source[at + 3] << 24);
    k = Math.imul(k, C1);
    k = (k << 15) | (k >>> 17);
    h ^= Math.imul(k, C2);
    h = (h << 13) | (h >>> 19);
    h = (Math.imul(h, 5) + 0xe6546b64) | 0;
  }
  let k = 0;
  const tail = bytes & 3;
  if (tail > 2) k ^= source[at + 2] << 16;
  if (tail > 1) k ^= source[at + 1] << 8;
  if (tail > 0) {
    k = Math.imul(k ^ source[at], C1);
    k = (k << 15) | (k >>> 17);
    h ^= Math.imul(k, C2);
  }
  h ^= bytes;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** CRC16-XMODEM by byte. */
const CRC16: Uint16Array = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc & 0xffff;
});

export const HASH_SLOTS = 16_384;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** Redis hash slot (0..16383) of a key, with the `{tag}` rule: only what stands between the first `{` and
 *  the next `}` counts, if that is not empty. */
export function slotOfKey(source: Uint8Array, start: number, bytes: number): number {
  const end = start + bytes;
  let from = start;
  let to = end;
  for (let at = start; at < end; at++) {
    if (source[at] !== OPEN_BRACE) continue;
    let close = at + 1;
    while (close < end && source[close] !== CLOSE_BRACE) close++;
    if (close < end && close > at + 1) {
      from = at + 1;
      to = close;
    }
    break;
  }
  let crc = 0;
  for (let at = from; at < to; at++) {
    crc = ((crc << 8) ^ CRC16[((crc >>> 8) ^ source[at]) & 0xff]) & 0xffff;
  }
  return crc & (HASH_SLOTS - 1);
}

/** The partition that a hash slot belongs to; `partitions` is a power of two, at most 4096. */
export function partitionOfSlot(slot: number, partitions: number): number {
  return (slot * partitions) >>> 14;
}
