/** Keys gathered while partitions are walked, so that a reply can begin with their number.
 *  Bytes go into one growing buffer that is kept for the next time; what a torn read added is taken
 *  back with `rewind`. One list per worker, used within one command. */

import type { ReplyWriter } from '../resp/reply-writer.ts';

const BYTES_INITIAL = 4096;
/** More than this is given back after the reply: one KEYS * must not hold memory for ever. */
const BYTES_KEPT_MAX = 1 << 20;
const LENGTH_BYTES = 4;

export class KeyList {
  count = 0;
  private buffer: Buffer = Buffer.allocUnsafeSlow(BYTES_INITIAL);
  /** End of the bytes in use: each key is its length (u32) and its bytes. */
  private end = 0;

  add(source: Buffer, start: number, bytes: number): void {
    const needed = this.end + LENGTH_BYTES + bytes;
    if (needed > this.buffer.length) this.grow(needed);
    this.buffer.writeUInt32LE(bytes, this.end);
    source.copy(this.buffer, this.end + LENGTH_BYTES, start, start + bytes);
    this.end = needed;
    this.count++;
  }

  /** Where the list ends now; `rewind` takes back what was added since. */
  mark(): { readonly end: number; readonly count: number } {
    return { end: this.end, count: this.count };
  }

  rewind(mark: { readonly end: number; readonly count: number }): void {
    this.end = mark.end;
    this.count = mark.count;
  }

  /** Replies with an array of all keys, or of `max`, and empties the list. */
  writeAndClear(out: ReplyWriter, max: number = this.count): void {
    let left = Math.min(this.count, max);
    out.array(left);
    for (let at = 0; left > 0; left--) {
      const bytes = this.buffer.readUInt32LE(at);
      out.bulk(this.buffer, at + LENGTH_BYTES, bytes);
      at += LENGTH_BYTES + bytes;
    }
    this.rewind({ end: 0, count: 0 });
    if (this.buffer.length > BYTES_KEPT_MAX) this.buffer = Buffer.allocUnsafeSlow(BYTES_INITIAL);
  }

  private grow(bytes: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(bytes, this.buffer.length * 2));
    this.buffer.copy(larger, 0, 0, this.end);
    this.buffer = larger;
  }
}
