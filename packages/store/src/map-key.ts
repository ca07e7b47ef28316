/** The key of a call, ready to be looked up: its bytes in words of this thread's own, and their hash.
 *
 *  One per map and thread, good until the next `take`. In words a key is encoded, hashed, summed and compared four bytes
 *  at a time: for 16 characters that is half the time of single bytes. The last word is filled up with zeros. */
import { hashWords, partitionOfSlot, slotOfWords } from './hash.ts';

/** Keys that are longer get words of their own. */
const KEPT_WORDS = 1_024;
/** UTF-8 needs at most three bytes for a UTF-16 unit. */
const UTF8_BYTES_PER_UNIT = 3;
/** Up to here a loop over ASCII is cheaper than a call of Buffer.write. */
const LOOP_UNITS_MAX = 32;
const ASCII_MAX = 0x7f;

export class MapKey {
  words: Int32Array;
  /** Bytes of the key. */
  length = 0;
  hash = 0;
  #buffer: Buffer;
  readonly #views: (Uint8Array | undefined)[] = [];
  readonly #keptWords: Int32Array;
  readonly #keptBuffer: Buffer;

  constructor(keptWords: number = KEPT_WORDS) {
    this.words = new Int32Array(new ArrayBuffer(keptWords * 4));
    this.#buffer = Buffer.from(this.words.buffer);
    this.#keptWords = this.words;
    this.#keptBuffer = this.#buffer;
  }

  /** Makes it this key; a string stands for its UTF-8. */
  take(key: string | Uint8Array): void {
    const isText = typeof key === 'string';
    if (!isText || key.length > LOOP_UNITS_MAX || !this.#takeAscii(key)) this.#takeAny(key);
    this.hash = hashWords(this.words, this.length);
  }

  /** The same key, to be kept. */
  copy(): MapKey {
    const copy = new MapKey(Math.max((this.length + 3) >>> 2, 1));
    copy.take(this.bytes());
    return copy;
  }

  /** The key's bytes, and no more. */
  bytes(): Uint8Array {
    const { length } = this;
    if (this.words !== this.#keptWords) return this.#buffer.subarray(0, length);
    let view = this.#views[length];
    if (view === undefined) {
      view = this.#keptBuffer.subarray(0, length);
      this.#views[length] = view;
    }
    return view;
  }

  /** Of owners in the order of their partitions, the one of this key: the Redis hash slot decides. */
  ownerAmong<Owner>(owners: readonly Owner[]): Owner {
    if (owners.length === 1) return owners[0];
    return owners[
      partitionOfSlot(slotOfWords(this.words, this.#buffer, this.length), owners.length)
    ];
  }

  /** Writes the text while it is ASCII. False: it is not. */
  #takeAscii(text: string): boolean {
    const words = this.#keptWords;
    const { length } = text;
    let at = 0;
    let all = 0;
    for (const end = length & ~3; at < end; at += 4) {
      const a = text.charCodeAt(at);
      const b = text.charCodeAt(at + 1);
      const c = text.charCodeAt(at + 2);
      const d = text.charCodeAt(at + 3);
      all |= a | b | c | d;
      words[at >>> 2] = a | (b << 8) | (c << 16) | (d << 24);
    }
    if (at < length) {
      let last = 0;
      for (let i = at; i < length; i++) {
        const unit = text.charCodeAt(i);
        all |= unit;
        last |= unit << ((i & 3) << 3);
      }
      words[at >>> 2] = last;
    }
    this.words = words;
    this.#buffer = this.#keptBuffer;
    this.length = length;
    return all <= ASCII_MAX;
  }

  #takeAny(key: string | Uint8Array): void {
    const isText = typeof key === 'string';
    const bytesMax = key.length * (isText ? UTF8_BYTES_PER_UNIT : 1);
    const fits = bytesMax <= this.#keptBuffer.length;
    this.words = fits ? this.#keptWords : new Int32Array((bytesMax + 3) >>> 2);
    this.#buffer = fits ? this.#keptBuffer : Buffer.from(this.words.buffer);
    if (isText) this.length = this.#buffer.write(key);
    else {
      this.#buffer.set(key);
      this.length = key.length;
    }
    if ((this.length & 3) !== 0)
      this.words[this.length >>> 2] &= (1 << ((this.length & 3) << 3)) - 1;
  }
}
