/** Follows the frames of one direction of a replication connection while its bytes pass by: which frame is
 *  this, and where in it are we. Cuts what arrives into parts that lie in one header or in one payload.
 *
 *  A header is held back until it is whole, so that its type is known before its first byte goes on. Bytes in
 *  front of the first frame (the proof of a cluster secret) pass as parts of the kind `preamble`. */
import { CHUNK, FRAME_HEADER_BYTES, FRAME_MAGIC } from '../../packages/replication/src/frame.ts';

export interface Part {
  readonly kind: 'preamble' | 'header' | 'payload';
  /** Counted per direction, from 0; -1 in the preamble. */
  readonly frame: number;
  readonly type: number;
  /** Of a CHUNK frame. */
  readonly chunk: number;
  /** Where `bytes` begin in the header or the payload. */
  readonly at: number;
  readonly bytes: Buffer;
}

const TYPE_AT = 4;
const PAYLOAD_BYTES_AT = 8;
const CHUNK_AT = 28;

export class FrameTap {
  #frame = -1;
  #type = 0;
  #chunk = -1;
  #payloadBytes = 0;
  /** Of the payload at hand: passed so far. */
  #passed = 0;
  #header: Buffer = Buffer.alloc(0);
  #preambleLeft: number;

  constructor(preambleBytes = 0) {
    this.#preambleLeft = preambleBytes;
  }

  /** The parts that may go on now. */
  push(arrived: Buffer): Part[] {
    const parts: Part[] = [];
    let bytes = arrived;
    while (bytes.length > 0) {
      if (this.#preambleLeft > 0) bytes = this.#takePreamble(bytes, parts);
      else if (this.#passed < this.#payloadBytes) bytes = this.#takePayload(bytes, parts);
      else bytes = this.#takeHeader(bytes, parts);
    }
    return parts;
  }

  /** What of a header is held back: for when nothing more comes. */
  rest(): Buffer {
    return this.#header;
  }

  #takePreamble(bytes: Buffer, parts: Part[]): Buffer {
    const piece = bytes.subarray(0, this.#preambleLeft);
    this.#preambleLeft -= piece.length;
    parts.push({ kind: 'preamble', frame: -1, type: 0, chunk: -1, at: 0, bytes: piece });
    return bytes.subarray(piece.length);
  }

  #takePayload(bytes: Buffer, parts: Part[]): Buffer {
    const piece = bytes.subarray(0, this.#payloadBytes - this.#passed);
    parts.push(this.#part('payload', this.#passed, piece));
    this.#passed += piece.length;
    return bytes.subarray(piece.length);
  }

  #takeHeader(bytes: Buffer, parts: Part[]): Buffer {
    const missing = FRAME_HEADER_BYTES - this.#header.length;
    const piece = bytes.subarray(0, missing);
    this.#header = Buffer.concat([this.#header, piece]);
    if (this.#header.length === FRAME_HEADER_BYTES) {
      const header = this.#header;
      if (header.readUInt32LE(0) !== FRAME_MAGIC) throw new Error('no frame starts here');
      this.#frame++;
      this.#type = header[TYPE_AT];
      this.#chunk = this.#type === CHUNK ? header.readUInt32LE(CHUNK_AT) : -1;
      this.#payloadBytes = header.readUInt32LE(PAYLOAD_BYTES_AT);
      this.#passed = 0;
      this.#header = Buffer.alloc(0);
      parts.push(this.#part('header', 0, header));
    }
    return bytes.subarray(piece.length);
  }

  #part(kind: Part['kind'], at: number, bytes: Buffer): Part {
    return { kind, frame: this.#frame, type: this.#type, chunk: this.#chunk, at, bytes };
  }
}
