/** A pool of buffers for redo frames on their way, shared by all connections of a node.
 *
 *  A connection holds one only while a frame is in flight, so 64 partitions do not cost 64 buffers.
 *  Bounded by the connections, each of which holds at most one; what is idle is kept up to `idleBuffersMax`, the
 *  longest idle is taken first: whoever gave one may have it back as it was for a while. */
import { REDO_RECORD_BYTES_MAX } from '@ingot/store';

export const idleBuffersMax = 8;

const nobody = (): void => {};

export class RedoBuffers {
  /** Buffer -> whom to tell that its contents are gone; longest idle first. */
  readonly #idle = new Map<Buffer, () => void>();

  /** A buffer for one REDO payload, 4-aligned; contents undefined. */
  take(): Buffer {
    return this.#takeLongestIdle() ?? Buffer.allocUnsafeSlow(REDO_RECORD_BYTES_MAX);
  }

  /** `gone` is called when the buffer is used for something else, or no longer kept. */
  give(buffer: Buffer, gone: () => void = nobody): void {
    this.#idle.set(buffer, gone);
    if (this.#idle.size > idleBuffersMax) this.#takeLongestIdle();
  }

  /** Takes back a buffer that was given and of which nobody was told that it is gone. */
  reclaim(buffer: Buffer): void {
    this.#idle.delete(buffer);
  }

  #takeLongestIdle(): Buffer | null {
    for (const [buffer, gone] of this.#idle) {
      this.#idle.delete(buffer);
      gone();
      return buffer;
    }
    return null;
  }
}
