/** Writes the redo of all copies here to disk, in groups: what came while one was flushed is the next.
 *
 *  Owner: the log worker, which calls `step` until nothing is left. What a group has counts, and is published on the
 *  board, once its commit has returned. Where the disk takes nothing, or the log would grow beyond its bound,
 *  the board says so, and it is tried again every so often; nobody but those who wait for the log notices.
 *  Invariants: groups are numbered without a gap; of a chain that has no base nothing is published; a group goes only
 *  once checkpoints have all of it. */
import type { Partition } from '@ingot/store';
import { type LogBoard, LogState } from './log-board.ts';
import { LogChain, Take, type Taken } from './log-chain.ts';
import { GroupWriter, type LogOwner } from './log-group.ts';
import { LogSegments } from './log-segments.ts';
import type { LogStore } from './log-store.ts';

const GROUP_BYTES_MAX = 4_194_304;
const SEGMENT_SHARE = 32;
/** Of `bytesMax`: from then on checkpoints are asked for. */
const LONG_SHARE = 0.5;
const ASK_AGAIN_MS = 2_000;
const RETRY_MS = 500;

/** What the log holds from before: where it was cut, and what the copies are that were made of it. */
export interface LogStart {
  /** Groups from here on are not to be kept; null: all are sound. */
  readonly cutAt: number | null;
  readonly bytes: number;
  readonly copies: readonly RecoveredCopy[];
}

/** A copy as checkpoint and log had it. */
export interface RecoveredCopy {
  readonly partition: number;
  readonly seq: number;
  /** Since then nothing landed in it where this is the same. */
  readonly landings: number;
}

export interface LogWriterOptions {
  readonly board: LogBoard;
  readonly owner: LogOwner;
  readonly life: () => number;
  readonly bytesMax: number;
  readonly open: () => LogStore;
  readonly start: LogStart;
  /** Unix ms; what redo was written under. */
  readonly nowMs: () => number;
  readonly monotonicMs: () => number;
  /** Checkpoints of these are needed at once. */
  readonly wantSaves: (partitions: readonly number[]) => void;
  /** It fails, or does so no longer (null). */
  readonly failing: (why: string | null) => void;
}

export interface LogFigures {
  readonly groups: number;
  readonly bytes: number;
  readonly flushSeconds: number;
  readonly failures: number;
  readonly breaks: number;
}

export class LogWriter {
  readonly #options: LogWriterOptions;
  readonly #group: GroupWriter;
  readonly #segments: LogSegments;
  readonly #chains = new Map<number, LogChain>();
  readonly #copies = new Map<number, number>();
  readonly #asked = new Map<number, number>();
  readonly #figures = { groups: 0, bytes: 0, flushSeconds: 0, failures: 0, breaks: 0 };
  readonly #recovered: ReadonlyMap<number, RecoveredCopy>;
  #remove: { from: number; to: number } | null = null;
  #order: LogChain[] = [];
  #first = 0;
  #store: LogStore | null = null;
  #next = 0;
  #chainNumber = 0;
  #isBegun = false;
  #failing: string | null = null;
  #retryAtMs = 0;

  constructor(options: LogWriterOptions) {
    this.#options = options;
    this.#group = new GroupWriter(options.owner);
    this.#segments = new LogSegments(options.bytesMax / SEGMENT_SHARE);
    this.#recovered = new Map(options.start.copies.map((copy) => [copy.partition, copy]));
  }

  /** Copies that were here before the thread began are attached first. */
  begin(): void {
    this.#tryOpen();
  }

  attach(partition: Partition): void {
    const { id } = partition;
    const copy = (this.#copies.get(id) ?? 0) + 1;
    this.#copies.set(id, copy);
    const chain = new LogChain(partition, copy);
    this.#chains.set(id, chain);
    this.#order = [...this.#chains.values()];
    this.#options.board.forget(id);
    const base = this.#baseOf(chain);
    if (base !== null && chain.continueFrom(base, this.#chainNumber + 1)) this.#chainNumber++;
  }

  /** What the disk knows of a copy that has just come. */
  #baseOf({ partition }: LogChain): number | null {
    const landings = partition.landings();
    if (landings === 0) return 0;
    const recovered = this.#isBegun ? undefined : this.#recovered.get(partition.id);
    return recovered?.landings === landings ? recovered.seq : null;
  }

  detach(id: number): void {
    this.#chains.delete(id);
    this.#asked.delete(id);
    this.#order = [...this.#chains.values()];
    this.#options.board.forget(id);
  }

  /** A checkpoint of the `copy`-th copy of the partition is on disk. */
  saved(id: number, copy: number, landings: number, seq: number): void {
    const chain = this.#chains.get(id);
    if (chain?.copy !== copy || !chain.saved(landings, seq)) return;
    this.#asked.delete(id);
    if (chain.seq > 0) this.#publish(chain);
  }

  get figures(): LogFigures {
    return this.#figures;
  }

  /** Of all groups that are kept. */
  get keptBytes(): number {
    return this.#segments.bytes;
  }

  /** Copies of which the log has nothing that counts. */
  get unbased(): number {
    return this.#order.filter(({ isBased }) => !isBased).length;
  }

  get failingWhy(): string | null {
    return this.#failing;
  }

  /** Writes one group. False where there was nothing to write, or nothing could be. */
  step(): boolean {
    const nowMs = this.#options.monotonicMs();
    if (this.#store === null && (nowMs < this.#retryAtMs || !this.#tryOpen())) return false;
    this.#askForSaves(nowMs);
    this.#noteUnneeded();
    if (this.#remove === null && this.#segments.bytes > this.#options.bytesMax) {
      this.#fail('it is full, and no checkpoint could be made that lets it begin anew');
      return false;
    }
    this.#group.begin();
    const takes = this.#gather();
    if (this.#group.isEmpty && this.#remove === null) {
      if (this.#failing !== null) this.#goesOn();
      return false;
    }
    return this.#commit(takes);
  }

  /** What a failed commit was to remove is removed by a later one: groups go in their order, and leave no gap. */
  #noteUnneeded(): void {
    const more = this.#segments.takeUnneeded(this.#chains);
    if (more !== null) this.#remove = { from: this.#remove?.from ?? more.from, to: more.to };
  }

  async close(): Promise<void> {
    const store = this.#store;
    this.#store = null;
    await store?.close();
  }

  #gather(): Taken[] {
    const takes: Taken[] = [];
    const order = this.#order;
    for (let i = 0; i < order.length; i++) {
      const chain = order[(this.#first + i) % order.length];
      if (this.#group.bytes > GROUP_BYTES_MAX) {
        this.#first = (this.#first + i) % order.length;
        break;
      }
      if (chain.number === 0 || chain.take(this.#group, takes) === Take.broken) this.#break(chain);
    }
    return takes;
  }

  #break(chain: LogChain): void {
    const { id } = chain.partition;
    if (chain.number !== 0) {
      this.#figures.breaks++;
      this.#options.board.forget(id);
      chain.number = 0;
      chain.isBased = false;
    }
    if (chain.beginAnew(this.#chainNumber + 1)) this.#chainNumber++;
    else chain.number = 0;
  }

  #commit(takes: readonly Taken[]): boolean {
    const { life, nowMs, monotonicMs } = this.#options;
    const number = this.#next;
    const group = this.#group.isEmpty
      ? null
      : { number, bytes: this.#group.end(number, life(), nowMs()) };
    const beganMs = monotonicMs();
    try {
      (this.#store as LogStore).commit({ group, remove: this.#remove });
    } catch (error) {
      this.#fail((error as Error).message);
      return false;
    }
    this.#remove = null;
    this.#figures.flushSeconds += (monotonicMs() - beganMs) / 1_000;
    if (group !== null) {
      this.#next++;
      this.#figures.groups++;
      this.#figures.bytes += group.bytes.length;
      this.#segments.add(number, group.bytes.length);
    }
    for (const taken of takes) {
      const { chain } = taken;
      chain.settle(taken);
      this.#segments.note(chain.partition.id, chain.number, chain.seq);
      this.#publish(chain);
    }
    if (this.#failing !== null) this.#goesOn();
    return true;
  }

  #publish({ isBased, partition, epoch, seq }: LogChain): void {
    if (isBased) this.#options.board.logged(partition.id, epoch, seq);
  }

  #tryOpen(): boolean {
    try {
      this.#store = this.#options.open();
      const last = this.#store.lastNumber();
      if (this.#isBegun) this.#next = Math.max(this.#next, last + 1);
      else this.#beginBehind(last);
      if (this.#failing === null) this.#options.board.state = LogState.writes;
      return true;
    } catch (error) {
      this.#fail((error as Error).message);
      return false;
    }
  }

  #beginBehind(last: number): void {
    const { cutAt, bytes } = this.#options.start;
    const store = this.#store as LogStore;
    if (cutAt !== null && cutAt <= last) {
      store.commit({ group: null, remove: { from: cutAt, to: last + 1 } });
    }
    const end = Math.min(last + 1, cutAt ?? Number.MAX_SAFE_INTEGER);
    this.#next = end;
    this.#segments.begin(store.firstNumber(), end, bytes, [...this.#recovered.keys()]);
    this.#isBegun = true;
  }

  #fail(why: string): void {
    const { board, monotonicMs, failing } = this.#options;
    board.state = LogState.fails;
    this.#figures.failures++;
    this.#retryAtMs = monotonicMs() + RETRY_MS;
    const store = this.#store;
    this.#store = null;
    void store?.close().catch(() => undefined);
    if (this.#failing === why) return;
    this.#failing = why;
    failing(why);
  }

  #goesOn(): void {
    this.#failing = null;
    this.#options.board.state = LogState.writes;
    this.#options.failing(null);
  }

  /** Where a chain has no base, and where the log has become long. */
  #askForSaves(nowMs: number): void {
    const isLong = this.#segments.bytes > LONG_SHARE * this.#options.bytesMax;
    const wanted = isLong ? this.#segments.holders(this.#chains) : [];
    for (const chain of this.#order) {
      if (chain.number !== 0 && !chain.isBased) wanted.push(chain.partition.id);
    }
    const due = wanted.filter((id) => nowMs >= (this.#asked.get(id) ?? 0));
    if (due.length === 0) return;
    for (const id of due) this.#asked.set(id, nowMs + ASK_AGAIN_MS);
    this.#options.wantSaves(due);
  }
}
