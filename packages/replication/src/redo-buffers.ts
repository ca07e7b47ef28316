/** A pool of buffers for redo frames on their way, shared by all connections of a node.
 *
 *  A connection holds one only while a frame is in flight, so 64 partitions do not cost 64 large buffers. There are
 *  two sizes, because most frames are small, and dozens of partitions have one in flight at a time: what is not kept
 *  is made anew, and memory outside of the heap that comes and goes keeps Node's garbage collector marking.
 *  Bounded by the connections, each of which holds at most one; what is idle is kept up to so many of each size, the
 *  longest idle is taken first: whoever gave one may have it back as it was for a while. */
import { REDO_RECORD_BYTES_MAX } from '@ingot/store';

export const smallRedoBytes = 16_384;
export const idleBuffersMax = 8;
export const idleSmallBuffersMax = 128;

const nobody = (): void => {};

/** Buffer -> whom to tell that its contents are gone; longest idle first. */
type Idle = Map<Buffer, () => void>;

export class RedoBuffers {
  readonly #small: Idle = new Map();
  readonly #large: Idle = new Map();

  /** A buffer for a REDO payload of so many bytes, or more, 4-aligned; contents undefined. */
  take(bytes: number = REDO_RECORD_BYTES_MAX): Buffer {
    const isSmall = bytes <= smallRedoBytes;
    return (
      takeLongestIdle(isSmall ? this.#small : this.#large) ??
      Buffer.allocUnsafeSlow(isSmall ? smallRedoBytes : REDO_RECORD_BYTES_MAX)
    );
  }

  /** `gone` is called when the buffer is used for something else, or no longer kept. */
  give(buffer: Buffer, gone: () => void = nobody): void {
    const isSmall = buffer.length === smallRedoBytes;
    const idle = isSmall ? this.#small : this.#large;
    idle.set(buffer, gone);
    if (idle.size > (isSmall ? idleSmallBuffersMax : idleBuffersMax)) takeLongestIdle(idle);
  }

  /** Takes back a buffer that was given and of which nobody was told that it is gone. */
  reclaim(buffer: Buffer): void {
    (buffer.length === smallRedoBytes ? this.#small : this.#large).delete(buffer);
  }
}

function takeLongestIdle(idle: Idle): Buffer | null {
  for (const [buffer, gone] of idle) {
    idle.delete(buffer);
    gone();
    return buffer;
  }
  return null;
}
