/** The calls of ingot.proto, answered: who may ask what, and in which words. What they do is done
 *  by the control node, the seal guard and cluster-queries; those of the register are in
 *  register-service.ts. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { ServerDuplexStream, ServerWritableStream } from '@grpc/grpc-js';
import { refusal } from '../shared/errors.ts';
import { mapNodeSchema, type NodeId, nodeOf } from '../shared/map.ts';
import {
  clusterStatus,
  localStatus,
  type QueryContext,
  verifyCluster,
  verifyLed,
} from './cluster-queries.ts';
import type { ControlNode } from './control-node.ts';
import {
  type Control,
  DrainReplySchema,
  type HeartbeatAck,
  HeartbeatAckSchema,
  type JoinRequest as JoinMessage,
  JoinReplySchema,
  LeaveReplySchema,
  type NodeStatus as NodeMessage,
  PromoteReplySchema,
  SealCopiesReplySchema,
  SealReplySchema,
  SetCapacityReplySchema,
  StoppedReplySchema,
  UnsealReplySchema,
  type VerifyEvent as VerifyMessage,
  VerifyEventSchema,
  type VerifyRequest,
} from './gen/ingot_pb.ts';
import { type ServiceHandlers, toWire } from './grpc-adapter.ts';
import type { Leases } from './leases.ts';
import type { MapRegister } from './map-register.ts';
import { lifeFromWire } from './register-wire.ts';
import type { JoinRequest } from './registration.ts';
import type { SealGuard } from './seal-guard.ts';
import {
  type Caller,
  callerOf,
  checkCluster,
  impostor,
  isForwarded,
  NotReady,
  streaming,
  unary,
} from './service-calls.ts';
import { clusterStatusToWire, heartbeatFromWire, mapToWire, verifyReportToWire } from './wire.ts';

/** This node, once it belongs to a cluster. */
export interface Member extends QueryContext {
  seals: SealGuard;
  register: MapRegister;
  control: ControlNode;
  leases: Leases;
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
    const found = checkedMember(member(), caller, clusterId);
    if (found.map().nodes.some(({ id }) => isNamed(caller.peer, id))) return found;
    throw impostor('it names no node of the cluster map');
  };
  const asMember = (caller: Caller): Member => checked(caller, 'required');
  const asGuest = (caller: Caller): Member => checked(caller, 'optional');
  return {
    join: unary(async (message, caller) => {
      const asked = checkedMember(member(), caller, 'optional');
      asNode(caller, message.node);
      return create(JoinReplySchema, { outcome: await joinOutcome(asked, message) });
    }),

    leave: unary(async ({ node }, caller) => {
      await asGuest(caller).control.leave(node, isForwarded(caller));
      return create(LeaveReplySchema);
    }),

    drain: unary(async (request, caller) => {
      const { control } = asMember(caller);
      const life = lifeFromWire(request.life);
      asNode(caller, life.node);
      await control.drain(life, isForwarded(caller));
      return create(DrainReplySchema);
    }),

    stopped: unary(async (request, caller) => {
      const { control } = asMember(caller);
      const life = lifeFromWire(request.life);
      asNode(caller, life.node);
      await control.stopped(life, isForwarded(caller));
      return create(StoppedReplySchema);
    }),

    promote: unary(async ({ partition, node, acceptLoss }, caller) => {
      const { control } = asGuest(caller);
      await control.promote(partition, node, acceptLoss, isForwarded(caller));
      return create(PromoteReplySchema);
    }),

    setCapacity: unary(async ({ capacityBytes }, caller) => {
      const { control } = asGuest(caller);
      await control.setCapacity(Number(capacityBytes), isForwarded(caller));
      return create(SetCapacityReplySchema);
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

    verify: streaming((call) => verify(call, asGuest(callerOf(call)))),
    heartbeat: streaming(async (call) => {
      const caller = callerOf(call);
      heartbeat(call, asMember(caller), (node) => asNode(caller, node));
    }),
  };
}

function heartbeat(
  call: ServerDuplexStream<NodeMessage, HeartbeatAck>,
  { control, leases }: Member,
  checkNode: (node: NodeId) => void,
): void {
  let sender: NodeId | null = null;
  const ended = (): void => {
    if (sender !== null) control.heartbeatsEnded(sender);
    sender = null;
  };
  call.on('data', (message: NodeMessage) => {
    try {
      const report = heartbeatFromWire(message);
      checkNode(report.node);
      control.hear(report);
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

function checkedMember(
  member: Member | null,
  caller: Caller,
  clusterId: 'required' | 'optional',
): Member {
  if (member === null) throw new NotReady('the node is still starting');
  checkCluster(caller, member.map().clusterId, clusterId);
  return member;
}

/** Whoever coordinates registers; the others say who that is. */
async function joinOutcome(
  { control, register }: Member,
  message: JoinMessage,
): Promise<NonNullable<MessageInitShape<typeof JoinReplySchema>['outcome']>> {
  if (control.isActive()) {
    const request = asUnfenced(joinRequest(message), register);
    return { case: 'mapJson', value: mapToWire(await control.register(request)) };
  }
  const address = control.activeAddress();
  if (address === null) throw new NotReady('no node coordinates the cluster just now');
  return { case: 'askInstead', value: address };
}

/** A node that the map has forgotten, with a disk that remembers nothing, begins after the lives that
 *  were ended under its name. */
function asUnfenced(request: JoinRequest, register: MapRegister): JoinRequest {
  if (nodeOf(register.known(), request.id) !== null) return request;
  const fencedThrough = register.acceptor.fencedThrough(request.id);
  return { ...request, lastIncarnation: Math.max(request.lastIncarnation, fencedThrough) };
}

/** Throws an IngotError where it is no sound request. */
function joinRequest(message: JoinMessage): JoinRequest {
  const { node: id, advertise, ports, clusterId, lastIncarnation, acceptor } = message;
  const { witness, observer, memoryOf, memoryIn, started, joinId } = message;
  const life = { incarnation: 0, fencedThrough: 0, joinId, state: 'up' };
  const kind = { witness, observer };
  const parsed = mapNodeSchema.safeParse({ id, advertise, ports, acceptor, ...kind, ...life });
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw refusal(
      'BAD_JOIN',
      `the join request is unsound at ${issue.path.join('.')}: ${issue.message}`,
    );
  }
  const { ports: checkedPorts } = parsed.data;
  const member = { id, advertise, ports: checkedPorts, acceptor, ...kind };
  return { ...member, clusterId, lastIncarnation, memoryOf, memoryIn, started, joinId };
}
