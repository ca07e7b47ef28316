/** Digests of values: the XXH3 hash that Redis 8.4 has, as 16 hexadecimal digits, so that a client can say
 *  which value it means without sending it. */

import type { Args } from '../resp/args.ts';
import type { Execution } from '../serving/execution.ts';
import { piece, pieceWords, visitValue } from './value-pieces.ts';
import { hashShort, LongHash, SHORT_BYTES_MAX, STRIPE_BYTES } from './xxh3.ts';

export const DIGEST_DIGITS = 16;
export const NOT_A_DIGEST: string =
  'ERR a digest must be exactly 16 hexadecimal digits, as DIGEST returns it';

/** The last stripe of a value, which may lie in two pieces. */
const tail: Buffer = Buffer.alloc(STRIPE_BYTES);
const tailWords: Int32Array = new Int32Array(STRIPE_BYTES / 4);

/** The digest of the value at `ref`, of the key that is argument `keyAt`; null: torn. */
export function digestOf(
  execution: Execution,
  args: Args,
  keyAt: number,
  ref: number,
): string | null {
  const { partition } = execution;
  const valueBytes = partition.valueBytes(ref);
  if (valueBytes <= SHORT_BYTES_MAX) {
    partition.copyValue(ref, 0, valueBytes, piece, 0);
    return digits(hashShort(piece, 0, valueBytes));
  }
  const hash = new LongHash(valueBytes);
  const visited = visitValue(execution, args, keyAt, ref, 0, valueBytes, (bytes) => {
    hash.add(pieceWords, bytes);
    keepTail(bytes);
    return false;
  });
  if (!visited) return null;
  for (let i = 0; i < tailWords.length; i++) tailWords[i] = tail.readInt32LE(4 * i);
  return digits(hash.end(tailWords));
}

function keepTail(bytes: number): void {
  const fresh = Math.min(bytes, STRIPE_BYTES);
  tail.copyWithin(0, fresh);
  piece.copy(tail, STRIPE_BYTES - fresh, bytes - fresh, bytes);
}

function digits(hash: bigint): string {
  return hash.toString(16).padStart(DIGEST_DIGITS, '0');
}

/** Whether argument `i` could be a digest. */
export function isDigest(args: Args, i: number): boolean {
  return args.bytes(i) === DIGEST_DIGITS && /^[0-9a-f]+$/i.test(args.text(i));
}

/** Inside a passage: whether argument `i` is the digest of the value at `ref`. */
export function digestIs(
  execution: Execution,
  args: Args,
  keyAt: number,
  ref: number,
  i: number,
): boolean {
  return digestOf(execution, args, keyAt, ref) === args.text(i).toLowerCase();
}
