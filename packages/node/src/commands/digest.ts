/** Digests of values: the XXH3 hash that Redis 8.4 has, as 16 hexadecimal digits, so that a client can say
 *  which value it means without sending it. */

import type { Args } from '../resp/args.ts';
import type { ReplyWriter } from '../resp/reply-writer.ts';
import type { Execution } from '../serving/execution.ts';
import { piece, pieceWords, tellOfValue, visitValue } from './value-pieces.ts';
import { hashShort, LongHash, SHORT_BYTES_MAX, STRIPE_BYTES } from './xxh3.ts';

export const DIGEST_DIGITS = 16;
export const NOT_A_DIGEST: string =
  'ERR a digest must be exactly 16 hexadecimal digits, as DIGEST returns it';

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
  const digest = new LongDigest(valueBytes);
  const visited = visitValue(execution, args, keyAt, ref, 0, valueBytes, (bytes) =>
    digest.add(bytes),
  );
  return visited ? digest.end() : null;
}

/** Tells the digest of the value at `ref`, of the key that is argument 1. */
export function tellDigest(execution: Execution, args: Args, ref: number, out: ReplyWriter): void {
  const valueBytes = execution.partition.valueBytes(ref);
  if (valueBytes <= SHORT_BYTES_MAX) {
    out.bulkText(digestOf(execution, args, 1, ref) as string);
    return;
  }
  const digest = new LongDigest(valueBytes);
  const visit = (bytes: number): boolean => digest.add(bytes);
  const tell = (late: ReplyWriter): void => late.bulkText(digest.end());
  tellOfValue(execution, args, 1, ref, { from: 0, to: valueBytes, visit, tell }, out);
}

/** Of a value that comes in pieces. */
class LongDigest {
  private readonly hash: LongHash;
  /** The last stripe, which may lie in two pieces. */
  private readonly tail: Buffer = Buffer.alloc(STRIPE_BYTES);

  constructor(valueBytes: number) {
    this.hash = new LongHash(valueBytes);
  }

  /** The next `bytes`, in `piece`. Never enough. */
  add(bytes: number): boolean {
    const { tail } = this;
    this.hash.add(pieceWords, bytes);
    const fresh = Math.min(bytes, STRIPE_BYTES);
    tail.copyWithin(0, fresh);
    piece.copy(tail, STRIPE_BYTES - fresh, bytes - fresh, bytes);
    return false;
  }

  end(): string {
    const words = new Int32Array(STRIPE_BYTES / 4);
    for (let i = 0; i < words.length; i++) words[i] = this.tail.readInt32LE(4 * i);
    return digits(this.hash.end(words));
  }
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
