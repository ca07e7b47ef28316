/** Which arguments of a command are keys, by Redis' (first, last, step) rule. */

import type { Args } from '../resp/args.ts';
import type { Desk } from './desk.ts';
import type { Command, KeyPositions } from './execution.ts';

/** Index of the last key argument of a call with `count` arguments. */
export function lastKeyIndex(keys: KeyPositions, count: number): number {
  return keys.last < 0 ? count + keys.last : keys.last;
}

export function keyIndexes(keys: KeyPositions, count: number): number[] {
  const found: number[] = [];
  if (keys.first === 0) return found;
  const last = lastKeyIndex(keys, count);
  for (let i = keys.first; i <= last; i += keys.step) found.push(i);
  return found;
}

/** The partition of all keys of a call, or -1 when they are of several. */
export function onePartition(desk: Desk, command: Command, args: Args): number {
  const { keys } = command;
  const last = lastKeyIndex(keys, args.count);
  const partitionId = desk.partitionOf(args, keys.first);
  for (let i = keys.first + keys.step; i <= last; i += keys.step) {
    if (desk.partitionOf(args, i) !== partitionId) return -1;
  }
  return partitionId;
}
