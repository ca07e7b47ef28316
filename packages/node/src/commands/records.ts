/** How commands look records up and write them: hashing, hit counting, the store's refusals.
 *  Inside the read protocol or a passage, as the kind of the command says; allocates nothing. */

import {
  BUSY,
  KEY_BYTES_MAX,
  NEEDS_PASSAGES,
  OUT_OF_MEMORY as STORE_OUT_OF_MEMORY,
  type Partition,
  SET_OK,
  TOO_LARGE,
} from '@ingot/store';
import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Execution } from '../serving/execution.ts';
import { keyTooLarge, NOT_STAGED, OUT_OF_MEMORY, TOO_MANY_LARGE, valueTooLarge } from './errors.ts';

/** The record whose key is argument `i`, or 0; counted as a hit or a miss. */
export function lookUp(execution: Execution, args: Args, i: number): number {
  const ref = find(execution, args, i);
  if (ref === 0) execution.misses++;
  else execution.hits++;
  return ref;
}

/** As `lookUp`, and the record counts as used, unless the client is not to count (CLIENT NO-TOUCH):
 *  eviction passes it by once. */
export function lookUpAndMark(execution: Execution, args: Args, i: number): number {
  const ref = lookUp(execution, args, i);
  if (ref !== 0 && !execution.session.noTouch) execution.partition.mark(ref);
  return ref;
}

/** The record whose key is argument `i`, or 0; counted nowhere (writes look before they change). */
export function find(execution: Execution, args: Args, i: number): number {
  const hash = execution.hash(args, i);
  const { partition, nowMs } = execution;
  return partition.find(hash, args.buf, args.start(i), args.bytes(i), nowMs);
}

/** Replies with the value of a record, or nil for ref 0. */
export function writeValue(execution: Execution, ref: number, out: ReplyWriter): void {
  const { partition } = execution;
  if (ref === 0) out.nil();
  else execution.values.put(partition, ref, 0, partition.valueBytes(ref), out);
}

/** Replies with the key of a record, or nil for ref 0. */
export function writeKey(partition: Partition, ref: number, out: ReplyWriter): void {
  if (ref === 0) out.nil();
  else writeImage(partition, partition.keyOffset(ref), partition.keyBytes(ref), out);
}

/** A torn read may ask for anything: that reply is thrown away, but must not leave the image. */
function writeImage(partition: Partition, start: number, bytes: number, out: ReplyWriter): void {
  const image = partition.imageBuffer;
  if (bytes < 0 || start + bytes > image.length) out.nil();
  else out.bulk(image, start, bytes);
}

/** Replies OK, or the error of a store that refused. */
export function replyOk(refused: string | null, out: ReplyWriter): void {
  if (refused === null) out.ok();
  else out.error(refused);
}

/** Replies an integer, or the error of a store that refused. */
export function replyInteger(
  refused: string | null,
  value: number | bigint,
  out: ReplyWriter,
): void {
  if (refused === null) out.integer(value);
  else out.error(refused);
}

/** Stores argument `valueAt` under the key that is argument `keyAt`; see `storeBytes`. */
export function storeArgument(
  execution: Execution,
  args: Args,
  keyAt: number,
  valueAt: number,
  expiresAtMs: number,
): string | null {
  const start = args.start(valueAt);
  return storeBytes(execution, args, keyAt, args.buf, start, args.bytes(valueAt), expiresAtMs);
}

/** Stores `bytes` bytes of `value` under the key that is argument `keyAt`. An expiry that has
 *  passed removes the key instead: nobody would see the record.
 *  @returns the error reply when the store refused, or null. */
export function storeBytes(
  execution: Execution,
  args: Args,
  keyAt: number,
  value: Uint8Array,
  start: number,
  bytes: number,
  expiresAtMs: number,
): string | null {
  const { partition, nowMs } = execution;
  if (expiresAtMs !== 0 && expiresAtMs <= nowMs) {
    removeKey(execution, args, keyAt);
    return null;
  }
  const hash = execution.hash(args, keyAt);
  const keyStart = args.start(keyAt);
  const keyBytes = args.bytes(keyAt);
  const code = partition.set(
    hash,
    args.buf,
    keyStart,
    keyBytes,
    value,
    start,
    bytes,
    expiresAtMs,
    nowMs,
  );
  if (code === SET_OK) return null;
  if (code !== NEEDS_PASSAGES) return refusal(code, partition, keyBytes, bytes);
  const { staged } = execution;
  const write = staged?.take(partition, args.buf, keyStart, keyStart + keyBytes, bytes) ?? null;
  if (write === null) {
    execution.undone = true;
    return NOT_STAGED;
  }
  const published = write.publishInside(expiresAtMs, nowMs);
  return published === SET_OK ? null : refusal(published, partition, keyBytes, bytes);
}

/** The error reply for a code of the store. */
export function refusal(
  code: number,
  partition: Partition,
  keyBytes: number,
  valueBytes: number,
): string {
  if (code === STORE_OUT_OF_MEMORY) return OUT_OF_MEMORY;
  if (code === TOO_LARGE) return sizeError(partition, keyBytes, valueBytes);
  return code === BUSY ? TOO_MANY_LARGE : NOT_STAGED;
}

/** The error reply for a record that no memory can hold, or null. */
export function tooLarge(
  partition: Partition,
  keyBytes: number,
  valueBytes: number,
): string | null {
  const fits = keyBytes <= KEY_BYTES_MAX && valueBytes <= partition.values.valueBytesMax(keyBytes);
  return fits ? null : sizeError(partition, keyBytes, valueBytes);
}

function sizeError(partition: Partition, keyBytes: number, valueBytes: number): string {
  if (keyBytes > KEY_BYTES_MAX) return keyTooLarge(keyBytes, KEY_BYTES_MAX);
  return valueTooLarge(valueBytes, partition.values.valueBytesMax(keyBytes));
}

/** Lets the key that is argument `i` expire at a unix time in ms; one that has passed removes it.
 *  @returns 1 when the key was there, else 0. */
export function expireAt(execution: Execution, args: Args, i: number, unixMs: number): number {
  if (unixMs <= execution.nowMs) return removeKey(execution, args, i);
  return setExpiry(execution, args, i, unixMs);
}

/** Lets the key that is argument `i` live for ever. Returns 1 when the key was there, else 0. */
export function dropExpiry(execution: Execution, args: Args, i: number): number {
  return setExpiry(execution, args, i, 0);
}

function setExpiry(execution: Execution, args: Args, i: number, expiresAtMs: number): number {
  const hash = execution.hash(args, i);
  const { partition, nowMs } = execution;
  return partition.setExpiry(hash, args.buf, args.start(i), args.bytes(i), expiresAtMs, nowMs);
}

/** Removes the key that is argument `i`; 1 when it was there, else 0. */
export function removeKey(execution: Execution, args: Args, i: number): number {
  const hash = execution.hash(args, i);
  const { partition, nowMs } = execution;
  return partition.remove(hash, args.buf, args.start(i), args.bytes(i), nowMs);
}
