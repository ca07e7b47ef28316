/** The control port of one other node, as functions. Each call has a deadline; a refusal arrives as
 *  the IngotError that the other side threw, anything else as grpc-js's ServiceError.
 *  The channel reconnects by itself, with a bounded backoff, and notices a peer that fell
 *  silent. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { type CallOptions, Client, type ClientDuplexStream, Metadata } from '@grpc/grpc-js';
import { refusal } from '../shared/errors.ts';
import type { AcceptAnswer, Ballot, PrepareAnswer } from '../register/acceptor-calls.ts';
import { phaseTimeoutMs } from '../register/caspaxos-map-store.ts';
import type { ClusterMap, Life, NodeId } from '../shared/map.ts';
import type { JoinRequest } from './registration.ts';
import { Control, type HeartbeatAck, type NodeStatus } from './gen/ingot_pb.ts';
import {
  callUnary,
  channelOptions,
  clusterIdKey,
  forwardedKey,
  fromWire,
  type Method,
  openBidiStream,
  openServerStream,
  type Output,
} from './grpc-adapter.ts';
import type { FenceAnswer, FenceQuestion } from '../lease/fence-calls.ts';
import { type ControlAccess, PeerCredentials, PLAIN_ACCESS } from './peer-credentials.ts';
import { refusedCall } from './refused-call.ts';
import type { Seal } from './seal-guard.ts';
import type { HandOver } from './steps.ts';
import { acceptAnswerFromWire, ballotToWire, prepareAnswerFromWire } from './register-wire.ts';
import type {
  ClusterStatus,
  PartitionEpoch,
  SealedCopy,
  VerifyProgress,
  VerifyReport,
} from './types.ts';
import { clusterStatusFromWire, mapFromWire, mapToWire, verifyReportFromWire } from './wire.ts';

const callTimeoutMs = 2_000;
/** A failover waits for it, and others may have agreed already. */
const fenceTimeoutMs = 1_000;
/** The asked node itself gives the others `callTimeoutMs`. */
const statusTimeoutMs = 5_000;
/** A former life of the node may have to be over first. */
const joinTimeoutMs = 5_000;
const promoteTimeoutMs = 15_000;
/** One change of the map, which a failover may keep waiting. */
const capacityTimeoutMs = 5_000;

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
  readonly #credentials: PeerCredentials;
  readonly #metadata = new Metadata();

  /** `address` is host:port. `clusterId` is null for callers that belong to no cluster, `node` for
   *  those that do not know who is there. */
  constructor(
    address: string,
    clusterId: string | null,
    access: ControlAccess = PLAIN_ACCESS,
    node: NodeId | null = null,
  ) {
    this.address = address;
    this.#credentials = new PeerCredentials(access, address, node);
    this.#client = new Client(address, this.#credentials, {
      ...channelOptions,
      ...reconnectOptions,
    });
    if (clusterId !== null) this.#metadata.set(clusterIdKey, clusterId);
  }

  close(): void {
    this.#client.close();
  }

  async join(request: JoinRequest): Promise<JoinOutcome> {
    const { outcome } = await this.#unary(
      Control.method.join,
      { ...request, node: request.id, memoryIn: [...request.memoryIn] },
      deadline(joinTimeoutMs),
    );
    if (outcome.case === 'mapJson') return { map: this.#believed(mapFromWire(outcome.value)) };
    return { askInstead: outcome.value ?? '' };
  }

  /** Resolves when the node is out of the map, however long that takes. `isForwarded`: the asked node
   *  asks nobody else. */
  async leave(node: NodeId, isForwarded: boolean = false): Promise<void> {
    await this.#unary(Control.method.leave, { node }, {}, isForwarded);
  }

  /** Resolves when the life leads nothing, or nothing more that others could take, and writes with
   *  acks=isr wait for it no more. */
  async drain(life: Life, isForwarded: boolean = false): Promise<void> {
    await this.#unary(Control.method.drain, { life }, {}, isForwarded);
  }

  /** Resolves when the map says that the life, which serves nothing any more, is over. */
  async stopped(life: Life, isForwarded: boolean = false): Promise<void> {
    const options = deadline(callTimeoutMs);
    await this.#unary(Control.method.stopped, { life }, options, isForwarded);
  }

  /** Resolves when the node leads the partition. */
  async promote(
    partition: number,
    node: NodeId,
    acceptLoss: boolean,
    isForwarded: boolean = false,
  ): Promise<void> {
    const request = { partition, node, acceptLoss };
    const options = deadline(promoteTimeoutMs);
    await this.#unary(Control.method.promote, request, options, isForwarded);
  }

  /** Resolves when the map says so; nodes follow it at once. */
  async setCapacity(capacityBytes: number, isForwarded: boolean = false): Promise<void> {
    const request = { capacityBytes: BigInt(capacityBytes) };
    const options = deadline(capacityTimeoutMs);
    await this.#unary(Control.method.setCapacity, request, options, isForwarded);
  }

  /** What this life's copies are at, once they refuse these epochs. */
  async sealCopies(
    incarnation: number,
    partitions: readonly PartitionEpoch[],
  ): Promise<SealedCopy[]> {
    const { copies } = await this.#unary(
      Control.method.sealCopies,
      { incarnation, partitions: [...partitions] },
      deadline(callTimeoutMs),
    );
    return copies.map(({ id, epoch, applied, consistent, recovered }) => ({
      ...{ id, epoch, applied: Number(applied), consistent, recovered },
    }));
  }

  /** The newest map that the asked node knows to be chosen. */
  async readMap(): Promise<ClusterMap> {
    const reply = await this.#unary(Control.method.readMap, {}, deadline(callTimeoutMs));
    return mapFromWire(reply.mapJson);
  }

  async prepare(acceptor: string, from: Life, ballot: Ballot): Promise<PrepareAnswer> {
    const reply = await this.#unary(
      Control.method.prepare,
      { acceptor, from, ballot: ballotToWire(ballot) },
      deadline(phaseTimeoutMs),
    );
    return prepareAnswerFromWire(reply);
  }

  async accept(
    acceptor: string,
    from: Life,
    ballot: Ballot,
    map: ClusterMap,
  ): Promise<AcceptAnswer> {
    const reply = await this.#unary(
      Control.method.accept,
      { acceptor, from, ballot: ballotToWire(ballot), mapJson: mapToWire(map) },
      deadline(phaseTimeoutMs),
    );
    return acceptAnswerFromWire(reply);
  }

  async announce(mapJson: string): Promise<void> {
    await this.#unary(Control.method.announce, { mapJson }, deadline(callTimeoutMs));
  }

  heartbeat(): ClientDuplexStream<NodeStatus, HeartbeatAck> {
    return openBidiStream(this.#client, Control.method.heartbeat, this.#metadata);
  }

  /** Asks the acceptor of that id to end a life, or whether it would. */
  async fence(acceptor: string, question: FenceQuestion): Promise<FenceAnswer> {
    const { agreed, waitMs, stranger } = await this.#unary(
      Control.method.fence,
      { acceptor, ...question },
      deadline(fenceTimeoutMs),
    );
    if (stranger) return { kind: 'stranger' };
    return agreed ? { kind: 'agreed' } : { kind: 'notYet', waitMs };
  }

  async seal({ partition, epoch, to }: HandOver): Promise<Seal> {
    const { ok, seq, why, sealId } = await this.#unary(
      Control.method.seal,
      { partition, epoch, to },
      deadline(callTimeoutMs),
    );
    return { ok, seq: Number(seq), why, sealId };
  }

  async unseal(partition: number, sealId: number): Promise<void> {
    await this.#unary(Control.method.unseal, { partition, sealId }, deadline(callTimeoutMs));
  }

  async status(scope: 'node' | 'cluster'): Promise<ClusterStatus> {
    const reply = await this.#unary(
      Control.method.status,
      { localOnly: scope === 'node' },
      deadline(scope === 'node' ? callTimeoutMs : statusTimeoutMs),
    );
    const status = clusterStatusFromWire(reply);
    this.#believed(status.map);
    return status;
  }

  /** Compares the copies of these partitions, which the asked node leads; of the whole cluster
   *  where the list is empty. Yields what was found since the yield before. */
  async *verify(
    partitions: readonly number[],
  ): AsyncGenerator<{ progress: VerifyProgress; found: VerifyReport }> {
    // Its events name no nodes; a status shows whether the certificate is that of a member.
    if (this.#credentials.isOfAnyNode) await this.status('node');
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
      throw refusedCall(fromWire(error), this.#credentials.lastRefusal);
    }
  }

  /** A map counts only if it lists the node that sent it, by the name on its certificate. */
  #believed(map: ClusterMap): ClusterMap {
    const doubt = this.#credentials.refusalAmong(map.nodes.map(({ id }) => id));
    if (doubt !== null) throw refusal('PEER_REFUSED', doubt.text);
    return map;
  }

  async #unary<M extends Method>(
    method: M,
    request: MessageInitShape<M['input']>,
    options: CallOptions,
    isForwarded: boolean = false,
  ): Promise<Output<M>> {
    const metadata = isForwarded ? this.#metadata.clone() : this.#metadata;
    if (isForwarded) metadata.set(forwardedKey, 'yes');
    try {
      return await callUnary(this.#client, method, request, metadata, options);
    } catch (error) {
      throw refusedCall(error, this.#credentials.lastRefusal);
    }
  }
}

function deadline(timeoutMs: number): { deadline: number } {
  return { deadline: Date.now() + timeoutMs };
}
