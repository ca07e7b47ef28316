/** Strings as bytes for a map's calls, without garbage: encoded into one buffer that is used again, and seen through views
 *  that are made once per length.
 *
 *  Owner: one map of one thread. What `of` returns is good until the next string. */

/** Longer strings get a buffer of their own. */
const KEPT_BYTES_MAX = 4_096;
/** UTF-8 needs at most three bytes for a UTF-16 unit. */
const UTF8_BYTES_PER_UNIT = 3;
/** Up to here a loop over ASCII is cheaper than a call of Buffer.write. */
const LOOP_UNITS_MAX = 48;
const ASCII_MAX = 0x7f;

export class MapBytes {
  readonly #buffer: Buffer = Buffer.allocUnsafeSlow(KEPT_BYTES_MAX);
  readonly #views: (Buffer | undefined)[] = [];

  /** Bytes stay what they are; a string becomes its UTF-8. */
  of(text: string | Uint8Array): Uint8Array {
    if (typeof text !== 'string') return text;
    if (text.length <= LOOP_UNITS_MAX && this.#isAscii(text)) return this.#view(text.length);
    if (text.length * UTF8_BYTES_PER_UNIT > KEPT_BYTES_MAX) return Buffer.from(text);
    return this.#view(this.#buffer.write(text));
  }

  /** Writes the text while it is ASCII. False: it is not. */
  #isAscii(text: string): boolean {
    const buffer = this.#buffer;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      if (unit > ASCII_MAX) return false;
      buffer[i] = unit;
    }
    return true;
  }

  #view(bytes: number): Buffer {
    let view = this.#views[bytes];
    if (view === undefined) {
      view = this.#buffer.subarray(0, bytes);
      this.#views[bytes] = view;
    }
    return view;
  }
}
