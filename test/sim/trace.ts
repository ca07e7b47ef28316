/** What a run says of itself: a hash over everything that happened, the last lines of it, and counts. */
import { crc32 } from 'node:zlib';

const linesMax = 60;

export class Trace {
  readonly #lines: string[] = [];
  readonly counts = new Map<string, number>();
  #hash = 0;
  #next = 0;
  /** Where every line goes as well; for `--trace`. */
  readonly #print: ((line: string) => void) | null;

  constructor(print: ((line: string) => void) | null = null) {
    this.#print = print;
  }

  note(nowMs: number, what: string): void {
    const line = `${(nowMs / 1_000).toFixed(6)} ${what}`;
    this.#hash = crc32(line, this.#hash);
    this.#lines[this.#next++ % linesMax] = line;
    this.#print?.(line);
  }

  count(what: string, by = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + by);
  }

  get hash(): string {
    return this.#hash.toString(16).padStart(8, '0');
  }

  get lastLines(): string[] {
    const from = Math.max(0, this.#next - linesMax);
    return Array.from({ length: this.#next - from }, (_, i) => this.#lines[(from + i) % linesMax]);
  }
}

/** A claim about the system did not hold. */
export class Broken extends Error {
  readonly claim: Claim;

  constructor(claim: Claim, detail: string) {
    super(`${CLAIMS[claim]}: ${detail}`);
    this.claim = claim;
  }
}

/** What is claimed, by the name that mutants and scenarios use. */
export const CLAIMS = {
  equal: 'at a consistent point a copy is what its history was at that seq, byte for byte',
  written: 'a reader sees values that were written, whole, as they were at the seq it reads',
  transaction: 'a reader sees a transaction whole or not at all',
  forward: 'no key goes back in the life of a copy, but by a BEGIN',
  raw: 'no raw byte lands in a copy that may be read',
  readable: 'a copy is consistent from the end of its bulk on, not before',
  promotable: 'a copy counts as checked only after a CHECK pass over all of its last bulk',
  refused: 'a frame that was changed on its way is refused',
  epoch: 'a copy that has heard of a new epoch takes nothing from the old one',
  acknowledged: 'an ACK names what is applied, whole transactions of it',
  full: 'a full sync is for copies that are empty or share no history',
  wholeRound: 'what a reader of snapshots sees is one whole round, until it looks again',
  settles: 'once everything is healed every copy becomes current, consistent and checked',
  sound: 'verify() finds every image sound',
  outside: 'image bytes change in mutations only',
  repaired: 'a flipped bit in the memory of a copy is found and repaired',
  fed: 'a copy that feeds others is consistent',
  crowd: 'at most two images of a partition leave its primary, however many join',
  invariant: 'no invariant of the code breaks',
  scenario: 'what a scenario expects comes true',
  register: 'the register is linearizable: one map per version, and reads never go back',
  fenced: 'a life that is fenced in the map has no lease',
  sealed: 'a copy that was sealed takes nothing more of that epoch',
  inSync: 'the copy of a life that the map lists in sync is consistent',
  inside: 'a node takes a write only where it leads, unsealed, in the passage that writes',
  oneWriter: 'of a partition and epoch one life takes writes',
  promoted: 'no empty, inconsistent or unchecked copy leads',
  marked: 'a copy that was not in sync leads only where the map says so',
  linearizable: 'what clients see of acks=isr is linearizable',
  kept: 'every write that was acknowledged with acks=isr is there after a healing',
  logged: 'what was said to be in the redo log on disk is there after a crash',
  onePrimary: 'at no moment do two nodes lead a partition with a lease',
} as const;

export type Claim = keyof typeof CLAIMS;
