/** What every call at the control port goes through: who calls, and how errors become answers. */
import {
  type handleUnaryCall,
  type Metadata,
  type sendUnaryData,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { peerRefusal } from '@ingot/replication';
import { NoQuorum } from '../register/caspaxos-map-store.ts';
import { type IngotError, refusal } from '../shared/errors.ts';
import { clusterIdKey, forwardedKey, toWire } from './grpc-adapter.ts';

/** Who calls, as far as gRPC knows. */
export interface Caller {
  readonly metadata: Metadata;
  /** `host:port` */
  readonly peer: string;
}

/** Not now: whoever asks may ask again, or elsewhere. */
export class NotReady extends Error {}

export function callerOf(call: { readonly metadata: Metadata; getPeer(): string }): Caller {
  return { metadata: call.metadata, peer: call.getPeer() };
}

/** A node handed on what it was asked itself. */
export function isForwarded({ metadata }: Caller): boolean {
  return metadata.get(forwardedKey).length > 0;
}

/** Throws an IngotError where the call is meant for another cluster. Guests need not say for
 *  which. */
export function checkCluster(
  { metadata }: Caller,
  own: string,
  clusterId: 'required' | 'optional',
): void {
  const [named] = metadata.get(clusterIdKey);
  if (named === own || (named === undefined && clusterId === 'optional')) return;
  throw refusal(
    'OTHER_CLUSTER',
    `this node belongs to cluster ${own}, ` +
      `the call is meant for ${String(named ?? 'none')}; check the addresses`,
  );
}

export function impostor(detail: string): IngotError {
  return refusal('PEER_REFUSED', peerRefusal('certificateName', detail).text);
}

export function unary<Request, Reply>(
  answer: (request: Request, caller: Caller) => Promise<Reply>,
): handleUnaryCall<Request, Reply> {
  return (call, callback) => void settle(answer(call.request, callerOf(call)), callback);
}

export function streaming<Call extends { emit(event: 'error', error: object): boolean }>(
  answer: (call: Call) => Promise<void>,
): (call: Call) => void {
  return (call) => {
    answer(call).catch((error: unknown) => call.emit('error', serviceError(error)));
  };
}

async function settle<Reply>(
  answer: Promise<Reply>,
  callback: sendUnaryData<Reply>,
): Promise<void> {
  try {
    callback(null, await answer);
  } catch (error) {
    callback(serviceError(error));
  }
}

function serviceError(error: unknown): Partial<ServiceError> {
  if (error instanceof NotReady || error instanceof NoQuorum) {
    return { code: status.UNAVAILABLE, details: error.message };
  }
  return toWire(error);
}
