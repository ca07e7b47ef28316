/** Raw bytes: the records lie in a SharedArrayBuffer, as they would in an image. The sender writes
 *  views of it, chunk by chunk; the receiver lands them in a buffer of its own, at the same
 *  offsets, and reads them there with typed arrays while the rest is still on its way. */
import { FLAGS_AT, QUOTE_BYTES, QUOTE_FIELDS, quoteAt, type Sums } from '../quote.ts';
import type { Codec } from './codec.ts';

/** Handed to the socket at a time, and read at a time: a part that the second level cache holds. */
const PIECE_BYTES = 262_144;

export const raw: Codec = {
  name: 'raw chunks',
  shape: 'views of a SharedArrayBuffer, landed in another; typed arrays at fixed offsets',
  encoder: (count) => {
    const image = imageOf(count);
    const pieces: Buffer[] = [];
    for (let at = 0; at < image.length; at += PIECE_BYTES) {
      pieces.push(image.subarray(at, at + PIECE_BYTES));
    }
    return {
      number: (message) => image.writeUInt32LE(message, FLAGS_AT),
      encode: () => pieces,
    };
  },
  decoder: (count) => {
    const image = Buffer.from(new SharedArrayBuffer(count * QUOTE_BYTES));
    const reader = new ImageReader(image.buffer);
    return {
      target: (filled, payloadBytes) => {
        reader.readTo(filled);
        return image.subarray(filled, Math.min(filled + PIECE_BYTES, payloadBytes));
      },
      sum: (payloadBytes) => {
        reader.readTo(payloadBytes);
        return reader.takeSums();
      },
    };
  },
};

function imageOf(count: number): Buffer {
  const image = Buffer.from(new SharedArrayBuffer(count * QUOTE_BYTES));
  for (let i = 0; i < count; i++) {
    const quote = quoteAt(i);
    const at = i * QUOTE_BYTES;
    for (const [name, offset, width] of QUOTE_FIELDS) {
      const value = quote[name];
      if (typeof value === 'string') image.write(value, at + offset, 'latin1');
      else if (name === 'seq') image.writeBigUInt64LE(BigInt(value), at + offset);
      else if (width === 8) image.writeDoubleLE(value, at + offset);
      else image.writeUInt32LE(value, at + offset);
    }
  }
  return image;
}

/** Sums records as they land. Offsets are those of `QUOTE_FIELDS`, in words and doubles. */
class ImageReader {
  readonly #words: Uint32Array;
  readonly #doubles: Float64Array;
  readonly #sums: Float64Array = new Float64Array(QUOTE_FIELDS.length);
  #readTo = 0;

  constructor(image: SharedArrayBuffer) {
    this.#words = new Uint32Array(image);
    this.#doubles = new Float64Array(image);
  }

  readTo(bytes: number): void {
    const from = this.#readTo;
    const to = bytes - (bytes % QUOTE_BYTES);
    if (to > from) this.#read(from, to);
    this.#readTo = to;
  }

  takeSums(): Sums {
    const sums = [...this.#sums];
    this.#sums.fill(0);
    this.#readTo = 0;
    return sums;
  }

  #read(from: number, to: number): void {
    const words = this.#words;
    const doubles = this.#doubles;
    const sums = this.#sums;
    let [bid, ask, last, seq, symbol, bidSize, askSize, lastSize, timeMs, venue, flags] = sums;
    for (let at = from; at < to; at += QUOTE_BYTES) {
      const d = at >>> 3;
      const w = at >>> 2;
      bid += doubles[d];
      ask += doubles[d + 1];
      last += doubles[d + 2];
      seq += words[w + 6] + words[w + 7] * 4_294_967_296;
      const low = words[w + 8];
      const high = words[w + 9];
      const pairs =
        (low & 0x00ff00ff) +
        ((low >>> 8) & 0x00ff00ff) +
        (high & 0x00ff00ff) +
        ((high >>> 8) & 0x00ff00ff);
      symbol += (pairs & 0xffff) + (pairs >>> 16);
      bidSize += words[w + 10];
      askSize += words[w + 11];
      lastSize += words[w + 12];
      timeMs += words[w + 13];
      venue += words[w + 14];
      flags += words[w + 15];
    }
    sums.set([bid, ask, last, seq, symbol, bidSize, askSize, lastSize, timeMs, venue, flags]);
  }
}
