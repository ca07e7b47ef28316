/** What a simulated process has of the control plane, whatever else it runs: its acceptor, the register, the lease of
 *  its life. It beats, adopts newer maps, and when it learns that its life is over it says so, once. */
import { Acceptor } from '../../../packages/node/src/register/acceptor.ts';
import type { AcceptorCalls } from '../../../packages/node/src/register/acceptor-calls.ts';
import { membersOf } from '../../../packages/node/src/register/acceptor-set.ts';
import { CasPaxosMapStore } from '../../../packages/node/src/register/caspaxos-map-store.ts';
import { type MapChange, MapProposer } from '../../../packages/node/src/register/map-proposer.ts';
import type { ClusterMapStore } from '../../../packages/node/src/register/map-store.ts';
import type { Heartbeat } from '../../../packages/node/src/control/types.ts';
import type { LeaseAuthority } from '../../../packages/node/src/lease/authority.ts';
import { CasPaxosLeases } from '../../../packages/node/src/lease/caspaxos-leases.ts';
import type { FenceCalls } from '../../../packages/node/src/lease/fence-calls.ts';
import { LeaseHolder } from '../../../packages/node/src/lease/lease-holder.ts';
import { LeaseKeeper } from '../../../packages/node/src/lease/lease-keeper.ts';
import {
  type AcceptorRef,
  type ClusterMap,
  type Life,
  nodeOf,
} from '../../../packages/node/src/shared/map.ts';
import { Broken } from '../trace.ts';
import type { AcceptorDisk } from './acceptor-disk.ts';
import type { SimProcess } from './host.ts';
import type { RegisterHistory } from './register-history.ts';

const beatMs = 250;
const answerMs = 250;
/** Answers that come late count from when they were asked for. */
const beatAnswerMs = 4_000;

export interface VoterParts {
  readonly process: SimProcess;
  readonly disk: AcceptorDisk;
  readonly history: RegisterHistory;
  /** What runs on a machine now. */
  readonly voterAt: (process: SimProcess) => Voter | null;
  /** What the process knew of the map before it began. */
  readonly map: ClusterMap;
  readonly life: Life;
  /** The life is in the map already. */
  readonly hasBegun?: boolean;
}

export class Voter {
  readonly process: SimProcess;
  readonly acceptor: Acceptor;
  readonly keeper: LeaseKeeper;
  readonly #parts: VoterParts;
  life: Life;
  map: ClusterMap;
  holder: LeaseHolder;
  leases: LeaseAuthority;
  store: ClusterMapStore;
  proposer: MapProposer;
  onMap: (map: ClusterMap) => void = () => {};
  /** A life that the process had was ended by others. */
  onLifeOver: (why: string) => void = () => {};
  /** What a heartbeat carries, and what is done with that of another. */
  report: () => Heartbeat = () => ({ ...this.life, mapVersion: 0, partitions: [] });
  onBeat: (report: Heartbeat) => void = () => {};
  #isOver = true;
  #learn: (map: ClusterMap) => void = () => {};
  #operations = 0;
  #asksForMap = false;
  #lives = 0;

  constructor(parts: VoterParts) {
    const { process, disk, map, life, hasBegun = true } = parts;
    this.#parts = parts;
    this.process = process;
    this.life = life;
    this.map = map;
    this.#isOver = !hasBegun;
    this.acceptor = new Acceptor(disk.openFor(process));
    this.keeper = new LeaseKeeper({
      acceptor: this.acceptor.id,
      accepted: () => this.acceptor.accepted,
      fences: {
        has: (fenced) => this.acceptor.isFenced(fenced),
        add: (fenced) => this.acceptor.fence(fenced),
      },
      nowMs: process.nowMs,
    });
    this.acceptor.onAccepted(() => this.keeper.look());
    this.holder = new LeaseHolder(process);
    this.store = this.#newStore();
    this.proposer = this.#newProposer();
    this.leases = this.#newLeases();
    this.holder.follow(map.acceptors);
    process.every(beatMs, () => this.#beat());
  }

  /** Another life begins in this process; the map will say so, or does. */
  begin(life: Life): void {
    this.holder.end();
    this.life = life;
    this.#isOver = false;
    this.holder = new LeaseHolder(this.process);
    this.holder.follow(this.map.acceptors);
    this.store = this.#newStore();
    this.proposer = this.#newProposer();
    this.leases = this.#newLeases();
    this.process.host.world.note(`${this.process.name} is life ${life.incarnation}`);
  }

  /** The life ends in order; what is proposed from here on is the next one's. */
  stopLife(): void {
    const { node, incarnation } = this.life;
    this.begin({ node, incarnation: incarnation + 1 });
    this.#isOver = true;
    this.holder.end();
  }

  /** By the whole lease, not by the part of it in which it serves. */
  get holdsLease(): boolean {
    const { nowMs, wallMs } = this.holder.until();
    return this.process.nowMs() < nowMs && this.process.wallMs() < wallMs;
  }

  /** A map that was chosen, as somebody says. */
  learn(map: ClusterMap): void {
    this.#learn(map);
  }

  /** Resolves with the map that holds the change, which is known here before. */
  async propose(change: MapChange): Promise<ClusterMap> {
    const map = await this.proposer.propose(change);
    this.learn(map);
    return map;
  }

  #adopt(map: ClusterMap): void {
    if (map.version <= this.map.version) return;
    this.#parts.history.chosen(map, `${this.process.name} was told`);
    this.map = map;
    this.holder.follow(map.acceptors);
    this.onMap(map);
    const own = nodeOf(map, this.life.node);
    if (own === null) return;
    if (own.incarnation > this.life.incarnation || own.fencedThrough >= this.life.incarnation) {
      this.#over('the map says so');
    }
  }

  #over(why: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.holder.end();
    this.process.host.world.note(`${this.process.name} life ${this.life.incarnation} over: ${why}`);
    this.onLifeOver(why);
  }

  // ------------------------------------------------------------ heartbeats

  #beat(): number {
    const { holder, life, process } = this;
    if (this.#isOver) return 0;
    const beat = holder.sent();
    const report = this.report();
    const { network } = process.host.world;
    const options = { timeoutMs: beatAnswerMs, mayDouble: true };
    for (const to of membersOf(this.map.acceptors)) {
      const heard = network.call(
        process,
        to.node,
        async (target) => {
          const voter = this.#parts.voterAt(target);
          if (voter === null) throw new Error('the node is still starting');
          voter.onBeat(report);
          return voter.keeper.hear(life, beat);
        },
        options,
      );
      heard.then(
        (answer) => {
          if (holder !== this.holder) return;
          if (answer.kind !== 'acked') return this.#over(answer.kind);
          if (answer.mapVersion > this.map.version) this.#askForMap(to.node, answer.mapVersion);
          holder.answered(answer.acceptor, answer.beat, answer.acceptorSet);
        },
        () => undefined, // the lease runs on for a while
      );
    }
    return beat;
  }

  // ------------------------------------------------------------ the parts of a life

  #newStore(): ClusterMapStore {
    const { process, life } = this;
    const store = new CasPaxosMapStore({
      life: () => life,
      proposer: `${process.name}/${++this.#lives}`,
      calls: this.#acceptorCalls(),
      acceptors: this.map.acceptors,
      later: process.later,
      random: () => process.host.world.random.next(),
      chosen: (map) => this.#announce(map),
    });
    const watched = this.#parts.history.watched(store, `${process.name}/${this.#lives}`);
    watched.watch(BigInt(this.map.version), (map) => this.#adopt(map));
    this.#learn = (map) => store.learn(map);
    return watched;
  }

  /** Somebody has accepted a newer map than is known here. */
  #askForMap(node: string, version: number): void {
    if (this.#asksForMap) return;
    this.#asksForMap = true;
    const asked = async (target: SimProcess): Promise<ClusterMap> => {
      const voter = this.#parts.voterAt(target);
      if (voter === null) throw new Error('the node is still starting');
      return voter.map;
    };
    const { network } = this.process.host.world;
    network
      .call(this.process, node, asked, { timeoutMs: answerMs })
      .then(async (map) => {
        this.learn(map);
        // It may have been accepted and not be known as chosen anywhere.
        if (this.map.version < version) await this.store.read();
      })
      .catch(() => undefined) // the next answer says so again
      .finally(() => {
        this.#asksForMap = false;
      });
  }

  #announce(map: ClusterMap): void {
    const { host } = this.process;
    for (const { id } of map.nodes) {
      if (id === host.id) continue;
      host.world.network.send(host.id, id, (target) => {
        this.#parts.voterAt(target)?.learn(map);
      });
    }
  }

  #newProposer(): MapProposer {
    const name = `${this.process.name}/${this.#lives}`;
    return new MapProposer(this.store, this.life.node, () => `${name}.${++this.#operations}`);
  }

  #newLeases(): LeaseAuthority {
    return new CasPaxosLeases({
      calls: this.#fenceCalls(),
      acceptors: () => this.map.acceptors,
      holder: this.holder,
      beat: () => this.#beat(),
      later: this.process.later,
    });
  }

  #acceptorCalls(): AcceptorCalls {
    return {
      prepare: (to, from, ballot) =>
        this.#ask(to, (acceptor) => acceptor.prepare(from, ballot), stranger),
      accept: (to, from, ballot, map) =>
        this.#ask(to, (acceptor) => acceptor.accept(from, ballot, map), stranger),
    };
  }

  #fenceCalls(): FenceCalls {
    return {
      fence: (to, question) => this.#ask(to, (_, { keeper }) => keeper.fence(question), stranger),
    };
  }

  #ask<Answer>(
    to: AcceptorRef,
    answer: (acceptor: Acceptor, voter: Voter) => Promise<Answer>,
    otherwise: Answer,
  ): Promise<Answer> {
    const asked = async (target: SimProcess): Promise<Answer> => {
      const voter = this.#parts.voterAt(target);
      if (voter === null) throw new Error('the node is still starting');
      return voter.acceptor.id === to.id ? answer(voter.acceptor, voter) : otherwise;
    };
    const options = { timeoutMs: answerMs, mayDouble: true };
    return this.process.host.world.network.call(this.process, to.node, asked, options);
  }
}

const stranger = { kind: 'stranger' } as const;

/** No two of these lead anything at one moment, and none whose fence is in the map holds a lease. */
export function judgeLeases(voters: readonly Voter[], latest: ClusterMap): void {
  for (const voter of voters) {
    if (!voter.process.runs || !voter.holdsLease) continue;
    const { node, incarnation } = voter.life;
    if ((nodeOf(latest, node)?.fencedThrough ?? 0) < incarnation) continue;
    throw new Broken('fenced', `life ${incarnation} of ${node} is fenced and has a lease`);
  }
  latest.placement.forEach((_, partition) => {
    const leaders = voters.filter((voter) => leads(voter, partition));
    if (leaders.length < 2) return;
    const names = leaders.map(({ life }) => `${life.node}:${life.incarnation}`).join(' and ');
    throw new Broken('onePrimary', `partition ${partition} is led by ${names}`);
  });
}

function leads(voter: Voter, partition: number): boolean {
  const { process, map, life } = voter;
  const entry = map.placement[partition];
  if (!process.runs || entry?.primary !== life.node) return false;
  const isThisLife = entry.inSync.some(
    ({ node, incarnation }) => node === life.node && incarnation === life.incarnation,
  );
  return isThisLife && voter.holdsLease;
}
