/** CRC-64 of Redis: Jones' polynomial, reflected, no inversions. Eight bytes a step, each with a
 *  table of its own; a sum is two halves of 32 bits.
 *  Source: https://github.com/redis/redis/blob/7.0/src/crc64.c names the parameters. */

const POLYNOMIAL_HIGH = 0x95ac9329;
const POLYNOMIAL_LOW = 0xac4bc9b5;
const STEP_BYTES = 8;

/** Entry t x 256 + b: what byte b adds to the sum with t bytes behind it. */
const HIGH: Int32Array = new Int32Array(STEP_BYTES * 256);
const LOW: Int32Array = new Int32Array(STEP_BYTES * 256);

for (let byte = 0; byte < 256; byte++) {
  let [high, low] = [0, byte];
  for (let bit = 0; bit < 8; bit++) {
    const odd = (low & 1) !== 0;
    low = (low >>> 1) | (high << 31);
    high >>>= 1;
    if (!odd) continue;
    high ^= POLYNOMIAL_HIGH;
    low ^= POLYNOMIAL_LOW;
  }
  HIGH[byte] = high;
  LOW[byte] = low;
}
for (let i = 256; i < HIGH.length; i++) {
  const [high, low] = [HIGH[i - 256], LOW[i - 256]];
  const last = low & 0xff;
  HIGH[i] = (high >>> 8) ^ HIGH[last];
  LOW[i] = ((low >>> 8) | (high << 24)) ^ LOW[last];
}

export const CRC64_BYTES = 8;

/** Writes the sum of bytes [start, end) of `source`, little-endian, to `at` of `into`. */
export function writeCrc64(
  source: Buffer,
  start: number,
  end: number,
  into: Buffer,
  at: number,
): void {
  let [high, low] = [0, 0];
  let from = start;
  for (; from + STEP_BYTES <= end; from += STEP_BYTES) {
    low ^= source.readInt32LE(from);
    high ^= source.readInt32LE(from + 4);
    const a = 0x700 | (low & 0xff);
    const b = 0x600 | ((low >>> 8) & 0xff);
    const c = 0x500 | ((low >>> 16) & 0xff);
    const d = 0x400 | (low >>> 24);
    const e = 0x300 | (high & 0xff);
    const f = 0x200 | ((high >>> 8) & 0xff);
    const g = 0x100 | ((high >>> 16) & 0xff);
    const h = high >>> 24;
    high = HIGH[a] ^ HIGH[b] ^ HIGH[c] ^ HIGH[d] ^ HIGH[e] ^ HIGH[f] ^ HIGH[g] ^ HIGH[h];
    low = LOW[a] ^ LOW[b] ^ LOW[c] ^ LOW[d] ^ LOW[e] ^ LOW[f] ^ LOW[g] ^ LOW[h];
  }
  for (; from < end; from++) {
    const index = (low ^ source[from]) & 0xff;
    low = ((low >>> 8) | (high << 24)) ^ LOW[index];
    high = (high >>> 8) ^ HIGH[index];
  }
  into.writeInt32LE(low, at);
  into.writeInt32LE(high, at + 4);
}
