/** Leases and fences of one node, both sides: its own life, which beats for its lease, and its
 *  acceptor, which answers the beats of others and ends lives.
 *  Owner: the control plane. A life begins with `begin`, and `end` ends it. */
import type { Acceptor } from '../register/acceptor.ts';
import type { IngotError } from '../shared/errors.ts';
import { later } from '../shared/later.ts';
import type { AcceptorRef, ClusterMap, Life, MapNode, NodeId } from '../shared/map.ts';
import type { LeaseAuthority } from '../lease/authority.ts';
import { CasPaxosLeases } from '../lease/caspaxos-leases.ts';
import { processClocks } from '../lease/clocks.ts';
import type { BeatAnswer, FenceAnswer, FenceQuestion } from '../lease/fence-calls.ts';
import { LeaseHolder, type LeaseTime } from '../lease/lease-holder.ts';
import { LeaseKeeper } from '../lease/lease-keeper.ts';
import type { ControlClient } from './control-client.ts';
import { Heartbeats } from './heartbeats.ts';
import { beatRefusal } from './life-verdict.ts';
import type { Heartbeat, NodeReport } from './types.ts';

export interface LeasesOptions {
  readonly self: NodeId;
  readonly acceptor: Acceptor;
  /** What the acceptor has accepted last. */
  readonly accepted: () => ClusterMap | null;
  readonly client: (node: MapNode) => Pick<ControlClient, 'heartbeat'>;
  /** Asks the acceptor of another node. */
  readonly fence: (to: AcceptorRef, question: FenceQuestion) => Promise<FenceAnswer>;
  readonly report: () => NodeReport;
  /** A heartbeat of this node to itself; those of others come in by gRPC. */
  readonly hear: (report: Heartbeat) => void;
  /** Until when this node may serve, whenever that changes. */
  readonly renewed: (servedUntil: LeaseTime) => void;
  /** A node refuses this life. Alone it proves nothing as long as enough others answer. */
  readonly refused: (node: NodeId, why: IngotError) => void;
  /** Somebody has accepted a newer map than is known here. */
  readonly behind: (version: number, node: NodeId) => void;
  readonly connected: (node: NodeId, isConnected: boolean) => void;
}

interface OwnLife {
  readonly life: Life;
  readonly holder: LeaseHolder;
  readonly heartbeats: Heartbeats;
}

export class Leases {
  readonly #options: LeasesOptions;
  readonly #keeper: LeaseKeeper;
  /** Ends lives. That takes no life of one's own: a node that starts ends its former one. */
  readonly authority: Pick<LeaseAuthority, 'fence'>;
  #map: ClusterMap;
  #own: OwnLife | null = null;
  #fences = 0;

  /** `map` is the newest that is known to be chosen. */
  constructor(options: LeasesOptions, map: ClusterMap) {
    const { acceptor, accepted } = options;
    this.#options = options;
    this.#map = map;
    this.authority = new CasPaxosLeases({
      acceptors: () => this.#map.acceptors,
      holder: new LeaseHolder(processClocks),
      beat: () => 0,
      later,
      calls: { fence: (to, question) => this.#askToFence(to, question) },
    });
    this.#keeper = new LeaseKeeper({
      acceptor: acceptor.id,
      accepted,
      nowMs: processClocks.nowMs,
      fences: {
        has: (life) => acceptor.isFenced(life),
        add: (life) => acceptor.fence(life),
      },
    });
    acceptor.onAccepted(() => this.#keeper.look());
  }

  /** Fences that this node's acceptor has agreed to since it started. */
  get fences(): number {
    return this.#fences;
  }

  /** From now on this node is this life; `map` lists it. */
  begin(life: Life, map: ClusterMap): void {
    this.end();
    const { self, client, report, behind, connected } = this.#options;
    const holder = new LeaseHolder(processClocks);
    const heartbeats = new Heartbeats({
      self,
      holder,
      client,
      report,
      wallMs: processClocks.wallMs,
      ownBeat: (own, beat) => this.#beatItself(own, beat),
      answered: (node, ack) => {
        this.#answered(holder, ack.acceptor, Number(ack.beat), ack.acceptorSet);
        const version = Number(ack.mapVersion);
        if (version > this.#map.version) behind(version, node);
      },
      refused: this.#options.refused,
      connected,
    });
    this.#own = { life, holder, heartbeats };
    this.follow(map);
  }

  /** Resolves once there is a lease, or nobody has granted one for so long. */
  async granted(patienceMs: number): Promise<void> {
    const patience = Promise.withResolvers<void>();
    const timer = setTimeout(patience.resolve, patienceMs);
    const granted = this.#own?.holder.renewed(1).catch(() => undefined);
    await Promise.race([granted, patience.promise]);
    clearTimeout(timer);
  }

  /** The newest map that is known to be chosen. */
  follow(map: ClusterMap): void {
    this.#map = map;
    this.#own?.holder.follow(map.acceptors);
    this.#own?.heartbeats.follow(map);
  }

  /** This life is over, or the process ends. */
  end(): void {
    this.#own?.heartbeats.stop();
    this.#own?.holder.end();
    this.#own = null;
  }

  hasLease(): boolean {
    return this.#own?.holder.isHeld() === true;
  }

  // ------------------------------------------------------------ the acceptor's side

  /** What this node's acceptor makes of a heartbeat. Throws an IngotError where it refuses it. */
  answer(life: Life, beat: number): Extract<BeatAnswer, { kind: 'acked' }> {
    const answer = this.#keeper.hear(life, beat);
    if (answer.kind === 'acked') return answer;
    throw beatRefusal(answer.kind === 'fenced' ? 'ended' : answer.kind);
  }

  /** `acceptor` is the one that is meant. */
  async fence(acceptor: string, question: FenceQuestion): Promise<FenceAnswer> {
    if (acceptor !== this.#options.acceptor.id) return { kind: 'stranger' };
    const answer = await this.#keeper.fence(question);
    if (answer.kind === 'agreed' && !question.askOnly) this.#fences++;
    return answer;
  }

  #askToFence(to: AcceptorRef, question: FenceQuestion): Promise<FenceAnswer> {
    const { self, fence } = this.#options;
    return to.node === self ? this.fence(to.id, question) : fence(to, question);
  }

  // ------------------------------------------------------------ the holder's side

  #beatItself(report: NodeReport, beat: number): void {
    const own = this.#own;
    if (own === null) return;
    try {
      this.#options.hear(report);
      const { acceptor, acceptorSet } = this.answer(own.life, beat);
      this.#answered(own.holder, acceptor, beat, acceptorSet);
    } catch (error) {
      this.#options.refused(this.#options.self, error as IngotError);
    }
  }

  #answered(holder: LeaseHolder, acceptor: string, beat: number, setName: string): void {
    if (holder.answered(acceptor, beat, setName)) this.#options.renewed(holder.servedUntil());
  }
}
