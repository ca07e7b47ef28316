/** What a format has to offer to take part in the serialization table.
 *
 *  A sender begins with the records in the form that is natural for the format, built before the
 *  clock starts; an `Encoder` turns them into bytes, every message anew. A receiver hands out the
 *  memory where the bytes land and sums every field of every record out of them. */
import type { Sums } from '../quote.ts';

export interface Codec {
  readonly name: string;
  /** How it is done, in one line. */
  readonly shape: string;
  encoder(count: number): Encoder;
  decoder(count: number): Decoder;
}

export interface Encoder {
  /** Makes `message` the flags of the first record, so that no two messages are equal. */
  number(message: number): void;
  /** The records as pieces, to be written in this order. */
  encode(): readonly Uint8Array[];
}

export interface Decoder {
  /** Where the rest of a payload belongs, of which `filled` bytes have landed. */
  target(filled: number, payloadBytes: number): Buffer;
  sum(payloadBytes: number): Sums;
}

/** Memory of a receiver that needs a message whole: kept from one to the next, grown when
 *  needed. */
export class Landing {
  #bytes: Buffer = Buffer.alloc(0);

  target(filled: number, payloadBytes: number): Buffer {
    if (this.#bytes.length < payloadBytes) this.#bytes = Buffer.from(new ArrayBuffer(payloadBytes));
    return this.#bytes.subarray(filled, payloadBytes);
  }

  payload(payloadBytes: number): Buffer {
    return this.#bytes.subarray(0, payloadBytes);
  }
}
