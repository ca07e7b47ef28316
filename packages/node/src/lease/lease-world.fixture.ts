/** Three nodes, three acceptors and time, from a seed: clocks drift by 1 %, nodes stand still for seconds, acceptors
 *  start anew, messages are late, lost or cut off, and every node now and then wants to lead. At each step at most one
 *  life may serve. The shortcuts are what the rules of lease-keeper.ts and lease-holder.ts forbid: each must show. */
import { mapFoundedBy } from '../control/simulated-cluster.fixture.ts';
import type { ClusterMap, Life } from '../shared/map.ts';
import { type FenceStorage, LeaseKeeper } from './lease-keeper.ts';
import { LeaseHolder } from './lease-holder.ts';

export type Shortcut =
  | 'none'
  /** A keeper's clock runs so fast that it waits for less than what is served of a lease. */
  | 'shortWait'
  /** A keeper that starts anew does as if nobody had been heard for long. */
  | 'noGrace'
  /** Fences are forgotten when an acceptor starts anew. */
  | 'volatileFences'
  /** A lease counts from when its answer came. */
  | 'fromAnswer';

const count = 3;
const stepMs = 5;
const beatMs = 250;
const ids = [0, 1, 2].map((i) => ({ id: `a${i}`, node: `n${i}` }));

interface Acceptor {
  keeper: LeaseKeeper;
  fenced: Map<string, number>;
  downUntilMs: number;
  readonly nowMs: () => number;
}

interface Node {
  readonly index: number;
  life: Life;
  holder: LeaseHolder;
  known: Lead;
  nextBeatMs: number;
  pausedUntilMs: number;
  readonly nowMs: () => number;
}

interface Lead {
  readonly life: Life;
  readonly version: number;
}

interface Message {
  readonly atMs: number;
  readonly from: number;
  readonly to: number;
  readonly isForAcceptor: boolean;
  readonly arrive: () => void | Promise<void>;
}

export interface WorldFigures {
  failovers: number;
  servedShare: number;
  /** The first step at which two lives served; null: there was none. */
  split: string | null;
}

export class LeaseWorld {
  readonly #random: () => number;
  readonly #shortcut: Shortcut;
  readonly #nodes: Node[];
  readonly #acceptors: Acceptor[];
  readonly #map: ClusterMap;
  readonly #cut = new Set<string>();
  #messages: Message[] = [];
  #lead: Lead = { life: { node: 'n0', incarnation: 1 }, version: 0 };
  #failovers = 0;
  #timeMs = 10_000;

  constructor(seed: number, shortcut: Shortcut) {
    this.#random = randomOf(seed);
    this.#shortcut = shortcut;
    const founded = mapFoundedBy('n0', { partitions: 1, copies: 1 });
    const [anyone] = founded.nodes;
    this.#map = {
      ...founded,
      acceptors: { current: ids, next: null },
      nodes: ids.map(({ node }) => ({ ...anyone, id: node, incarnation: 0 })),
    };
    this.#acceptors = ids.map((_, index) => this.#newAcceptor(index));
    this.#nodes = ids.map((_, index) => this.#newNode(index));
  }

  async run(ms: number): Promise<WorldFigures> {
    const endMs = this.#timeMs + ms;
    let served = 0;
    for (; this.#timeMs < endMs; this.#timeMs += stepMs) {
      this.#breakSomething();
      await this.#deliver();
      for (const node of this.#nodes) this.#act(node);
      const serving = this.#nodes.filter((node) => this.#serves(node));
      if (serving.length > 0) served += stepMs;
      if (serving.length > 1) {
        const lives = serving.map(({ life }) => `${life.node}:${life.incarnation}`).join(', ');
        return this.#figures(served / ms, `${lives} at ${this.#timeMs} ms`);
      }
    }
    return this.#figures(served / ms, null);
  }

  #figures(servedShare: number, split: string | null): WorldFigures {
    return { failovers: this.#failovers, servedShare, split };
  }

  #newAcceptor(index: number): Acceptor {
    const nowMs = this.#clock(this.#shortcut === 'shortWait' ? 1.3 : 1);
    const fenced = new Map<string, number>();
    const keeper = this.#newKeeper(index, nowMs, fenced);
    return { keeper, fenced, downUntilMs: 0, nowMs };
  }

  #newKeeper(index: number, nowMs: () => number, fenced: Map<string, number>): LeaseKeeper {
    let isBorn = false;
    const headStartMs = this.#shortcut === 'noGrace' ? 10_000 : 0;
    const fences: FenceStorage = {
      has: ({ node, incarnation }) => (fenced.get(node) ?? 0) >= incarnation,
      add: async ({ node, incarnation }) => void fenced.set(node, incarnation),
    };
    const keeper = new LeaseKeeper({
      acceptor: ids[index].id,
      accepted: () => this.#map,
      fences,
      nowMs: () => nowMs() - (isBorn ? 0 : headStartMs),
    });
    isBorn = true;
    return keeper;
  }

  #newNode(index: number): Node {
    const nowMs = this.#clock(1);
    const node: Node = {
      ...{ index, nowMs, known: this.#lead, pausedUntilMs: 0 },
      life: { node: `n${index}`, incarnation: 1 },
      holder: newHolder(nowMs),
      nextBeatMs: nowMs() + this.#random() * beatMs,
    };
    return node;
  }

  #clock(rate: number): () => number {
    const drift = 1 + (this.#random() * 2 - 1) * 0.0099;
    return () => this.#timeMs * drift * rate;
  }

  #breakSomething(): void {
    if (this.#chance(0.005)) {
      const link = `${this.#any()}-${this.#any()}`;
      if (!this.#cut.delete(link)) this.#cut.add(link);
    }
    if (this.#chance(0.002)) {
      this.#nodes[this.#any()].pausedUntilMs = this.#timeMs + this.#random() * 6_000;
    }
    if (this.#chance(0.003)) this.#restart(this.#any());
  }

  #restart(index: number): void {
    const acceptor = this.#acceptors[index];
    acceptor.downUntilMs = this.#timeMs + this.#random() * 1_500;
    if (this.#shortcut === 'volatileFences') acceptor.fenced.clear();
    acceptor.keeper = this.#newKeeper(index, acceptor.nowMs, acceptor.fenced);
  }

  async #deliver(): Promise<void> {
    const due = this.#messages.filter(({ atMs }) => atMs <= this.#timeMs);
    if (due.length === 0) return;
    const isHeldUp = ({ isForAcceptor, to }: Message): boolean =>
      !isForAcceptor && this.#nodes[to].pausedUntilMs > this.#timeMs;
    const held = due.filter(isHeldUp);
    this.#messages = [...this.#messages.filter(({ atMs }) => atMs > this.#timeMs), ...held];
    for (const message of due) if (!held.includes(message)) await this.#arrive(message);
  }

  async #arrive({ from, to, isForAcceptor, arrive }: Message): Promise<void> {
    const link = isForAcceptor ? `${from}-${to}` : `${to}-${from}`;
    if (this.#cut.has(link)) return;
    if (isForAcceptor && this.#acceptors[to].downUntilMs > this.#timeMs) return;
    await arrive();
  }

  #act(node: Node): void {
    if (node.pausedUntilMs > this.#timeMs || node.nowMs() < node.nextBeatMs) return;
    node.nextBeatMs = node.nowMs() + beatMs;
    if (this.#chance(0.5)) node.known = this.#lead;
    this.#beat(node);
    if (node.known.life.node !== node.life.node && this.#chance(0.15)) this.#takeOver(node);
  }

  #beat(node: Node): void {
    const { life, holder } = node;
    const beat = holder.sent();
    for (const [index, acceptor] of this.#acceptors.entries()) {
      this.#ask(node.index, index, () => {
        const answer = acceptor.keeper.hear(life, beat);
        this.#answer(index, node.index, () => {
          if (node.holder !== holder) return;
          if (answer.kind !== 'acked') return this.#refused(node);
          const counted = this.#shortcut === 'fromAnswer' ? holder.sent() : beat;
          holder.answered(answer.acceptor, counted, answer.acceptorSet);
        });
      });
    }
  }

  #refused(node: Node): void {
    if (node.holder.isHeld()) return;
    node.life = { ...node.life, incarnation: node.life.incarnation + 1 };
    node.holder = newHolder(node.nowMs);
  }

  #takeOver(node: Node): void {
    const { life, version } = node.known;
    const own = node.life;
    const agreed = new Set<number>();
    for (const [index, acceptor] of this.#acceptors.entries()) {
      this.#ask(node.index, index, async () => {
        const question = { life, askOnly: false, byOwner: false };
        const answer = await acceptor.keeper.fence(question);
        this.#answer(index, node.index, () => {
          if (answer.kind === 'agreed') agreed.add(index);
          if (agreed.size < 2 || this.#lead.version !== version || node.life !== own) return;
          this.#lead = { life: own, version: version + 1 };
          node.known = this.#lead;
          this.#failovers++;
        });
      });
    }
  }

  #serves({ life, holder, known, pausedUntilMs }: Node): boolean {
    if (pausedUntilMs > this.#timeMs) return false;
    const leads = known.life.node === life.node && known.life.incarnation === life.incarnation;
    return leads && holder.isHeld();
  }

  #ask(from: number, to: number, arrive: Message['arrive']): void {
    this.#send({ from, to, isForAcceptor: true, arrive });
  }

  #answer(from: number, to: number, arrive: Message['arrive']): void {
    this.#send({ from, to, isForAcceptor: false, arrive });
  }

  #send(message: Omit<Message, 'atMs'>): void {
    if (this.#chance(0.03)) return;
    const delayMs = this.#chance(0.05) ? this.#random() * 3_000 : 1 + this.#random() * 20;
    this.#messages.push({ ...message, atMs: this.#timeMs + delayMs });
  }

  #chance(p: number): boolean {
    return this.#random() < p;
  }

  #any(): number {
    return Math.floor(this.#random() * count);
  }
}

function newHolder(nowMs: () => number): LeaseHolder {
  const holder = new LeaseHolder({ nowMs, wallMs: nowMs });
  holder.follow({ current: ids, next: null });
  return holder;
}

function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
