/** The bulk of one sync: chunks out of the live image, redo in between.
 *
 *      waiting (for a slot) -> position -> select -> sending -> ending -> over
 *                                 ^                     |
 *                                 +-- lapped: next pass-+
 *
 *  position  R0 = committed, read under an even gate, before any stamp
 *  select    by stamps; whatever changes from here on has a seq above R0 and comes as redo
 *  sending   BEGIN, live chunks, redo in between so that the ring stays short
 *  ending    once the kernel accepted the last byte: minConsistent = committed, under an even gate
 *
 *  Between batches it waits for its share of the node's rate; redo never waits.
 *
 *  Owner: one sender, which steps it when nothing is with the kernel. A sync outlives its bulk: it is finished once the
 *  copy has acknowledged minConsistent. */
import { CHUNK_BYTES, invariant, RING_LAPPED, type Partition } from '@ingot/store';
import { changedChunks } from './decide.ts';
import { BEGIN, CHUNK, CHUNK_RUN_MAX, END, FLAG_ZERO } from './frame.ts';
import type { GateLook } from './gate-look.ts';
import { NO_PAYLOAD, type Outbox } from './outbox.ts';
import type { Pacer } from './pacer.ts';
import type { RedoStream } from './redo-stream.ts';
import { bytesPerSecond, type SyncProgress } from './sync-progress.ts';
import { encodeBegin, type SyncKind, type SyncReason } from './welcome.ts';

const handedOverBytesMax = 262_144;
const framesPerBatchMax = 512;
const passesMax = 5;
/** A bulk that takes long says so that often. */
const progressLogMs = 5_000;

type Phase = 'waiting' | 'position' | 'select' | 'sending' | 'ending' | 'over';

/** One way from "not equal" to "equal", which may take several passes. */
interface Sync {
  readonly kind: SyncKind;
  readonly reason: SyncReason;
  readonly startedMs: number;
  /** Chunks of the pass at hand. */
  select: () => readonly number[];
  selected: readonly number[];
  /** Position in `selected`; -1 = BEGIN has not gone out. */
  next: number;
  pass: number;
  lapped: boolean;
  chunks: number;
  bytes: number;
  loggedMs: number;
}

export interface BulkParts {
  readonly partition: Partition;
  readonly redo: RedoStream;
  readonly gate: GateLook;
  readonly out: Outbox;
  readonly pacer: Pacer;
  /** Sends the redo that follows what was sent. Returns bytes, RING_EMPTY, RING_LAPPED or RING_BUSY. */
  readonly drain: () => number;
  /** The chunk is about to be sent: from now on it has to be vouched for. */
  readonly sending: (chunk: number) => void;
}

export class Bulk {
  readonly #parts: BulkParts;
  #phase: Phase = 'over';
  #sync: Sync | null = null;
  #ended = 0;
  #minConsistent: number = Number.POSITIVE_INFINITY;

  constructor(parts: BulkParts) {
    this.#parts = parts;
  }

  /** ENDs that have gone out on this connection. */
  get ended(): number {
    return this.#ended;
  }

  /** The copy is consistent once this is acknowledged. */
  get minConsistent(): number {
    return this.#minConsistent;
  }

  /** No bulk is needed: the copy is consistent at `seq`. */
  skip(seq: number): void {
    this.#minConsistent = seq;
  }

  /** No bulk is needed: the copy is at one point once it has applied `seq`. */
  endAt(seq: number): void {
    this.#minConsistent = seq;
    this.#ended++;
    this.#parts.out.send(END, NO_PAYLOAD, seq);
  }

  /** `select` is asked once the bulk begins; `chunks` says about how many it will be. */
  start(
    kind: SyncKind,
    reason: SyncReason,
    select: () => readonly number[],
    chunks: number = 0,
  ): void {
    const { out } = this.#parts;
    const { nowMs } = out;
    const progress = { selected: [], next: -1, pass: 0, lapped: false, chunks: 0, bytes: 0 };
    this.#sync = { kind, reason, startedMs: nowMs, loggedMs: nowMs, select, ...progress };
    this.#minConsistent = Number.POSITIVE_INFINITY;
    this.#phase = 'waiting';
    out.log('info', 'syncStarted', { kind, reason });
    out.push({ kind: 'awaitBulk', chunks });
  }

  /** Chunks that changed since the last redo that went out. */
  changedSinceSent(): () => number[] {
    const { partition, redo } = this.#parts;
    const fromGeneration = redo.generation;
    return () => changedChunks(partition.stamps, fromGeneration);
  }

  granted(): void {
    if (this.#phase === 'waiting') this.#phase = 'position';
  }

  /** It waits for its turn: nothing of it has been sent. */
  get isWaiting(): boolean {
    return this.#phase === 'waiting';
  }

  /** Goes on. Returns why the follower must be given up, or null. */
  advance(): string | null {
    switch (this.#phase) {
      case 'position':
        this.#takePosition();
        return null;
      case 'select':
        this.#select();
        return null;
      case 'sending':
        return this.#sendBatch();
      case 'ending':
        this.#end();
        return null;
      case 'waiting':
      case 'over':
    }
    return null;
  }

  get over(): boolean {
    return this.#phase === 'over';
  }

  /** Of the sync that is under way: until the copy has acknowledged minConsistent. */
  get progress(): SyncProgress | null {
    if (this.#sync === null) return null;
    const { kind, reason, pass, selected, next, bytes, startedMs } = this.#sync;
    const chunks = { chunksDone: Math.max(0, next), chunksTotal: selected.length };
    return { kind, reason, pass, ...chunks, bytes, startedMs };
  }

  /** The copy has acknowledged minConsistent: the sync under way, if any, ends with it. */
  finish(): void {
    if (this.#sync === null) return;
    const { out } = this.#parts;
    const { kind, reason, chunks, bytes, pass, startedMs } = this.#sync;
    const ms = Math.round(out.nowMs - startedMs);
    const rate = bytesPerSecond(bytes, ms);
    const row = { kind, reason, chunks, bytes, passes: pass + 1, ms, bytesPerSecond: rate };
    out.log('info', 'syncFinished', row);
    out.push({ kind: 'synced', reason });
    this.#sync = null;
  }

  #logProgress(sync: Sync): void {
    const { nowMs } = this.#parts.out;
    if (nowMs - sync.loggedMs < progressLogMs) return;
    const { kind, reason, pass, selected, next, bytes, startedMs } = sync;
    sync.loggedMs = nowMs;
    const rate = bytesPerSecond(bytes, nowMs - startedMs);
    const chunks = { chunksDone: next, chunksTotal: selected.length };
    const row = { kind, reason, pass, ...chunks, bytes, bytesPerSecond: rate };
    this.#parts.out.log('info', 'syncProgress', row);
  }

  /** R0, before any stamp is looked at; the selection is a step of its own. */
  #takePosition(): void {
    const { gate, out, redo } = this.#parts;
    if (!gate.look()) return out.again();
    const { seq, generation, ringHead } = gate.view;
    redo.continueFrom(seq, generation, ringHead);
    this.#phase = 'select';
    out.again();
  }

  #select(): void {
    const sync = this.#underWay();
    sync.selected = sync.select();
    sync.next = -1;
    sync.lapped = false;
    this.#phase = 'sending';
    this.#parts.out.again();
  }

  /** At most `handedOverBytesMax`: BEGIN first, then redo that has come up, then live chunks. */
  #sendBatch(): string | null {
    const { drain, out, pacer } = this.#parts;
    const sync = this.#underWay();
    const { selected } = sync;
    if (sync.next === -1) {
      const { kind, reason, pass } = sync;
      out.send(BEGIN, encodeBegin({ kind, reason, chunkCount: selected.length, pass }));
      sync.next = 0;
    }
    let budget = handedOverBytesMax;
    let broken: string | null = null;
    const drained = sync.lapped ? 0 : drain();
    if (drained === RING_LAPPED) sync.lapped = true;
    if (drained > 0) budget -= drained;
    if (!pacer.allows(out.nowMs)) {
      out.push({ kind: 'paced' });
      return null;
    }
    for (let frames = 0; frames < framesPerBatchMax && budget >= CHUNK_BYTES; frames++) {
      if (sync.next === selected.length) {
        broken = this.#finishPass(sync);
        break;
      }
      budget -= this.#sendRun(sync, Math.min(CHUNK_RUN_MAX, Math.floor(budget / CHUNK_BYTES)));
    }
    this.#logProgress(sync);
    if (!out.writing) out.again();
    return broken;
  }

  /** Sends the next chunk, and with it those that lie behind it and are due as well, up to `countMax`. A chunk that is
   *  free is zero: nothing of it travels but its stamp. A run carries the newest stamp of its chunks: one too
   *  new makes a later catch-up send a chunk in vain, one too old would make it miss one.
   *  @returns bytes handed over */
  #sendRun(sync: Sync, countMax: number): number {
    const { out, pacer, partition, redo, sending } = this.#parts;
    const { selected } = sync;
    const chunk = selected[sync.next];
    const zero = partition.chunkIsFree(chunk);
    const runMax = zero ? 1 : countMax;
    let generation = 0;
    let count = 0;
    do {
      generation = Math.max(generation, partition.stamps[chunk + count]);
      sending(chunk + count);
      count++;
    } while (count < runMax && this.#isDue(selected, sync.next + count, chunk + count));
    const payload = zero ? NO_PAYLOAD : partition.chunkBytesView(chunk, 0, count * CHUNK_BYTES);
    sync.next += count;
    sync.chunks += count;
    sync.bytes += payload.length;
    pacer.spend(payload.length);
    const flags = zero ? FLAG_ZERO : 0;
    out.sendHeader(CHUNK, payload, { flags, seq: redo.seq, generation, chunk, payloadCrc32: 0 });
    return payload.length;
  }

  /** Whether `chunk` comes next in the selection, with bytes to send. */
  #isDue(selected: readonly number[], position: number, chunk: number): boolean {
    return selected[position] === chunk && !this.#parts.partition.chunkIsFree(chunk);
  }

  /** All chunks of the pass are handed over. Where the ring was faster than we, the next pass sends what has
   *  changed since the last redo that went out. */
  #finishPass(sync: Sync): string | null {
    if (!sync.lapped) {
      this.#phase = 'ending';
      return null;
    }
    sync.pass++;
    if (sync.pass === passesMax) return `the writers lapped the bulk ${passesMax} times`;
    sync.select = this.changedSinceSent();
    this.#phase = 'position';
    return null;
  }

  /** Runs only after the last chunk's bytes were taken: no torn byte of it is newer than what we read here. */
  #end(): void {
    const { gate, out } = this.#parts;
    if (!gate.look()) return out.again();
    this.#minConsistent = gate.view.seq;
    this.#ended++;
    out.send(END, NO_PAYLOAD, gate.view.seq);
    this.#phase = 'over';
    out.push({ kind: 'bulkEnded' });
  }

  #underWay(): Sync {
    invariant(this.#sync !== null, 'a bulk is part of a sync');
    return this.#sync;
  }
}
