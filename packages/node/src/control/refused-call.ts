/** What a call failed of, where its connection ended in the preamble: gRPC itself only knows that
 *  there was none. */
import { status } from '@grpc/grpc-js';
import type { PeerRefusal, PeerRefusalReason } from '@ingot/replication';
import { IngotError, refusal } from '../shared/errors.ts';

/** Waiting or asking elsewhere does not help against these: the two sides do not belong together
 *  until somebody changes one of them. */
const FINAL: ReadonlySet<PeerRefusalReason> = new Set([
  'noSecret',
  'noSecretHere',
  'otherSecret',
  'version',
  'noTls',
  'noTlsHere',
  'certificate',
  'certificateName',
]);

/** The error to throw on: an IngotError where the refusal is final, an unreachable peer with the
 *  refusal's sentence where it is not, `error` itself where there was none. */
export function refusedCall(error: unknown, last: PeerRefusal | null): unknown {
  const isUnavailable = (error as { code?: unknown }).code === status.UNAVAILABLE;
  if (error instanceof IngotError || last === null || !isUnavailable) return error;
  if (FINAL.has(last.reason)) return refusal('PEER_REFUSED', last.text);
  const { text } = last;
  return Object.assign(new Error(text), { code: status.UNAVAILABLE, details: text, refusal: last });
}
