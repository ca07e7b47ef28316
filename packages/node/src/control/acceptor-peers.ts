/** How this node's questions reach acceptors: its own without a network, the others at the control
 *  port of the node that the map names. While the node starts the map may be old and a node have
 *  moved; then those addresses are tried that the start command names. An acceptor is known by its
 *  id, so whoever answers for it is it. */
import { setImmediate } from 'node:timers/promises';
import type { FenceAnswer, FenceCalls, FenceQuestion } from '../lease/fence-calls.ts';
import type { Acceptor } from '../register/acceptor.ts';
import type {
  AcceptAnswer,
  AcceptorCalls,
  Ballot,
  PrepareAnswer,
} from '../register/acceptor-calls.ts';
import {
  type AcceptorRef,
  type ClusterMap,
  type Life,
  type NodeId,
  nodeOf,
} from '../shared/map.ts';
import type { ControlClient } from './control-client.ts';
import type { Peers } from './peers.ts';

export interface AcceptorPeersOptions {
  readonly self: NodeId;
  readonly acceptor: Acceptor;
  readonly peers: Peers;
  /** The newest map that is known. */
  readonly map: () => ClusterMap;
  /** Where else to look, as `host:control port`. */
  readonly addresses: () => readonly string[];
}

export class AcceptorPeers implements AcceptorCalls, FenceCalls {
  readonly #options: AcceptorPeersOptions;

  constructor(options: AcceptorPeersOptions) {
    this.#options = options;
  }

  prepare(to: AcceptorRef, from: Life, ballot: Ballot): Promise<PrepareAnswer> {
    return this.#ask<PrepareAnswer>(to, {
      here: (acceptor) => acceptor.prepare(from, ballot),
      there: async (client) => heardOnce(await client.prepare(to.id, from, ballot), ballot),
    });
  }

  accept(to: AcceptorRef, from: Life, ballot: Ballot, map: ClusterMap): Promise<AcceptAnswer> {
    return this.#ask<AcceptAnswer>(to, {
      here: (acceptor) => acceptor.accept(from, ballot, map),
      there: (client) => client.accept(to.id, from, ballot, map),
    });
  }

  /** Never asked of this node itself. */
  fence(to: AcceptorRef, question: FenceQuestion): Promise<FenceAnswer> {
    return this.#ask<FenceAnswer>(to, {
      here: async () => ({ kind: 'stranger' }),
      there: (client) => client.fence(to.id, question),
    });
  }

  async #ask<Answer extends { readonly kind: string }>(
    { id, node: nodeId }: AcceptorRef,
    ask: {
      here: (acceptor: Acceptor) => Promise<Answer>;
      there: (client: ControlClient) => Promise<Answer>;
    },
  ): Promise<Answer | { kind: 'stranger' }> {
    const { self, acceptor, peers, map, addresses } = this.#options;
    if (nodeId === self) {
      if (id !== acceptor.id) return { kind: 'stranger' };
      // It writes to disk at once; the questions to the others leave before.
      await setImmediate();
      return await ask.here(acceptor);
    }
    const node = nodeOf(map(), nodeId);
    const listed =
      node === null
        ? Promise.reject(new Error('the cluster map does not list the node'))
        : ask.there(peers.client(node));
    const elsewhere = addresses();
    if (elsewhere.length === 0) return listed;
    const moved = elsewhere.map(async (address) => answerOf(await ask.there(peers.at(address))));
    return Promise.any([listed.then(answerOf), ...moved]).catch(() => listed);
  }
}

function answerOf<Answer extends { readonly kind: string }>(answer: Answer): Answer {
  if (answer.kind === 'stranger') throw new Error('another acceptor is there');
  return answer;
}

/** An acceptor that is asked at two addresses is outbid by the ballot that it has just promised. Its
 *  promise is the answer, which may take longer, for it is on its way to the disk. */
function heardOnce(answer: PrepareAnswer, { round, proposer }: Ballot): PrepareAnswer {
  const isTwice =
    answer.kind === 'outbid' &&
    answer.ballot.round === round &&
    answer.ballot.proposer === proposer;
  if (isTwice) throw new Error('it was asked at another address, too');
  return answer;
}
