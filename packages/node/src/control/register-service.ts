/** The calls to this node's acceptor, answered, and what this node knows of the map. They are answered as soon as the node knows which cluster it belongs to, before this
 *  life of it is in the map: a cluster that starts again has nobody but starting nodes to agree. */
import { create } from '@bufbuild/protobuf';
import type { NodeId } from '../shared/map.ts';
import {
  AnnounceReplySchema,
  type Control,
  FenceReplySchema,
  MapReplySchema,
} from './gen/ingot_pb.ts';
import type { ServiceHandlers } from './grpc-adapter.ts';
import type { Leases } from './leases.ts';
import type { MapRegister } from './map-register.ts';
import {
  acceptAnswerToWire,
  ballotFromWire,
  lifeFromWire,
  prepareAnswerToWire,
} from './register-wire.ts';
import { type Caller, checkCluster, impostor, NotReady, unary } from './service-calls.ts';
import { mapFromWire, mapToWire } from './wire.ts';

/** This node, once it knows its cluster. */
export interface Voter {
  readonly register: MapRegister;
  readonly leases: Leases;
}

type RegisterCalls = Pick<
  ServiceHandlers<typeof Control>,
  'prepare' | 'accept' | 'fence' | 'announce' | 'readMap'
>;

/** `voter` answers null as long as the node knows of no cluster. `isNamed`: see control-service.ts. */
export function registerHandlers(
  voter: () => Voter | null,
  isNamed: (peer: string, node: NodeId) => boolean,
): RegisterCalls {
  const voterOf = (caller: Caller): Voter => {
    const found = voter();
    if (found === null) throw new NotReady('the node is still starting');
    checkCluster(caller, found.register.known().clusterId, 'required');
    return found;
  };
  const registerOf = (caller: Caller): MapRegister => voterOf(caller).register;
  const checkName = ({ peer }: Caller, nodes: readonly NodeId[]): void => {
    if (nodes.some((node) => isNamed(peer, node))) return;
    throw impostor('it names no node of the cluster map');
  };
  return {
    prepare: unary(async (request, caller) => {
      const { acceptor } = registerOf(caller);
      const from = lifeFromWire(request.from);
      checkName(caller, [from.node]);
      const ballot = ballotFromWire(request.ballot);
      if (request.acceptor !== acceptor.id) return prepareAnswerToWire({ kind: 'stranger' });
      return prepareAnswerToWire(await acceptor.prepare(from, ballot));
    }),

    accept: unary(async (request, caller) => {
      const { acceptor } = registerOf(caller);
      const from = lifeFromWire(request.from);
      checkName(caller, [from.node]);
      const ballot = ballotFromWire(request.ballot);
      const map = mapFromWire(request.mapJson);
      if (request.acceptor !== acceptor.id) return acceptAnswerToWire({ kind: 'stranger' });
      return acceptAnswerToWire(await acceptor.accept(from, ballot, map));
    }),

    fence: unary(async ({ acceptor, life, askOnly, byOwner }, caller) => {
      const { register, leases } = voterOf(caller);
      checkName(
        caller,
        register.known().nodes.map(({ id }) => id),
      );
      const question = { life: lifeFromWire(life), askOnly, byOwner };
      const answer = await leases.fence(acceptor, question);
      return create(FenceReplySchema, {
        agreed: answer.kind === 'agreed',
        waitMs: answer.kind === 'notYet' ? answer.waitMs : 0,
        stranger: answer.kind === 'stranger',
      });
    }),

    announce: unary(async ({ mapJson }, caller) => {
      const register = registerOf(caller);
      const map = mapFromWire(mapJson);
      checkName(
        caller,
        map.nodes.map(({ id }) => id),
      );
      register.learn(map);
      return create(AnnounceReplySchema);
    }),

    readMap: unary(async (_, caller) => {
      const known = registerOf(caller).known();
      checkName(
        caller,
        known.nodes.map(({ id }) => id),
      );
      return create(MapReplySchema, { mapJson: mapToWire(known) });
    }),
  };
}
