/** What a key looked like when it was watched, as a word that travels between nodes: the partition's
 *  epoch, the last change of the key's bucket, and whether the key was there. Equal tokens mean that
 *  nobody changed the key; expiry shows in the last part, since it changes no bucket by itself. */

import type { Buffer } from 'node:buffer';
import { hashKey, type Partition } from '@ingot/store';
import type { Desk } from './desk.ts';

/** Inside a passage or the read protocol. */
export function tokenNow(partition: Partition, key: Buffer, hash: number, nowMs: number): string {
  const there = partition.find(hash, key, 0, key.length, nowMs) === 0 ? 0 : 1;
  return `${partition.epoch()}.${partition.bucketSeq(hash)}.${there}`;
}

export function readToken(desk: Desk, partition: Partition, key: Buffer): string {
  const hash = hashKey(key, 0, key.length);
  partition.enter();
  const token = tokenNow(partition, key, hash, desk.execution.nowMs);
  partition.leave();
  return token;
}
