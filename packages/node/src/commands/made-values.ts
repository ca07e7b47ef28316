/** Values that a command makes itself, of other values or of its arguments: stored at once where one
 *  passage is enough. A larger one is staged first, outside of any passage, and the command runs
 *  again; what it is made of may have changed meanwhile, so a stamp says what that was. */

import { NEEDS_PASSAGES, SET_OK } from '@ingot/store';
import type { Args } from '../resp/args.ts';
import { CopyMaking, type Making } from '../serving/value-scan.ts';
import type { Execution } from '../serving/execution.ts';
import { NOT_STAGED, TOO_MANY_LARGE } from './errors.ts';
import { refusal, removeKey, tooLarge } from './records.ts';
import { SLICE_BYTES } from './value-pieces.ts';

/** How often a value is staged for one command, because what it is made of changed. */
const STAGED_MAX = 8;

/** Stores what `make` returns under the key that is argument `keyAt`. An expiry that has passed
 *  removes the key. `stamp`: equal where what it is made of is; `bytes`: how long it will be. `slowly`: makes the same a
 *  little at a time, where it is long.
 *  @returns the error reply when the store refused, or null. */
export function storeMade(
  execution: Execution,
  args: Args,
  keyAt: number,
  bytes: number,
  stamp: string,
  make: () => Buffer,
  expiresAtMs = 0,
  slowly: (() => Making) | null = null,
): string | null {
  const { partition, nowMs, staged } = execution;
  if (expiresAtMs !== 0 && expiresAtMs <= nowMs) {
    removeKey(execution, args, keyAt);
    return null;
  }
  const { buf } = args;
  const [start, keyBytes] = [args.start(keyAt), args.bytes(keyAt)];
  const told = (code: number): string | null =>
    code === SET_OK ? null : refusal(code, partition, keyBytes, bytes);
  const refused = tooLarge(partition, keyBytes, bytes);
  if (refused !== null) return refused;
  if (staged !== null) {
    const write = staged.takeMade(partition, buf, start, start + keyBytes, stamp);
    if (write !== null) return told(write.publishInside(expiresAtMs, nowMs));
    if (staged.tries >= STAGED_MAX) return TOO_MANY_LARGE;
  }
  if (slowly !== null && execution.maySlice && bytes > SLICE_BYTES) {
    execution.undone = true;
    execution.made = { key: keyAt, value: slowly(), bytes, stamp };
    return NOT_STAGED;
  }
  const value = make();
  const hash = execution.hash(args, keyAt);
  const code = partition.set(
    hash,
    buf,
    start,
    keyBytes,
    value,
    0,
    value.length,
    expiresAtMs,
    nowMs,
  );
  if (code !== NEEDS_PASSAGES) return told(code);
  execution.undone = true;
  execution.made = { key: keyAt, value, bytes, stamp };
  return NOT_STAGED;
}

/** The value of the key that is argument `keyAt`, which has this seq now, for whoever copies it later. */
export function copySlowly(
  execution: Execution,
  args: Args,
  keyAt: number,
  seq: number,
): CopyMaking {
  const { partition, nowMs } = execution;
  const hash = execution.hash(args, keyAt);
  const key = args.copy(keyAt);
  return new CopyMaking(() => partition.values.beginCopy(hash, key, 0, key.length, nowMs), seq);
}
