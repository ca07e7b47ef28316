/** Copies of short byte ranges of an image: into Buffers cut from a pool, as Buffer.allocUnsafe does it, or into a target.
 *
 *  Copied word by word: 7 ns for 64 bytes, where a call of Buffer.copy costs 40. A Buffer is wrapped around the copy once the
 *  read is known to be whole, so a torn one leaves nothing behind. Source ranges may begin anywhere. Owner: one thread. */
import { markAsUntransferable } from 'node:worker_threads';

/** Longer ranges are copied faster by one call. */
export const SMALL_COPY_BYTES_MAX = 256;
/** What one Buffer that is kept can keep alive: that of Node's own pool. */
const POOL_BYTES = 8_192;

type Wrap = new (memory: ArrayBuffer, offset: number, bytes: number) => Buffer;
/** The class of all Buffers. `Buffer.from` of the same arguments ends there and takes twice as long. */
const SmallBuffer: Wrap = (Buffer as unknown as { [Symbol.species]: Wrap })[Symbol.species];

export class SmallCopies {
  #memory: ArrayBuffer;
  #words: Int32Array;
  /** Where the next copy goes, a multiple of 8. */
  #at = 0;
  /** The target of the last `into`; and, where it came twice in a row and is aligned, its words. */
  #target: Uint8Array | null = null;
  #targetWords: Int32Array | null = null;

  constructor() {
    this.#memory = newPool();
    this.#words = new Int32Array(this.#memory);
  }

  /** Copies `bytes` bytes (SMALL_COPY_BYTES_MAX at most) at byte `from` of `source` to where the next `take` finds them. */
  put(source: Int32Array, from: number, bytes: number): void {
    if (this.#at + bytes > POOL_BYTES) this.#renew();
    copyWords(source, from, this.#words, this.#at >>> 2, bytes);
  }

  /** What was put last, as a Buffer. */
  take(bytes: number): Buffer {
    const at = this.#at;
    this.#at = at + ((bytes + 7) & ~7);
    return new SmallBuffer(this.#memory, at, bytes);
  }

  #renew(): void {
    this.#memory = newPool();
    this.#words = new Int32Array(this.#memory);
    this.#at = 0;
  }

  /** Copies `bytes` bytes (SMALL_COPY_BYTES_MAX at most) to `target` at `at`, where there is room for them. False, and nothing
   *  copied: not by words, which takes an aligned target that is used again and again. */
  into(source: Int32Array, from: number, target: Uint8Array, at: number, bytes: number): boolean {
    if (target !== this.#target) {
      this.#target = target;
      this.#targetWords = null;
      return false;
    }
    const words = this.#targetWords ?? this.#viewTarget(target);
    if (words === null || (at & 3) !== 0) return false;
    const whole = bytes & ~3;
    copyWords(source, from, words, at >>> 2, whole);
    for (let i = whole; i < bytes; i++) {
      target[at + i] = source[(from + i) >>> 2] >>> (((from + i) & 3) << 3);
    }
    return true;
  }

  #viewTarget(target: Uint8Array): Int32Array | null {
    if ((target.byteOffset & 3) !== 0) return null;
    this.#targetWords = new Int32Array(target.buffer, target.byteOffset, target.length >>> 2);
    return this.#targetWords;
  }
}

function newPool(): ArrayBuffer {
  const { buffer } = Buffer.allocUnsafeSlow(POOL_BYTES);
  markAsUntransferable(buffer);
  return buffer;
}

/** Copies `bytes` bytes from byte `from` of the source to word `to` of the target on; what fills up its last word is
 *  anything. Reads no word of the source that holds none of them. */
function copyWords(
  source: Int32Array,
  from: number,
  target: Int32Array,
  to: number,
  bytes: number,
): void {
  const shift = (from & 3) << 3;
  if (shift !== 0) {
    copyShifted(source, from, target, to, bytes);
    return;
  }
  const first = from >>> 2;
  const count = (bytes + 3) >>> 2;
  let i = 0;
  for (; i < count - 3; i += 4) {
    target[to + i] = source[first + i];
    target[to + i + 1] = source[first + i + 1];
    target[to + i + 2] = source[first + i + 2];
    target[to + i + 3] = source[first + i + 3];
  }
  for (; i < count; i++) target[to + i] = source[first + i];
}

function copyShifted(
  source: Int32Array,
  from: number,
  target: Int32Array,
  to: number,
  bytes: number,
): void {
  const shift = (from & 3) << 3;
  const last = (from + bytes - 1) >>> 2;
  const count = (bytes + 3) >>> 2;
  let word = from >>> 2;
  let low = source[word];
  for (let i = 0; i < count; i++) {
    const high = word < last ? source[++word] : 0;
    target[to + i] = (low >>> shift) | (high << (32 - shift));
    low = high;
  }
}
