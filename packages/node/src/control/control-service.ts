/** The calls of ingot.proto, answered: who may ask what, and in which words. What they do is done
 *  by the map host, the seal guard and cluster-queries. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  type handleUnaryCall,
  type Metadata,
  type sendUnaryData,
  type ServerDuplexStream,
  type ServerWritableStream,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { peerRefusal } from '@ingot/replication';
import { type IngotError, refusal } from '../shared/errors.ts';
import {
  addressOf,
  type ClusterMap,
  type Life,
  lifeSchema,
  type MapNode,
  mapNodeSchema,
  type NodeId,
  nodeOf,
} from '../shared/map.ts';
import {
  clusterStatus,
  localStatus,
  type QueryContext,
  verifyCluster,
  verifyLed,
} from './cluster-queries.ts';
import type { JoinRequest } from './registration.ts';
import {
  CompareAndSetMapReplySchema,
  type Control,
  DrainReplySchema,
  FenceReplySchema,
  type HeartbeatAck,
  HeartbeatAckSchema,
  type JoinRequest as JoinMessage,
  JoinReplySchema,
  LeaveReplySchema,
  type Life as LifeMessage,
  type MapReply,
  MapReplySchema,
  type NodeStatus as NodeMessage,
  PromoteReplySchema,
  SealCopiesReplySchema,
  SealReplySchema,
  UnsealReplySchema,
  type VerifyEvent as VerifyMessage,
  VerifyEventSchema,
  type VerifyRequest,
  type WatchMapRequest,
} from './gen/ingot_pb.ts';
import type { ControlNode } from './control-node.ts';
import { clusterIdKey, forwardedKey, type ServiceHandlers, toWire } from './grpc-adapter.ts';
import type { Leases } from './leases.ts';
import type { ClusterMapStore } from '../register/map-store.ts';
import type { SealGuard } from './seal-guard.ts';
import type { Heartbeat } from './types.ts';
import {
  clusterStatusToWire,
  mapFromWire,
  mapToWire,
  heartbeatFromWire,
  verifyReportToWire,
} from './wire.ts';

/** What only the founder has. */
export interface FounderParts {
  control: ControlNode;
  store: ClusterMapStore;
  /** Takes a heartbeat. Throws an IngotError where that life is over. */
  hear: (report: Heartbeat) => void;
}

/** This node, once it belongs to a cluster. */
export interface Member extends QueryContext {
  seals: SealGuard;
  leases: Leases;
  /** On the founder; null elsewhere. */
  host: FounderParts | null;
}

/** `member` answers null as long as the node is starting: callers are told to try again. `isNamed`:
 *  whether the certificate of a peer, which gRPC knows by its address, is that of a node. */
export function controlHandlers(
  member: () => Member | null,
  isNamed: (peer: string, node: NodeId) => boolean,
): Partial<ServiceHandlers<typeof Control>> {
  const asNode = ({ peer }: Caller, node: NodeId): void => {
    if (!isNamed(peer, node)) throw impostor(`it says it is ${node}`);
  };
  const checked = (caller: Caller, clusterId: 'required' | 'optional'): Member => {
    const found = checkedMember(member(), caller.metadata, clusterId);
    if (found.map().nodes.some(({ id }) => isNamed(caller.peer, id))) return found;
    throw impostor('it names no node of the cluster map');
  };
  const asMember = (caller: Caller): Member => checked(caller, 'required');
  const asGuest = (caller: Caller): Member => checked(caller, 'optional');
  return {
    join: unary(async (message, caller) => {
      const { host, map } = checkedMember(member(), caller.metadata, 'optional');
      asNode(caller, message.node);
      const outcome: MessageInitShape<typeof JoinReplySchema>['outcome'] =
        host === null
          ? { case: 'askInstead', value: mapHostAddress(map()) }
          : {
              case: 'mapJson',
              value: mapToWire(await host.control.register(joinRequest(message))),
            };
      return create(JoinReplySchema, { outcome });
    }),

    leave: unary(async ({ node }, caller) => {
      await hostOf(asGuest(caller)).control.leave(node, isForwarded(caller));
      return create(LeaveReplySchema);
    }),

    drain: unary(async ({ life }, caller) => {
      await hostOf(asMember(caller)).control.drain(lifeFromWire(life), isForwarded(caller));
      return create(DrainReplySchema);
    }),

    promote: unary(async ({ partition, node, acceptLoss }, caller) => {
      const { control } = hostOf(asGuest(caller));
      await control.promote(partition, node, acceptLoss, isForwarded(caller));
      return create(PromoteReplySchema);
    }),

    sealCopies: unary(async ({ incarnation, partitions }, caller) => {
      const { self, map, node } = asMember(caller);
      if (nodeOf(map(), self)?.incarnation !== incarnation) {
        throw refusal('OTHER_LIFE', `${self} is not in life ${incarnation} any more, or not yet`);
      }
      const copies = await node.sealCopies(partitions);
      return create(SealCopiesReplySchema, {
        copies: copies.map((copy) => ({ ...copy, applied: BigInt(copy.applied) })),
      });
    }),

    readMap: unary(async (_, caller) => {
      const { map } = await hostOf(asMember(caller)).store.read();
      return create(MapReplySchema, { mapJson: mapToWire(map) });
    }),

    compareAndSetMap: unary(async ({ expectedVersion, mapJson, operationId }, caller) => {
      const { store } = hostOf(asMember(caller));
      const next = mapFromWire(mapJson);
      const outcome = await store.compareAndSet(expectedVersion, next, operationId);
      return create(CompareAndSetMapReplySchema, { conflict: outcome === 'conflict' });
    }),

    fence: unary(async ({ acceptor, life, askOnly, byOwner }, caller) => {
      const { leases } = asMember(caller);
      const question = { life: lifeFromWire(life), askOnly, byOwner };
      const answer = await leases.fence(acceptor, question);
      return create(FenceReplySchema, {
        agreed: answer.kind === 'agreed',
        waitMs: answer.kind === 'notYet' ? answer.waitMs : 0,
        stranger: answer.kind === 'stranger',
      });
    }),

    seal: unary(async ({ partition, epoch, to }, caller) => {
      const { seals } = asMember(caller);
      const { ok, seq, why = '', sealId } = await seals.seal(partition, epoch, to);
      return create(SealReplySchema, { ok, seq: BigInt(seq), why, sealId });
    }),

    unseal: unary(async ({ partition, sealId }, caller) => {
      asMember(caller).seals.unseal(partition, sealId);
      return create(UnsealReplySchema);
    }),

    status: unary(async ({ localOnly }, caller) => {
      const context = asGuest(caller);
      return clusterStatusToWire(await (localOnly ? localStatus(context) : clusterStatus(context)));
    }),

    watchMap: streaming(async (call) => watchMap(call, hostOf(asMember(callerOf(call))))),
    verify: streaming((call) => verify(call, asGuest(callerOf(call)))),
    heartbeat: streaming(async (call) => {
      const caller = callerOf(call);
      heartbeat(call, asMember(caller), (node) => asNode(caller, node));
    }),
  };
}

/** The map as it is and each newer one. A slow reader gets the newest that there is when it is
 *  ready. */
function watchMap(call: ServerWritableStream<WatchMapRequest, MapReply>, host: FounderParts): void {
  let held: ClusterMap | null = null;
  const send = (map: ClusterMap): void => {
    held = null;
    call.write(create(MapReplySchema, { mapJson: mapToWire(map) }));
  };
  const stop = host.store.watch(call.request.fromVersion, (map) => {
    if (call.writableNeedDrain) held = map;
    else send(map);
  });
  call.on('drain', () => {
    if (held !== null) send(held);
  });
  call.on('cancelled', stop);
}

function heartbeat(
  call: ServerDuplexStream<NodeMessage, HeartbeatAck>,
  { host, leases }: Member,
  checkNode: (node: NodeId) => void,
): void {
  let sender: NodeId | null = null;
  const ended = (): void => {
    if (sender !== null) host?.control.heartbeatsEnded(sender);
    sender = null;
  };
  call.on('data', (message: NodeMessage) => {
    try {
      const report = heartbeatFromWire(message);
      checkNode(report.node);
      host?.hear(report);
      sender = report.node;
      const { node, incarnation } = report;
      const answer = leases.answer({ node, incarnation }, Number(message.beat));
      const { acceptor, acceptorSet } = answer;
      const mapVersion = BigInt(answer.mapVersion);
      call.write(
        create(HeartbeatAckSchema, { beat: message.beat, acceptor, mapVersion, acceptorSet }),
      );
    } catch (error) {
      call.removeAllListeners('data');
      call.emit('error', toWire(error));
    }
  });
  call.on('cancelled', ended);
  call.on('end', () => {
    ended();
    call.end();
  });
}

async function verify(
  call: ServerWritableStream<VerifyRequest, VerifyMessage>,
  context: QueryContext,
): Promise<void> {
  const { partitions } = call.request;
  const events = partitions.length > 0 ? verifyLed(context, partitions) : verifyCluster(context);
  for await (const { progress, found } of events) {
    if (call.cancelled) return;
    call.write(create(VerifyEventSchema, { ...progress, ...verifyReportToWire(found) }));
  }
  call.end();
}

/** Throws an IngotError where none is named. */
function lifeFromWire(message: LifeMessage | undefined): Life {
  const parsed = lifeSchema.safeParse(message);
  if (parsed.success) return parsed.data;
  throw refusal('BAD_LIFE', 'the call names no life of a node');
}

function isForwarded({ metadata }: Caller): boolean {
  return metadata.get(forwardedKey).length > 0;
}

/** Who calls, as far as gRPC knows. */
interface Caller {
  readonly metadata: Metadata;
  /** `host:port` */
  readonly peer: string;
}

function callerOf(call: { readonly metadata: Metadata; getPeer(): string }): Caller {
  return { metadata: call.metadata, peer: call.getPeer() };
}

function impostor(detail: string): IngotError {
  return refusal('PEER_REFUSED', peerRefusal('certificateName', detail).text);
}

class NotReady extends Error {}

function checkedMember(
  member: Member | null,
  metadata: Metadata,
  clusterId: 'required' | 'optional',
): Member {
  if (member === null) throw new NotReady('the node is still starting');
  const own = member.map().clusterId;
  const [named] = metadata.get(clusterIdKey);
  if (named === undefined && clusterId === 'optional') return member;
  if (named === own) return member;
  throw refusal(
    'OTHER_CLUSTER',
    `this node belongs to cluster ${own}, ` +
      `the call is meant for ${String(named ?? 'none')}; check the addresses`,
  );
}

function hostOf({ host, map }: Member): FounderParts {
  if (host !== null) return host;
  throw refusal('NOT_MAP_HOST', `the cluster map is kept at ${mapHostAddress(map())}; ask there`);
}

function mapHostAddress(map: ClusterMap): string {
  return addressOf(nodeOf(map, map.mapHost) as MapNode, 'control');
}

/** Throws an IngotError where it is no sound request. */
function joinRequest(message: JoinMessage): JoinRequest {
  const { node: id, advertise, ports, clusterId, lastIncarnation, acceptor, witness } = message;
  const life = { incarnation: 0, fencedThrough: 0, state: 'up' };
  const parsed = mapNodeSchema.safeParse({ id, advertise, ports, acceptor, witness, ...life });
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw refusal(
      'BAD_JOIN',
      `the join request is unsound at ${issue.path.join('.')}: ${issue.message}`,
    );
  }
  const { ports: checkedPorts } = parsed.data;
  return { id, advertise, ports: checkedPorts, clusterId, lastIncarnation, acceptor, witness };
}

function unary<Request, Reply>(
  answer: (request: Request, caller: Caller) => Promise<Reply>,
): handleUnaryCall<Request, Reply> {
  return (call, callback) => void settle(answer(call.request, callerOf(call)), callback);
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

function streaming<Call extends { emit(event: 'error', error: object): boolean }>(
  answer: (call: Call) => Promise<void>,
): (call: Call) => void {
  return (call) => {
    answer(call).catch((error: unknown) => call.emit('error', serviceError(error)));
  };
}

function serviceError(error: unknown): Partial<ServiceError> {
  if (error instanceof NotReady) return { code: status.UNAVAILABLE, details: error.message };
  return toWire(error);
}
