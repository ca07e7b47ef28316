/** Cuts a byte stream into frames without copying payloads.
 *
 *  Push parser: `target()` says where the next bytes belong, `advance(bytes)` that so many arrived there. The
 *  owner of the connection places each payload (`place`), which is how CHUNK bytes land straight in the
 *  image and nothing is allocated before its header was found valid.
 *  Invariant: after the first broken rule the reader is of no further use; the connection must end. */
import { decodeHeader, FRAME_HEADER_BYTES, type FrameHeader, payloadIntact } from './frame.ts';

export interface FrameSink {
  /** Where the payload of this frame belongs (exactly `payloadBytes` long), or the rule it breaks. */
  place(header: FrameHeader): Buffer | string;
  /** A whole frame has arrived. Returns the rule it breaks, or null. */
  frame(header: FrameHeader, payload: Buffer): string | null;
}

const EMPTY = Buffer.alloc(0);

export class FrameReader {
  readonly #sink: FrameSink;
  readonly #headerBytes: Buffer = Buffer.alloc(FRAME_HEADER_BYTES);
  #header: FrameHeader | null = null;
  #payload: Buffer = EMPTY;
  #filled = 0;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** The bytes that the next `advance` fills from its start; never empty. */
  target(): Buffer {
    const whole = this.#header === null ? this.#headerBytes : this.#payload;
    return this.#filled === 0 ? whole : whole.subarray(this.#filled);
  }

  /** Bytes arrived at the start of the last `target()`. Returns the broken rule, or null. */
  advance(bytes: number): string | null {
    this.#filled += bytes;
    if (this.#header === null) {
      if (this.#filled < FRAME_HEADER_BYTES) return null;
      const header = decodeHeader(this.#headerBytes);
      if (typeof header === 'string') return header;
      if (header.payloadBytes === 0) return this.#finish(header, EMPTY);
      const payload = this.#sink.place(header);
      if (typeof payload === 'string') return payload;
      this.#header = header;
      this.#payload = payload;
      this.#filled = 0;
      return null;
    }
    if (this.#filled < this.#header.payloadBytes) return null;
    return this.#finish(this.#header, this.#payload);
  }

  /** Feeds bytes that arrived elsewhere. Returns the broken rule, or null. */
  push(bytes: Buffer): string | null {
    for (let at = 0; at < bytes.length; ) {
      const copied = bytes.copy(this.target(), 0, at);
      at += copied;
      const broken = this.advance(copied);
      if (broken !== null) return broken;
    }
    return null;
  }

  #finish(header: FrameHeader, payload: Buffer): string | null {
    this.#header = null;
    this.#payload = EMPTY;
    this.#filled = 0;
    if (!payloadIntact(header, payload)) return 'the payload checksum holds';
    return this.#sink.frame(header, payload);
  }
}
