/** Which groups of the log are still needed: those that hold something that no checkpoint has.
 *
 *  Groups go in the order in which they came, a segment at a time; a segment knows of each partition the last chain and
 *  seq in it. Pure. */
import type { LogChain } from './log-chain.ts';

interface Need {
  chain: number;
  seq: number;
}

interface Segment {
  readonly from: number;
  to: number;
  bytes: number;
  /** By partition. */
  readonly needs: Map<number, Need>;
}

/** LMDB keeps a long value in pages of its own. */
const PAGE_BYTES = 4_096;

export class LogSegments {
  readonly #segmentBytes: number;
  readonly #segments: Segment[] = [];
  /** Before it nothing is kept. Between two segments there may be a group of which it was not known that it is on disk. */
  #keptFrom = 1;

  constructor(segmentBytes: number) {
    this.#segmentBytes = segmentBytes;
  }

  get bytes(): number {
    return this.#segments.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** What was there before this life: of these partitions a checkpoint is needed that is newer than all of it. */
  begin(from: number, to: number, bytes: number, partitions: readonly number[]): void {
    this.#keptFrom = Math.min(from, to);
    if (from >= to) return;
    const needs = new Map(partitions.map((id) => [id, { chain: 0, seq: Number.MAX_SAFE_INTEGER }]));
    this.#segments.push({ from, to, bytes, needs });
  }

  /** A group of so many bytes was added. */
  add(number: number, bytes: number): void {
    const last = this.#segments.at(-1);
    const paged = (Math.ceil(bytes / PAGE_BYTES) + 1) * PAGE_BYTES;
    if (last !== undefined && last.to === number && last.bytes < this.#segmentBytes) {
      last.to++;
      last.bytes += paged;
    } else this.#segments.push({ from: number, to: number + 1, bytes: paged, needs: new Map() });
  }

  /** The newest group has redo of that partition up to there. */
  note(partition: number, chain: number, seq: number): void {
    const needs = this.#segments.at(-1)?.needs;
    const known = needs?.get(partition);
    if (known === undefined) needs?.set(partition, { chain, seq });
    else {
      known.chain = chain;
      known.seq = seq;
    }
  }

  /** The groups at the front that nobody needs; null: there are none. They are not known here any more. */
  takeUnneeded(chains: ReadonlyMap<number, LogChain>): { from: number; to: number } | null {
    const from = this.#keptFrom;
    while (this.#segments.length > 0 && isUnneeded(this.#segments[0], chains)) {
      this.#keptFrom = (this.#segments.shift() as Segment).to;
    }
    return this.#keptFrom > from ? { from, to: this.#keptFrom } : null;
  }

  /** The partitions that hold up the oldest segment. */
  holders(chains: ReadonlyMap<number, LogChain>): number[] {
    const first = this.#segments[0];
    if (first === undefined) return [];
    return [...first.needs.keys()].filter((id) => !holds(chains.get(id), first.needs.get(id)));
  }
}

function isUnneeded({ needs }: Segment, chains: ReadonlyMap<number, LogChain>): boolean {
  for (const [id, need] of needs) if (!holds(chains.get(id), need)) return false;
  return true;
}

/** Whether the checkpoint has it. A copy that is here no longer needs nothing. */
function holds(chain: LogChain | undefined, need: Need | undefined): boolean {
  if (chain === undefined || need === undefined) return true;
  if (chain.savedSeq < 0) return false;
  return need.chain < chain.number || chain.savedSeq >= need.seq;
}
