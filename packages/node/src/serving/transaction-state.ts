/** What a connection remembers between MULTI and EXEC, and under WATCH. Plain data;
 *  transactions.ts gives it meaning. */

import type { Buffer } from 'node:buffer';
import type { Args } from '../resp/args.ts';

export interface QueuedCommand {
  readonly index: number;
  /** In memory of its own: the receive buffer is gone by EXEC. */
  readonly args: Args;
  /** Of its keys; -1 when it has none. */
  readonly partitionId: number;
}

export interface Transaction {
  readonly queued: QueuedCommand[];
  queuedBytes: number;
  /** A command was refused when it was queued: EXEC answers EXECABORT. */
  aborted: boolean;
}

export interface WatchedKey {
  readonly key: Buffer;
  readonly partitionId: number;
  /** What the key's bucket looked like, as its owner tells it; equal means unchanged. */
  readonly token: string;
}

export interface Watches {
  readonly keys: WatchedKey[];
}
