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
    h ^= mixed(
      source[at] | (source[at + 1] << 8) | (source[at + 2] << 16) | (source[at + 3] << 24),
    );
    h = (h << 13) | (h >>> 19);
    h = (Math.imul(h, 5) + 0xe6546b64) | 0;
  }
  let k = 0;
  const tail = bytes & 3;
  if (tail > 2) k ^= source[at + 2] << 16;
  if (tail > 1) k ^= source[at + 1] << 8;
  if (tail > 0) h ^= mixed(k ^ source[at]);
  return finished(h ^ bytes);
}

/** `hashKey` of a key that stands in words of its own, the last one filled up with zeros. */
export function hashWords(words: Int32Array, bytes: number): number {
  let h = MURMUR_SEED;
  const blocks = bytes >>> 2;
  for (let i = 0; i < blocks; i++) {
    h ^= mixed(words[i]);
    h = (h << 13) | (h >>> 19);
    h = (Math.imul(h, 5) + 0xe6546b64) | 0;
  }
  if ((bytes & 3) !== 0) h ^= mixed(words[blocks]);
  return finished(h ^ bytes);
}

function mixed(word: number): number {
  const k = Math.imul(word, C1);
  return Math.imul((k << 15) | (k >>> 17), C2);
}

function finished(hash: number): number {
  let h = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** CRC16-XMODEM, four bytes at a time: table k, from 256 k on, is what a byte is worth k bytes before the end.
 *  By single bytes each step waits for the one before it; this is half the time for a key of 16 bytes. */
const CRC16: Uint16Array = crc16Tables();

function crc16Tables(): Uint16Array {
  const tables = new Uint16Array(4 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
    tables[byte] = crc;
  }
  for (let i = 256; i < tables.length; i++) {
    const before = tables[i - 256];
    tables[i] = (before << 8) ^ tables[before >>> 8];
  }
  return tables;
}

export const HASH_SLOTS = 16_384;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** Redis hash slot (0..16383) of a key, with the `{tag}` rule: only what stands between the first `{` and
 *  the next `}` counts, if that is not empty. Most keys have none: one pass sums and looks for the brace. */
export function slotOfKey(source: Uint8Array, start: number, bytes: number): number {
  const end = start + bytes;
  let crc = 0;
  let at = start;
  for (const last = end - 3; at < last; at += 4) {
    const a = source[at];
    const b = source[at + 1];
    const c = source[at + 2];
    const d = source[at + 3];
    if (a === OPEN_BRACE || b === OPEN_BRACE || c === OPEN_BRACE || d === OPEN_BRACE) {
      return slotOfTagged(source, start, end);
    }
    crc =
      CRC16[768 + ((crc >>> 8) ^ a)] ^ CRC16[512 + ((crc & 0xff) ^ b)] ^ CRC16[256 + c] ^ CRC16[d];
  }
  for (; at < end; at++) {
    const a = source[at];
    if (a === OPEN_BRACE) return slotOfTagged(source, start, end);
    crc = ((crc << 8) & 0xffff) ^ CRC16[(crc >>> 8) ^ a];
  }
  return crc & (HASH_SLOTS - 1);
}

/** `slotOfKey` of a key that stands in words of its own; `source` are their bytes. */
export function slotOfWords(words: Int32Array, source: Uint8Array, bytes: number): number {
  let crc = 0;
  const blocks = bytes >>> 2;
  for (let i = 0; i < blocks; i++) {
    const word = words[i];
    if (hasBrace(word)) return slotOfKey(source, 0, bytes);
    crc =
      CRC16[768 + ((crc >>> 8) ^ (word & 0xff))] ^
      CRC16[512 + ((crc & 0xff) ^ ((word >>> 8) & 0xff))] ^
      CRC16[256 + ((word >>> 16) & 0xff)] ^
      CRC16[word >>> 24];
  }
  let rest = words[blocks];
  for (let left = bytes & 3; left > 0; left--, rest >>>= 8) {
    if ((rest & 0xff) === OPEN_BRACE) return slotOfKey(source, 0, bytes);
    crc = ((crc << 8) & 0xffff) ^ CRC16[(crc >>> 8) ^ (rest & 0xff)];
  }
  return crc & (HASH_SLOTS - 1);
}

/** Hash and slot of a key in one pass, to `hashes[i]` and `slots[i]`: each four bytes are loaded once. */
export function placeKey(
  source: DataView,
  start: number,
  bytes: number,
  hashes: Int32Array,
  slots: Uint16Array,
  i: number,
): void {
  const table = CRC16;
  let h = MURMUR_SEED;
  let crc = 0;
  let braces = 0;
  const blockEnd = start + (bytes & ~3);
  let at = start;
  for (; at < blockEnd; at += 4) {
    const word = source.getInt32(at, true);
    const other = word ^ 0x7b7b7b7b; // as in hasBrace
    braces |= (other - 0x01010101) & ~other;
    h ^= mixed(word);
    h = (h << 13) | (h >>> 19);
    h = (Math.imul(h, 5) + 0xe6546b64) | 0;
    crc =
      table[768 + ((crc >>> 8) ^ (word & 0xff))] ^
      table[512 + ((crc & 0xff) ^ ((word >>> 8) & 0xff))] ^
      table[256 + ((word >>> 16) & 0xff)] ^
      table[word >>> 24];
  }
  let k = 0;
  for (let shift = 0; at < start + bytes; at++, shift += 8) {
    const byte = source.getUint8(at);
    if (byte === OPEN_BRACE) braces = 0x80;
    k |= byte << shift;
    crc = ((crc << 8) & 0xffff) ^ table[(crc >>> 8) ^ byte];
  }
  if (at > blockEnd) h ^= mixed(k);
  hashes[i] = finished(h ^ bytes);
  slots[i] = crc & (HASH_SLOTS - 1);
  if ((braces & 0x80808080) === 0) return;
  const key = new Uint8Array(source.buffer, source.byteOffset + start, bytes);
  slots[i] = slotOfKey(key, 0, bytes);
}

/** Whether one of four bytes is an opening brace (or, rarely, follows one: then it is looked at more closely). */
function hasBrace(word: number): boolean {
  const other = word ^ 0x7b7b7b7b; // a zero byte where there is one
  return ((other - 0x01010101) & ~other & 0x80808080) !== 0;
}

/** Of a key with an opening brace: the first closing one decides whether there is a tag. */
function slotOfTagged(source: Uint8Array, start: number, end: number): number {
  let tag = start;
  while (source[tag] !== OPEN_BRACE) tag++;
  tag++;
  let close = tag;
  while (close < end && source[close] !== CLOSE_BRACE) close++;
  const isTag = close < end && close > tag;
  let crc = 0;
  for (let at = isTag ? tag : start; at < (isTag ? close : end); at++) {
    crc = ((crc << 8) & 0xffff) ^ CRC16[(crc >>> 8) ^ source[at]];
  }
  return crc & (HASH_SLOTS - 1);
}

/** Of owners in the order of their partitions, the one of a key: the hash slot decides. */
export function ownerOf<Owner>(owners: readonly Owner[], key: Uint8Array): Owner {
  if (owners.length === 1) return owners[0];
  return owners[partitionOfSlot(slotOfKey(key, 0, key.length), owners.length)];
}

/** The partition that a hash slot belongs to; `partitions` is a power of two, at most 4096. */
export function partitionOfSlot(slot: number, partitions: number): number {
  return (slot * partitions) >>> 14;
}
