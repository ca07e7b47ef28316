/** What befalls a cluster: ills drawn from a seed, each for a while, of one kind after the other so that none is
 *  left out for long. */
import type { Random } from '../../packages/replication/src/random.fixture.ts';

export const ILL_KINDS = ['kill', 'stop', 'cut', 'oneWay', 'slow'] as const;
export type IllKind = (typeof ILL_KINDS)[number];

export interface Ill {
  readonly kind: IllKind;
  /** From 1. */
  readonly node: number;
  /** Between those two alone; null: between the node and all others. */
  readonly peer: number | null;
  readonly lastsMs: number;
  /** Of `cut`: connections are reset and refused, instead of silent. Of `oneWay`: what the node says, not hears. */
  readonly flag: boolean;
  /** Of `slow`, each way. */
  readonly delayMs: number;
  /** Before the next one begins. */
  readonly thenMs: number;
}

/** The node may lose its life by it: it cannot be counted on. */
export function weakens({ kind, peer }: Ill): boolean {
  return kind === 'kill' || kind === 'stop' || (kind !== 'slow' && peer === null);
}

export class Ills {
  readonly #random: Random;
  readonly #nodes: number;
  #bag: IllKind[] = [];

  constructor(random: Random, nodes: number) {
    this.#random = random;
    this.#nodes = nodes;
  }

  next(): Ill {
    const random = this.#random;
    const kind = this.#kind();
    const node = 1 + random.below(this.#nodes);
    const other = 1 + ((node + random.below(this.#nodes - 1)) % this.#nodes);
    const peer = random.chance(0.5) ? other : null;
    const longestMs = kind === 'stop' ? 10_000 : 6_000;
    return {
      kind,
      node,
      peer,
      lastsMs: 1_000 + random.below(longestMs - 1_000),
      flag: random.chance(0.5),
      delayMs: 5 + random.below(60),
      thenMs: 300 + random.below(2_500),
    };
  }

  /** Each kind once, in an order of its own, then all of them again. */
  #kind(): IllKind {
    if (this.#bag.length === 0) this.#bag = [...ILL_KINDS];
    const [kind] = this.#bag.splice(this.#random.below(this.#bag.length), 1);
    return kind;
  }
}

export function describeIll({ kind, node, peer, flag, lastsMs, delayMs }: Ill): string {
  const whom = peer === null ? `n${node}` : `n${node} and n${peer}`;
  const seconds = `${(lastsMs / 1_000).toFixed(1)} s`;
  switch (kind) {
    case 'kill':
      return `kill -9 n${node}, away for ${seconds}`;
    case 'stop':
      return `SIGSTOP n${node} for ${seconds}`;
    case 'cut':
      return `cut ${whom} off (${flag ? 'reset' : 'silent'}) for ${seconds}`;
    case 'oneWay':
      return `nothing that n${node} ${flag ? 'says to' : 'should hear from'} ${peer === null ? 'the others' : `n${peer}`} arrives for ${seconds}`;
    case 'slow':
      return `${whom}: ${delayMs} ms each way for ${seconds}`;
  }
}
