/** The control port of one other node, as functions. Each call has a deadline; a refusal arrives as
 *  the IngotError that the other side threw, anything else as grpc-js's ServiceError.
 *  The channel reconnects by itself, with a bounded backoff, and notices a peer that fell
 *  silent. */
import {
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  Metadata,
} from '@grpc/grpc-js';
import type { ClusterMap, NodeId } from '../shared/map.ts';
import type { JoinRequest } from './registration.ts';
import { Control, type HeartbeatAck, type MapReply, type NodeStatus } from './gen/ingot_pb.ts';
import {
  callUnary,
  channelOptions,
  clusterIdKey,
  fromWire,
  openBidiStream,
  openServerStream,
} from './grpc-adapter.ts';
import type { CompareAndSetOutcome } from './map-store.ts';
import type { Seal } from './seal-guard.ts';
import type { HandOver } from './steps.ts';
import type { ClusterStatus, VerifyProgress, VerifyReport } from './types.ts';
import { clusterStatusFromWire, mapFromWire, mapToWire, verifyReportFromWire } from './wire.ts';

const callTimeoutMs = 2_000;
/** The asked node itself gives the others `callTimeoutMs`. */
const statusTimeoutMs = 5_000;

const reconnectOptions = {
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.min_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
  'grpc.keepalive_time_ms': 1_000,
  'grpc.keepalive_timeout_ms': 1_000,
};

export type JoinOutcome = { map: ClusterMap } | { askInstead: string };

export class ControlClient {
  readonly address: string;
  readonly #client: Client;
  readonly #metadata = new Metadata();

  /** `address` is host:port. `clusterId` is null for callers that belong to no cluster. */
  constructor(address: string, clusterId: string | null) {
    this.address = address;
    this.#client = new Client(address, credentials.createInsecure(), {
      ...channelOptions,
      ...reconnectOptions,
    });
    if (clusterId !== null) this.#metadata.set(clusterIdKey, clusterId);
  }

  close(): void {
    this.#client.close();
  }

  async join(request: JoinRequest): Promise<JoinOutcome> {
    const { outcome } = await callUnary(
      this.#client,
      Control.method.join,
      { ...request, node: request.id },
      this.#metadata,
      deadline(callTimeoutMs),
    );
    if (outcome.case === 'mapJson') return { map: mapFromWire(outcome.value) };
    return { askInstead: outcome.value ?? '' };
  }

  /** Resolves when the node is out of the map, however long that takes. */
  async leave(node: NodeId): Promise<void> {
    await callUnary(this.#client, Control.method.leave, { node }, this.#metadata, {});
  }

  async readMap(): Promise<ClusterMap> {
    const reply = await callUnary(
      this.#client,
      Control.method.readMap,
      {},
      this.#metadata,
      deadline(callTimeoutMs),
    );
    return mapFromWire(reply.mapJson);
  }

  async compareAndSetMap(
    expected: bigint,
    next: ClusterMap,
    operationId: string,
  ): Promise<CompareAndSetOutcome> {
    const { conflict } = await callUnary(
      this.#client,
      Control.method.compareAndSetMap,
      { expectedVersion: expected, mapJson: mapToWire(next), operationId },
      this.#metadata,
      deadline(callTimeoutMs),
    );
    return conflict ? 'conflict' : 'ok';
  }

  watchMap(fromVersion: bigint): ClientReadableStream<MapReply> {
    return openServerStream(this.#client, Control.method.watchMap, { fromVersion }, this.#metadata);
  }

  heartbeat(): ClientDuplexStream<NodeStatus, HeartbeatAck> {
    return openBidiStream(this.#client, Control.method.heartbeat, this.#metadata);
  }

  async seal({ partition, epoch, to }: HandOver): Promise<Seal> {
    const { ok, seq, why, sealId } = await callUnary(
      this.#client,
      Control.method.seal,
      { partition, epoch, to },
      this.#metadata,
      deadline(callTimeoutMs),
    );
    return { ok, seq: Number(seq), why, sealId };
  }

  async unseal(partition: number, sealId: number): Promise<void> {
    await callUnary(
      this.#client,
      Control.method.unseal,
      { partition, sealId },
      this.#metadata,
      deadline(callTimeoutMs),
    );
  }

  async status(scope: 'node' | 'cluster'): Promise<ClusterStatus> {
    const reply = await callUnary(
      this.#client,
      Control.method.status,
      { localOnly: scope === 'node' },
      this.#metadata,
      deadline(scope === 'node' ? callTimeoutMs : statusTimeoutMs),
    );
    return clusterStatusFromWire(reply);
  }

  /** Compares the copies of these partitions, which the asked node leads; of the whole cluster
   *  where the list is empty. Yields what was found since the yield before. */
  async *verify(
    partitions: readonly number[],
  ): AsyncGenerator<{ progress: VerifyProgress; found: VerifyReport }> {
    const stream = openServerStream(
      this.#client,
      Control.method.verify,
      { partitions: [...partitions] },
      this.#metadata,
    );
    try {
      for await (const event of stream) {
        const { partitionsDone, partitionsTotal } = event;
        yield { progress: { partitionsDone, partitionsTotal }, found: verifyReportFromWire(event) };
      }
    } catch (error) {
      throw fromWire(error);
    }
  }
}

function deadline(timeoutMs: number): { deadline: number } {
  return { deadline: Date.now() + timeoutMs };
}
