/** The register that holds the cluster map. One value, linearizable; the data path never asks it.
 *  Drivers: caspaxos-map-store.ts (acceptors among the nodes), memory-map-store.ts (tests,
 *  simulations). map-store-contract.fixture.ts holds what every driver must do. */
import { refusal } from '../shared/errors.ts';
import type { ClusterMap } from '../shared/map.ts';

export type CompareAndSetOutcome = 'ok' | 'conflict' | 'unknown';

export interface VersionedMap {
  version: bigint;
  map: ClusterMap;
}

export interface ClusterMapStore {
  /** Linearizable: at least as new as every change that was answered 'ok' before the call. Rejects
   *  when the store cannot be asked. */
  read(): Promise<VersionedMap>;
  /** Replaces the map if its version is still `expected`. `next` carries version expected + 1 and
   *  names `operationId` among its operations. 'unknown': no answer came; read, and look for the
   *  operation id. Never rejects for want of an answer. */
  compareAndSet(
    expected: bigint,
    next: ClusterMap,
    operationId: string,
  ): Promise<CompareAndSetOutcome>;
  /** Calls back with maps newer than `from`. A hint: versions may be skipped, none goes back.
   *  Returns the way to stop. */
  watch(from: bigint, onMap: (map: ClusterMap) => void): () => void;
}

/** Throws where a proposal is unsound. Every driver asks before it stores. */
export function checkProposal(expected: bigint, next: ClusterMap, operationId: string): void {
  if (BigInt(next.version) !== expected + 1n) {
    throw refusal('BAD_PROPOSAL', 'a proposed map carries the next version');
  }
  if (!Object.values(next.operations).includes(operationId)) {
    throw refusal('BAD_PROPOSAL', 'a proposed map names its operation id');
  }
}
