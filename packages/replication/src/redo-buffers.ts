/** A pool of buffers for redo frames on their way, shared by all connections of a node.
 *
 *  A connection holds one only while a frame is in flight, so 64 partitions do not cost 64 buffers.
 *  Bounded by the connections, each of which holds at most one; what is idle is kept up to `idleBuffersMax`. */
import { REDO_RECORD_BYTES_MAX } from '@ingot/store';

const idleBuffersMax = 8;

export class RedoBuffers {
  readonly #idle: Buffer[] = [];

  /** A buffer for one REDO payload, 4-aligned; contents undefined. */
  take(): Buffer {
    return this.#idle.pop() ?? Buffer.allocUnsafeSlow(REDO_RECORD_BYTES_MAX);
  }

  give(buffer: Buffer): void {
    if (this.#idle.length < idleBuffersMax) this.#idle.push(buffer);
  }
}
