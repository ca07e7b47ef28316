/** XXH3, 64 bits, without a seed: the hash that DIGEST, IFDEQ and IFDNE speak of.
 *  Up to 240 bytes it is computed at once, in BigInts; longer values by stripes of 64 bytes as they come,
 *  in 32-bit halves, because those are what JavaScript multiplies without allocating.
 *  Source: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md */

const SECRET: Buffer = Buffer.from(
  [
    'b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f',
    'cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c',
    '3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8',
    'a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364',
    'eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e',
    '2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e',
  ].join(''),
  'hex',
);

const PRIME32_1 = 0x9e3779b1n;
const PRIME32_2 = 0x85ebca77n;
const PRIME32_3 = 0xc2b2ae3dn;
const PRIME64_1 = 0x9e3779b185ebca87n;
const PRIME64_2 = 0xc2b2ae3d27d4eb4fn;
const PRIME64_3 = 0x165667b19e3779f9n;
const PRIME64_4 = 0x85ebca77c2b2ae63n;
const PRIME64_5 = 0x27d4eb2f165667c5n;
const PRIME_MX1 = 0x165667919e3779f9n;
const PRIME_MX2 = 0x9fb21c651e98df25n;

export const STRIPE_BYTES = 64;
/** Up to here a value is hashed whole. */
export const SHORT_BYTES_MAX = 240;
const LANES = 8;
/** After so many stripes all lanes are mixed with the end of the secret. */
const STRIPES_PER_BLOCK = 16;
const LANE_BYTES = 8;

const ALL = 0xffff_ffff_ffff_ffffn;
const LOW = 0xffff_ffffn;

const wrap = (value: bigint): bigint => value & ALL;
const secret = (at: number): bigint => SECRET.readBigUInt64LE(at);
const secretXor = (at: number): bigint => secret(at) ^ secret(at + 8);
const rotated = (value: bigint, by: bigint): bigint => wrap((value << by) | (value >> (64n - by)));

function swapped(value: bigint): bigint {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes.readBigUInt64BE();
}

/** Both halves of a product of 128 bits, xored. */
function folded(a: bigint, b: bigint): bigint {
  const product = a * b;
  return wrap(product) ^ (product >> 64n);
}

function avalanche(hash: bigint): bigint {
  const mixed = wrap((hash ^ (hash >> 37n)) * PRIME_MX1);
  return mixed ^ (mixed >> 32n);
}

/** The older one, of XXH64. */
function avalanche64(hash: bigint): bigint {
  const once = wrap((hash ^ (hash >> 33n)) * PRIME64_2);
  const twice = wrap((once ^ (once >> 29n)) * PRIME64_3);
  return twice ^ (twice >> 32n);
}

/** `bytes` bytes of `source` from `start` on, at most SHORT_BYTES_MAX. */
export function hashShort(source: Buffer, start: number, bytes: number): bigint {
  const value = source.subarray(start, start + bytes);
  if (bytes === 0) return avalanche64(secretXor(56));
  if (bytes <= 3) return upTo3(value);
  if (bytes <= 8) return upTo8(value);
  if (bytes <= 16) return upTo16(value);
  return bytes <= 128 ? upTo128(value) : upTo240(value);
}

function upTo3(value: Buffer): bigint {
  const { length } = value;
  const [first, middle, last] = [value[0], value[length >> 1], value[length - 1]];
  const combined = ((first << 16) | (middle << 24) | last | (length << 8)) >>> 0;
  const flip = SECRET.readUInt32LE(0) ^ SECRET.readUInt32LE(4);
  return avalanche64(BigInt((combined ^ flip) >>> 0));
}

function upTo8(value: Buffer): bigint {
  const { length } = value;
  const [head, tail] = [BigInt(value.readUInt32LE(0)), BigInt(value.readUInt32LE(length - 4))];
  const keyed = (tail + (head << 32n)) ^ secretXor(8);
  const turned = keyed ^ rotated(keyed, 49n) ^ rotated(keyed, 24n);
  const once = wrap(turned * PRIME_MX2);
  const twice = wrap((once ^ ((once >> 35n) + BigInt(length))) * PRIME_MX2);
  return twice ^ (twice >> 28n);
}

function upTo16(value: Buffer): bigint {
  const { length } = value;
  const low = value.readBigUInt64LE(0) ^ secretXor(24);
  const high = value.readBigUInt64LE(length - 8) ^ secretXor(40);
  return avalanche(wrap(BigInt(length) + swapped(low) + high + folded(low, high)));
}

function mixed(value: Buffer, at: number, secretAt: number): bigint {
  const low = value.readBigUInt64LE(at) ^ secret(secretAt);
  const high = value.readBigUInt64LE(at + 8) ^ secret(secretAt + 8);
  return folded(low, high);
}

function upTo128(value: Buffer): bigint {
  const { length } = value;
  let sum = BigInt(length) * PRIME64_1;
  for (let i = (length - 1) >> 5; i >= 0; i--) {
    sum += mixed(value, 16 * i, 32 * i) + mixed(value, length - 16 * (i + 1), 32 * i + 16);
  }
  return avalanche(wrap(sum));
}

function upTo240(value: Buffer): bigint {
  const { length } = value;
  const rounds = length >> 4;
  let sum = BigInt(length) * PRIME64_1;
  for (let i = 0; i < 8; i++) sum += mixed(value, 16 * i, 16 * i);
  sum = avalanche(wrap(sum));
  for (let i = 8; i < rounds; i++) sum += mixed(value, 16 * i, 16 * (i - 8) + 3);
  return avalanche(wrap(sum + mixed(value, length - 16, 136 - 17)));
}

const START: readonly bigint[] = [
  ...[PRIME32_3, PRIME64_1, PRIME64_2, PRIME64_3, PRIME64_4, PRIME32_2, PRIME64_5, PRIME32_1],
];
/** The secret by words from byte `8 * stripe` on, and from SECRET_SCRAMBLE and SECRET_LAST on. */
const SECRET_SCRAMBLE: number = SECRET.length - STRIPE_BYTES;
const SECRET_LAST: number = SECRET_SCRAMBLE - 7;
const SECRET_MERGE = 11;

const secretWords = wordsFrom(0, SECRET.length);
const scrambleWords = wordsFrom(SECRET_SCRAMBLE, STRIPE_BYTES);
const lastWords = wordsFrom(SECRET_LAST, STRIPE_BYTES);

function wordsFrom(at: number, bytes: number): Int32Array {
  return Int32Array.from({ length: bytes / 4 }, (_, i) => SECRET.readInt32LE(at + 4 * i));
}

/** The high half of a product of two unsigned 32-bit numbers. */
function highProduct(a: number, b: number): number {
  const [aLow, aHigh, bLow, bHigh] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
  const middle = (Math.imul(aHigh, bLow) >>> 0) + (Math.imul(aLow, bLow) >>> 16);
  const other = (Math.imul(aLow, bHigh) >>> 0) + (middle & 0xffff);
  return (Math.imul(aHigh, bHigh) + (middle >>> 16) + (other >>> 16)) | 0;
}

/** The hash of a value of more than SHORT_BYTES_MAX bytes, which are given in order. */
export class LongHash {
  private readonly bytes: number;
  /** Of all but the last, which is hashed twice in part. */
  private readonly stripes: number;
  private done = 0;
  /** Lanes of 64 bits: low and high words in turn. */
  private readonly lanes: Int32Array = new Int32Array(LANES * 2);

  constructor(bytes: number) {
    this.bytes = bytes;
    this.stripes = Math.floor((bytes - 1) / STRIPE_BYTES);
    START.forEach((lane, i) => {
      this.lanes[2 * i] = Number(lane & LOW) | 0;
      this.lanes[2 * i + 1] = Number(lane >> 32n) | 0;
    });
  }

  /** The next bytes, in whole stripes but for the end of the value. */
  add(words: Int32Array, bytes: number): void {
    const count = Math.min(this.stripes - this.done, Math.floor(bytes / STRIPE_BYTES));
    for (let i = 0; i < count; i++) {
      const inBlock = this.done % STRIPES_PER_BLOCK;
      this.accumulate(words, (i * STRIPE_BYTES) / 4, secretWords, (inBlock * LANE_BYTES) / 4);
      if (inBlock === STRIPES_PER_BLOCK - 1) this.scramble();
      this.done++;
    }
  }

  /** The last STRIPE_BYTES bytes of the value, by words. */
  end(words: Int32Array): bigint {
    this.accumulate(words, 0, lastWords, 0);
    let sum = wrap(BigInt(this.bytes) * PRIME64_1);
    for (let i = 0; i < LANES; i += 2) {
      const at = SECRET_MERGE + LANE_BYTES * i;
      sum += folded(this.lane(i) ^ secret(at), this.lane(i + 1) ^ secret(at + LANE_BYTES));
    }
    return avalanche(wrap(sum));
  }

  private lane(i: number): bigint {
    return BigInt(this.lanes[2 * i] >>> 0) | (BigInt(this.lanes[2 * i + 1] >>> 0) << 32n);
  }

  private accumulate(
    words: Int32Array,
    at: number,
    secretLane: Int32Array,
    secretAt: number,
  ): void {
    const { lanes } = this;
    for (let i = 0; i < 2 * LANES; i += 2) {
      const [low, high] = [words[at + i], words[at + i + 1]];
      const keyedLow = low ^ secretLane[secretAt + i];
      const keyedHigh = high ^ secretLane[secretAt + i + 1];
      addTo(lanes, i ^ 2, low, high);
      addTo(lanes, i, Math.imul(keyedLow, keyedHigh), highProduct(keyedLow, keyedHigh));
    }
  }

  private scramble(): void {
    const { lanes } = this;
    for (let i = 0; i < 2 * LANES; i += 2) {
      const [low, high] = [lanes[i], lanes[i + 1]];
      // Xored with itself, 47 bits to the right, and with the secret.
      const mixedLow = low ^ (high >>> 15) ^ scrambleWords[i];
      const mixedHigh = high ^ scrambleWords[i + 1];
      lanes[i] = Math.imul(mixedLow, Number(PRIME32_1));
      lanes[i + 1] =
        highProduct(mixedLow, Number(PRIME32_1)) + Math.imul(mixedHigh, Number(PRIME32_1));
    }
  }
}

/** Adds 64 bits to the lane whose low word is `i`. */
function addTo(lanes: Int32Array, i: number, low: number, high: number): void {
  const sum = (lanes[i] + low) | 0;
  const carry = sum >>> 0 < low >>> 0 ? 1 : 0;
  lanes[i] = sum;
  lanes[i + 1] = lanes[i + 1] + high + carry;
}
