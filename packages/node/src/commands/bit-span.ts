/** Counting and finding bits in bytes. Bit 0 of a value is the highest of its first byte, as in
 *  Redis. Pure. */

/** How many bits are set in the first `bytes` bytes of `buffer`; `words` is the same memory. */
export function countOnes(buffer: Uint8Array, words: Int32Array, bytes: number): number {
  const whole = bytes >>> 2;
  let ones = 0;
  for (let i = 0; i < whole; i++) ones += onesOf(words[i]);
  for (let i = whole << 2; i < bytes; i++) ones += onesOf(buffer[i]);
  return ones;
}

/** The first bit in the first `bytes` bytes that is `bit`, or -1. */
export function findBit(buffer: Uint8Array, words: Int32Array, bytes: number, bit: number): number {
  const other = bit === 1 ? 0 : -1;
  let word = 0;
  const whole = bytes >>> 2;
  while (word < whole && words[word] === other) word++;
  for (let i = word << 2; i < bytes; i++) {
    const found = bit === 1 ? buffer[i] : ~buffer[i] & 0xff;
    if (found !== 0) return i * 8 + Math.clz32(found) - 24;
  }
  return -1;
}

/** Bits of a byte from `from` (0 = the highest) to `to`, both included. */
export function byteMask(from: number, to: number): number {
  return (0xff >>> from) & (0xff << (7 - to)) & 0xff;
}

function onesOf(word: number): number {
  const pairs = word - ((word >>> 1) & 0x55555555);
  const fours = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
