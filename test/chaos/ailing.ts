/** Does to a cluster what the ills say, several at a time where that leaves enough of it: never so much that no member
 *  of some in-sync set could be counted on, for then the loss of acknowledged writes is nobody's mistake. */
import { setTimeout as delay } from 'node:timers/promises';
import { type ClusterMap, nodeOf } from '../../packages/node/src/shared/map.ts';
import { eventually } from '../support/eventually.ts';
import type { LocalCluster, TestNode } from '../support/local-cluster.ts';
import { describeIll, type Ill, ILL_KINDS, type IllKind, weakens } from './ills.ts';
import type { Network, Passage } from './network.ts';

/** Only tells a cluster that heals from one that does not. */
const BEARABLE_WITHIN_MS = 120_000;
const POLL_MS = 100;
/** After an ill that may have ended a life, the others may yet do so: heartbeats that were missed are counted late. */
const CONVALESCENCE_MS = 5_000;
const ASK_WITHIN_MS = 2_000;

/** An ill that has begun. */
interface Struck {
  readonly end: () => void;
  /** Whether anybody has felt it so far. */
  readonly hasStruck: () => boolean;
}

export class Ailing {
  readonly done: Record<IllKind, number> = { kill: 0, stop: 0, cut: 0, oneWay: 0, slow: 0 };
  /** For people: what was done, and when. */
  readonly told: string[] = [];
  readonly #cluster: LocalCluster;
  readonly #network: Network;
  readonly #nowMs: () => number;
  /** Nodes (from 1) that cannot be counted on. */
  readonly #weak = new Set<number>();
  readonly #busy = new Set<number>();
  readonly #underWay = new Set<Promise<void>>();

  constructor(cluster: LocalCluster, network: Network, nowMs: () => number) {
    this.#cluster = cluster;
    this.#network = network;
    this.#nowMs = nowMs;
  }

  get kindsLeft(): IllKind[] {
    return ILL_KINDS.filter((kind) => this.done[kind] === 0);
  }

  /** Begins it as soon as the cluster can bear it; it ends by itself. */
  async begin(ill: Ill): Promise<void> {
    await eventually(`the cluster can bear: ${describeIll(ill)}`, () => this.#canBear(ill), {
      withinMs: BEARABLE_WITHIN_MS,
      everyMs: POLL_MS,
    });
    this.#tell(describeIll(ill));
    this.#busy.add(ill.node);
    if (weakens(ill)) this.#weak.add(ill.node);
    const { end, hasStruck } = await this.#strike(ill);
    const course = delay(ill.lastsMs).then(() => {
      end();
      if (hasStruck()) this.done[ill.kind]++;
      this.#tell(`${hasStruck() ? 'over' : 'over, and hurt nobody'}: ${describeIll(ill)}`);
    });
    this.#underWay.add(course);
    void course
      .then(() => this.#underWay.delete(course))
      .then(() => delay(weakens(ill) ? CONVALESCENCE_MS : 0))
      .then(() => {
        this.#busy.delete(ill.node);
        this.#weak.delete(ill.node);
      });
  }

  /** Resolves when all that was begun is over. */
  async over(): Promise<void> {
    await Promise.all(this.#underWay);
    this.#network.healAll();
  }

  /** Whatever is still stopped goes on, so that it can be ended. */
  release(): void {
    for (const node of this.#cluster.running) process.kill(node.pid, 'SIGCONT');
    this.#network.healAll();
  }

  #tell(text: string): void {
    this.told.push(`${(this.#nowMs() / 1_000).toFixed(2).padStart(8)} s  ${text}`);
  }

  async #strike(ill: Ill): Promise<Struck> {
    const node = this.#cluster.node(ill.node);
    switch (ill.kind) {
      case 'kill':
        await this.#cluster.kill(ill.node);
        return { end: () => this.#cluster.restart(ill.node), hasStruck: () => true };
      case 'stop': {
        const { pid } = node;
        process.kill(pid, 'SIGSTOP');
        return { end: () => void process.kill(pid, 'SIGCONT'), hasStruck: () => true };
      }
      case 'cut':
        return this.#pass(ill, ['in', 'out'], ill.flag ? { refused: true } : { held: true });
      case 'oneWay':
        return this.#pass(ill, [ill.flag ? 'out' : 'in'], { held: true });
      case 'slow':
        return this.#pass(ill, ['in', 'out'], { delayMs: ill.delayMs });
    }
  }

  #pass(ill: Ill, ways: readonly ('in' | 'out')[], passage: Partial<Passage>): Struck {
    const { id } = this.#cluster.node(ill.node);
    const peers: readonly TestNode[] =
      ill.peer === null
        ? this.#cluster.nodes.filter((node) => node.id !== id)
        : [this.#cluster.node(ill.peer)];
    const directions = peers.flatMap((peer) =>
      ways.map((way) => (way === 'out' ? [id, peer.id] : [peer.id, id])),
    );
    const opposite: Partial<Passage> = { held: false, refused: false, delayMs: 0 };
    const names = Object.keys(passage) as (keyof Passage)[];
    const undone = Object.fromEntries(names.map((name) => [name, opposite[name]]));
    const disturbed = (): number =>
      directions.reduce((sum, [from, to]) => sum + this.#network.disturbed(from, to), 0);
    const before = disturbed();
    for (const [from, to] of directions) this.#network.set(from, to, passage);
    return {
      end: () => {
        for (const [from, to] of directions) this.#network.set(from, to, undone);
      },
      hasStruck: () => disturbed() > before,
    };
  }

  async #canBear(ill: Ill): Promise<boolean> {
    if (this.#busy.has(ill.node) || !this.#cluster.node(ill.node).isRunning) return false;
    if (ill.kind === 'slow') return true;
    if (!weakens(ill)) return ill.peer === null || !this.#busy.has(ill.peer);
    if (this.#weak.size + 1 > Math.floor((this.#cluster.nodes.length - 1) / 2)) return false;
    const map = await this.#map();
    const ready = await this.#readyBut(ill.node);
    const why = standsWithout(map, (id) => ready.has(id));
    if (why !== null) throw new Error(why);
    return true;
  }

  /** Those that can be counted on, the victim aside: no ill weakens them, and they say themselves that they have a lease
   *  and all their copies. */
  async #readyBut(victim: number): Promise<Set<string>> {
    const others = this.#cluster.nodes.filter(
      (node, i) => i + 1 !== victim && !this.#weak.has(i + 1) && node.isRunning,
    );
    const answers = await Promise.allSettled(
      others.map(({ ports }) =>
        fetch(`http://127.0.0.1:${ports.http}/readyz`, {
          signal: AbortSignal.timeout(ASK_WITHIN_MS),
        }),
      ),
    );
    const isReady = (i: number): boolean => {
      const answer = answers[i];
      return answer.status === 'fulfilled' && answer.value.ok;
    };
    return new Set(others.filter((_, i) => isReady(i)).map(({ id }) => id));
  }

  /** The newest that a node knows which can be counted on. */
  async #map(): Promise<ClusterMap> {
    const strong = this.#cluster.nodes.filter(
      (node, i) => !this.#weak.has(i + 1) && node.isRunning,
    );
    const maps = await Promise.all(strong.map((node) => this.#mapOf(node)));
    return maps.toSorted((a, b) => b.version - a.version)[0];
  }

  async #mapOf(node: TestNode): Promise<ClusterMap> {
    const client = this.#cluster.control(node);
    try {
      const late = delay(ASK_WITHIN_MS).then(() => {
        throw new Error(`${node.id} does not say what map it knows`);
      });
      return (await Promise.race([client.status('node'), late])).map;
    } finally {
      client.close();
    }
  }
}

/** Null where each partition has a member in sync, alive in the life that the set names, that can be counted on. */
function standsWithout(map: ClusterMap, canCountOn: (id: string) => boolean): string | null {
  for (const [id, { primary, inSync }] of map.placement.entries()) {
    if (primary === null) return `partition ${id} has no primary`;
    const good = inSync.filter(({ node, incarnation }) => {
      const member = nodeOf(map, node);
      return member?.state === 'up' && member.incarnation === incarnation && canCountOn(node);
    });
    if (good.length === 0) return `partition ${id} has in sync ${JSON.stringify(inSync)}`;
  }
  return null;
}
