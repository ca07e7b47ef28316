/** What a key looked like when it was watched, as a word that travels between nodes: the
 *  partition's epoch, the last change of the key's bucket, and whether the key was there. Equal
 *  tokens mean that nobody changed the key; expiry shows in the last part, since it changes no
 *  bucket by itself. Inside a passage numbers are compared, so that nothing is allocated there. */

import type { Buffer } from 'node:buffer';
import { hashKey, type Partition } from '@ingot/store';
import type { Desk } from './desk.ts';
import type { WatchedKey } from './transaction-state.ts';

/** A watched key, ready to be compared. */
export interface KnownKey {
  readonly key: Buffer;
  readonly hash: number;
  readonly epoch: number;
  readonly bucketSeq: number;
  readonly present: number;
}

export function readToken(desk: Desk, partition: Partition, key: Buffer): string {
  const hash = hashKey(key, 0, key.length);
  partition.enter();
  const epoch = partition.epoch();
  const bucketSeq = partition.bucketSeq(hash);
  const present = presentNow(partition, key, hash, desk.execution.nowMs);
  partition.leave();
  return `${epoch}.${bucketSeq}.${present}`;
}

/** A token that is none makes a key that counts as changed. */
export function knownKey({ key, token }: WatchedKey): KnownKey {
  const [epoch, bucketSeq, present] = token.split('.').map(Number);
  return { key, hash: hashKey(key, 0, key.length), epoch, bucketSeq, present };
}

/** Inside a passage: nobody has changed any of these keys. */
export function areUnchanged(
  partition: Partition,
  known: readonly KnownKey[],
  nowMs: number,
): boolean {
  for (let i = 0; i < known.length; i++) {
    const { key, hash, epoch, bucketSeq, present } = known[i];
    if (partition.epoch() !== epoch || partition.bucketSeq(hash) !== bucketSeq) return false;
    if (presentNow(partition, key, hash, nowMs) !== present) return false;
  }
  return true;
}

function presentNow(partition: Partition, key: Buffer, hash: number, nowMs: number): number {
  return partition.find(hash, key, 0, key.length, nowMs) === 0 ? 0 : 1;
}
