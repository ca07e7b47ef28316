/** Acceptors and proposers over a network in memory, with a clock of its own, all from one seed:
 *  messages are late, lost, doubled; acceptors fall over and come back with what was on their disk.
 *  Nothing happens but in `settled`, which lets time pass until a promise has settled. */
import type { AcceptorRef, AcceptorSet, ClusterMap, Life, NodeId } from '../shared/map.ts';
import { Acceptor } from './acceptor.ts';
import type { AcceptAnswer, AcceptorCalls, PrepareAnswer } from './acceptor-calls.ts';
import { CasPaxosMapStore } from './caspaxos-map-store.ts';
import { MemoryAcceptorStorage } from './memory-acceptor-storage.ts';

export interface Weather {
  /** Of messages, in either direction. */
  lost: number;
  doubled: number;
  delayMsMax: number;
  /** Some are later by a multiple of that. */
  late: number;
}

export const calm: Weather = { lost: 0, doubled: 0, delayMsMax: 2, late: 0 };
export const storm: Weather = { lost: 0.06, doubled: 0.05, delayMsMax: 15, late: 0.06 };

/** mulberry32 */
export function randomFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

interface Member {
  readonly storage: MemoryAcceptorStorage;
  /** null while the process is down. */
  acceptor: Acceptor | null;
}

export class AcceptorNetwork {
  readonly random: () => number;
  weather: Weather;
  nowMs = 0;
  readonly #members = new Map<NodeId, Member>();
  readonly #events: { atMs: number; order: number; run: () => void }[] = [];
  #order = 0;
  #proposers = 0;

  constructor(seed: number, weather: Weather = calm) {
    this.random = randomFrom(seed);
    this.weather = weather;
  }

  /** Acceptor `a-<node>` on each node; those named by `map` have accepted it. */
  static of(
    nodes: readonly NodeId[],
    map: ClusterMap,
    { seed = 1, weather = calm }: { seed?: number; weather?: Weather } = {},
  ): AcceptorNetwork {
    const network = new AcceptorNetwork(seed, weather);
    for (const node of nodes) {
      const storage = new MemoryAcceptorStorage(`a-${node}`);
      if (map.acceptors.current.some((ref) => ref.node === node)) {
        storage.putAccepted({ ballot: { round: 1, proposer: 'founder' }, map });
      }
      network.#members.set(node, { storage, acceptor: new Acceptor(storage) });
    }
    return network;
  }

  acceptor(node: NodeId): Acceptor {
    const { acceptor } = this.#members.get(node) as Member;
    if (acceptor === null) throw new Error(`${node} is down`);
    return acceptor;
  }

  stop(node: NodeId): void {
    const member = this.#members.get(node) as Member;
    member.acceptor = null;
    member.storage.crash();
  }

  start(node: NodeId): void {
    const member = this.#members.get(node) as Member;
    member.acceptor = new Acceptor(member.storage);
  }

  /** Its disk is as it was when it had accepted this map. */
  putBack(node: NodeId, map: ClusterMap): void {
    const storage = new MemoryAcceptorStorage(`a-${node}`);
    storage.putAccepted({ ballot: { round: 1, proposer: 'founder' }, map });
    this.#members.set(node, { storage, acceptor: new Acceptor(storage) });
  }

  /** Its disk is gone: another acceptor is born there. */
  wipe(node: NodeId, id: string): void {
    const storage = new MemoryAcceptorStorage(id);
    this.#members.set(node, { storage, acceptor: new Acceptor(storage) });
  }

  store(
    acceptors: AcceptorSet,
    life: Life = { node: 'n1', incarnation: 1 },
    chosen: (map: ClusterMap) => void = () => undefined,
  ): CasPaxosMapStore {
    return new CasPaxosMapStore({
      calls: this.calls(),
      life: () => life,
      proposer: `${life.node}:${++this.#proposers}`,
      acceptors,
      later: this.later,
      random: this.random,
      chosen,
    });
  }

  readonly later = (delayMs: number, then: () => void): (() => void) => {
    const event = { atMs: this.nowMs + delayMs, order: ++this.#order, run: then };
    this.#events.push(event);
    return () => {
      const at = this.#events.indexOf(event);
      if (at >= 0) this.#events.splice(at, 1);
    };
  };

  /** Lets what is due happen, and time pass, until the promise has settled. */
  async settled<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const mark = (): void => {
      isSettled = true;
    };
    promise.then(mark, mark);
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      if (isSettled) return promise;
      if (!this.step()) throw new Error('nothing more will happen');
    }
  }

  /** The next event; false where there is none. */
  step(): boolean {
    const [first, ...others] = this.#events;
    if (first === undefined) return false;
    let next = first;
    for (const event of others) {
      if (event.atMs < next.atMs || (event.atMs === next.atMs && event.order < next.order)) {
        next = event;
      }
    }
    this.#events.splice(this.#events.indexOf(next), 1);
    this.nowMs = Math.max(this.nowMs, next.atMs);
    next.run();
    return true;
  }

  calls(): AcceptorCalls {
    return {
      prepare: (to, from, ballot) =>
        this.#call<PrepareAnswer>(to, (acceptor) => acceptor.prepare(from, ballot)),
      accept: (to, from, ballot, map) =>
        this.#call<AcceptAnswer>(to, (acceptor) => acceptor.accept(from, ballot, map)),
    };
  }

  /** A lost message is an answer that never comes. */
  #call<Answer>(
    { id, node }: AcceptorRef,
    ask: (acceptor: Acceptor) => Promise<Answer | { kind: 'stranger' }>,
  ): Promise<Answer> {
    const answered = Promise.withResolvers<Answer>();
    this.#send(() => {
      const acceptor = this.#members.get(node)?.acceptor ?? null;
      if (acceptor === null) return;
      const answer =
        acceptor.id === id ? ask(acceptor) : Promise.resolve({ kind: 'stranger' } as const);
      void answer.then((its) => this.#send(() => answered.resolve(its as Answer)));
    });
    return answered.promise;
  }

  #send(arrive: () => void): void {
    const { lost, doubled, delayMsMax, late } = this.weather;
    const times = this.random() < doubled ? 2 : 1;
    for (let time = 0; time < times; time++) {
      if (this.random() < lost) continue;
      const factor = this.random() < late ? 30 : 1;
      this.later(this.random() * delayMsMax * factor, arrive);
    }
  }
}
