/** A node that takes snapshots: of every partition two images, and a round every so often.
 *
 *  Owner: the hub. Which image is whose, and when, `SnapshotRounds` decides; a round is one `RoundConnection`; what
 *  readers see is on the `SnapshotBoard`. At most `roundsAtOnceMax` rounds run at a time. */
import { type Partition, ROLE_FOLLOWER } from '@ingot/store';
import type { Source } from './follower-connection.ts';
import type { NodeState } from './node-state.ts';
import { RoundConnection, type RoundHost, type RoundResult } from './round-connection.ts';
import type { SnapshotBoard } from './snapshot-board.ts';
import { type RoundEvent, SnapshotRounds } from './snapshot-rounds.ts';

const roundsAtOnceMax = 64;

export interface SnapshotOptions {
  /** By partition, in order of their ids. */
  readonly images: readonly (readonly [Partition, Partition])[];
  readonly board: SnapshotBoard;
  readonly everyMs: number;
}

/** Counted since the start of the hub. */
export interface SnapshotStatus {
  readonly everyMs: number;
  readonly partitions: number;
  /** Partitions of which a round has ended. */
  readonly readable: number;
  /** Rounds of single partitions. */
  readonly rounds: number;
  readonly interrupted: number;
  readonly chunkBytes: number;
  readonly redoBytes: number;
  /** From the first partition's beginning to the last one's end, of the last round of all. */
  readonly lastRoundMs: number;
}

export class Snapshots {
  readonly #state: NodeState;
  readonly #options: SnapshotOptions;
  readonly #seats: readonly Seat[];
  readonly #summary: RoundSummary;
  rounds = 0;
  interrupted = 0;
  chunkBytes = 0;
  redoBytes = 0;

  constructor(state: NodeState, options: SnapshotOptions) {
    this.#state = state;
    this.#options = options;
    this.#summary = new RoundSummary(state, options.images.length);
    this.#seats = options.images.map((images) => new Seat(state, options, images, this));
  }

  /** Begins the rounds that are due, and ends those whose primary is another by now. */
  update(): void {
    let running = 0;
    for (const seat of this.#seats) if (seat.update()) running++;
    for (const seat of this.#seats) {
      if (running >= roundsAtOnceMax) return;
      if (seat.begin()) running++;
    }
  }

  close(): void {
    for (const seat of this.#seats) seat.close();
  }

  status(): SnapshotStatus {
    const { board, everyMs, images } = this.#options;
    const { rounds, interrupted, chunkBytes, redoBytes } = this;
    const { lastRoundMs } = this.#summary;
    const counts = { rounds, interrupted, chunkBytes, redoBytes, lastRoundMs };
    return { everyMs, partitions: images.length, readable: board.readable, ...counts };
  }

  noteEnded(partition: number, beganMs: number, result: RoundResult): void {
    this.rounds++;
    this.chunkBytes += result.chunkBytes;
    this.redoBytes += result.redoBytes;
    this.#summary.ended(partition, beganMs, this.#nowMs(), result);
  }

  noteInterrupted(partition: number, reason: string): void {
    this.interrupted++;
    this.#summary.interrupted(partition, reason);
  }

  #nowMs(): number {
    return monotonic(this.#state);
  }
}

/** One partition. */
class Seat implements RoundHost {
  readonly #state: NodeState;
  readonly #options: SnapshotOptions;
  readonly #images: readonly [Partition, Partition];
  readonly #owner: Snapshots;
  readonly #rounds: SnapshotRounds;
  #connection: RoundConnection | null = null;
  #beganMs = 0;
  /** Of the last swap. */
  #version = 0;
  #consistentAtMs = 0;

  constructor(
    state: NodeState,
    options: SnapshotOptions,
    images: readonly [Partition, Partition],
    owner: Snapshots,
  ) {
    this.#state = state;
    this.#options = options;
    this.#images = images;
    this.#owner = owner;
    this.#rounds = new SnapshotRounds(options.everyMs);
  }

  /** Returns whether a round is under way. */
  update(): boolean {
    const connection = this.#connection;
    if (connection === null) return false;
    const source = this.#source();
    if (source !== null && connection.isFrom(source)) connection.tick();
    else connection.stop('the map names another primary');
    return this.#connection !== null;
  }

  /** Returns whether a round has begun. */
  begin(): boolean {
    if (this.#connection !== null) return false;
    const isReachable = this.#source() !== null;
    const isSpare = this.#options.board.allHaveSeen(this.#version);
    this.#step({ kind: 'tick', isReachable, isSpare });
    return this.#connection !== null;
  }

  close(): void {
    this.#connection?.stop('the node stops');
  }

  ended(result: RoundResult): void {
    this.#connection = null;
    this.#consistentAtMs = result.consistentAtMs;
    this.#step({ kind: 'ended' });
    this.#owner.noteEnded(this.#images[0].id, this.#beganMs, result);
  }

  interrupted(reason: string): void {
    this.#connection = null;
    this.#step({ kind: 'interrupted' });
    this.#owner.noteInterrupted(this.#images[0].id, reason);
  }

  #step(event: RoundEvent): void {
    const nowMs = monotonic(this.#state);
    for (const action of this.#rounds.step(event, nowMs)) {
      const { image } = action;
      const partition = this.#images[image];
      if (action.kind === 'publish') {
        const { board } = this.#options;
        this.#version = board.publish(partition.id, image, this.#consistentAtMs);
        continue;
      }
      const source = this.#source();
      if (source === null) return;
      this.#beganMs = nowMs;
      partition.setRole(ROLE_FOLLOWER, source.epoch);
      this.#connection = new RoundConnection(this.#state, partition, source, this);
    }
  }

  #source(): Source | null {
    const view = this.#state.views.get(this.#images[0].id);
    if (view === undefined || view.primary === null || view.primaryAddress === null) return null;
    return { node: view.primary, epoch: view.epoch, ...view.primaryAddress, seedSeq: null };
  }
}

/** Rounds of all partitions are one line in the log, and so is a reason that keeps them from ending. */
class RoundSummary {
  readonly #state: NodeState;
  readonly #partitions: number;
  readonly #ended = new Set<number>();
  readonly #lastReasons = new Map<number, string>();
  #beganMs = Number.POSITIVE_INFINITY;
  #chunkBytes = 0;
  #redoBytes = 0;
  lastRoundMs = 0;

  constructor(state: NodeState, partitions: number) {
    this.#state = state;
    this.#partitions = partitions;
  }

  ended(partition: number, beganMs: number, nowMs: number, result: RoundResult): void {
    this.#ended.add(partition);
    this.#lastReasons.delete(partition);
    this.#beganMs = Math.min(this.#beganMs, beganMs);
    this.#chunkBytes += result.chunkBytes;
    this.#redoBytes += result.redoBytes;
    if (this.#ended.size < this.#partitions) return;
    const ms = Math.round(nowMs - this.#beganMs);
    const [chunkBytes, redoBytes] = [this.#chunkBytes, this.#redoBytes];
    const row = { partitions: this.#partitions, chunkBytes, redoBytes, ms };
    this.#state.identity.log({ level: 'info', event: 'snapshotRound', ...row });
    this.#ended.clear();
    this.#beganMs = Number.POSITIVE_INFINITY;
    this.#chunkBytes = 0;
    this.#redoBytes = 0;
    this.lastRoundMs = ms;
  }

  interrupted(partition: number, reason: string): void {
    if (this.#lastReasons.get(partition) === reason) return;
    this.#lastReasons.set(partition, reason);
    const row = { partition, reason };
    this.#state.identity.log({ level: 'warn', event: 'snapshotInterrupted', ...row });
  }
}

/** A clock that is set must not hold up a round. */
function monotonic({ identity }: NodeState): number {
  return (identity.monotonicMs ?? identity.nowMs)();
}
