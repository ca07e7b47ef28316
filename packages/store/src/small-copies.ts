/** Copies of short byte ranges of an image: into Buffers cut from a pool, as Buffer.allocUnsafe does it, or into a target.
 *
 *  Copied word by word: 7 ns for 64 bytes, where a call of Buffer.copy costs 40. A Buffer is wrapped around the copy once the
 *  read is known to be whole, so a torn one leaves nothing behind. Source ranges may begin anywhere. Owner: one thread. */

/** Longer ranges are copied faster by one call. */
export const SMALL_COPY_BYTES_MAX = 256;
/** Taken from Node's own pool, half of it at a time: nobody can transfer that, and one Buffer that is kept keeps no more alive
 *  than any other small one does. */
const PIECE_BYTES = 4_080;

type Wrap = new (memory: ArrayBuffer, offset: number, bytes: number) => Buffer;
/** The class of all Buffers. `Buffer.from` of the same arguments ends there and takes twice as long. */
const SmallBuffer: Wrap = (Buffer as unknown as { [Symbol.species]: Wrap })[Symbol.species];

export class SmallCopies {
  #piece: Buffer = Buffer.allocUnsafe(PIECE_BYTES);
  #words: Int32Array = wordsOf(this.#piece);
  #memory: ArrayBuffer = this.#piece.buffer as ArrayBuffer;
  /** Where the next copy goes in the piece, a multiple of 8, and where the piece is in its memory. */
  #at = 0;
  #base: number = this.#piece.byteOffset;
  /** The target of the last `into`; and, where it came twice in a row and is aligned, its words. */
  #target: Uint8Array | null = null;
  #targetWords: Int32Array | null = null;

  /** Copies `bytes` bytes (SMALL_COPY_BYTES_MAX at most) at byte `from` of `source` to where the next `take` finds them. */
  put(source: Int32Array, from: number, bytes: number): void {
    if (this.#at + bytes > PIECE_BYTES) this.#renew();
    copyWords(source, from, this.#words, this.#at >>> 2, bytes);
  }

  /** What was put last, as a Buffer. */
  take(bytes: number): Buffer {
    const at = this.#at;
    this.#at = at + ((bytes + 7) & ~7);
    return new SmallBuffer(this.#memory, this.#base + at, bytes);
  }

  #renew(): void {
    this.#piece = Buffer.allocUnsafe(PIECE_BYTES);
    this.#words = wordsOf(this.#piece);
    this.#memory = this.#piece.buffer as ArrayBuffer;
    this.#base = this.#piece.byteOffset;
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
    this.#targetWords = wordsOf(target);
    return this.#targetWords;
  }
}

function wordsOf(piece: Uint8Array): Int32Array {
  return new Int32Array(piece.buffer, piece.byteOffset, piece.length >>> 2);
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
