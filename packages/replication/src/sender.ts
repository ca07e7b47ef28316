/** The sender: one primary partition, one follower, one connection. A pure machine.
 *
 *      deciding -> streaming <----------------------------------------------+
 *          |            | lapped, or a CHECK found a difference              |
 *          v            v                                                    |
 *       waiting (for a bulk slot) -> position -> select -> sending -> ending +
 *                                       ^                     |
 *                                       +-- lapped: next pass-+
 *
 *  position  R0 = committed, read under an even gate, before any stamp
 *  select    by stamps; whatever changes from here on has a seq above R0 and comes as redo
 *  sending   BEGIN, live chunks, redo in between so that the ring stays short
 *  ending    once the kernel accepted the last byte: minConsistent = committed, under an even gate
 *  streaming redo from R0+1; CHECK markers over all that was sent
 *
 *  `step` never blocks: where a writer is inside the gate it answers `again` and wants to be stepped a little later.
 *  Invariant: at most one batch of `handedOverBytesMax` is with the kernel; nothing more is handed over before its
 *  `written`, so a stalled follower costs no memory beyond that.
 *  Knows nothing of sockets, timers and clocks. */
import {
  CHUNK_BYTES,
  invariant,
  RING_BUSY,
  RING_LAPPED,
  RING_NOT_HELD,
  ROLE_PRIMARY,
  type Partition,
  type StableView,
} from '@ingot/store';
import { CheckPass, decodeAnswers } from './checks.ts';
import { changedChunks, decideResync, selectChunks } from './decide.ts';
import type { ReplicationEvent, ReplicationEventName } from './events.ts';
import {
  ACK,
  BEGIN,
  CHECKED,
  CHUNK,
  END,
  FLAG_ZERO,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  frameName,
  PING,
  payloadChecksum,
  REDO,
  WELCOME,
} from './frame.ts';
import { LagClock } from './lag.ts';
import { gateLooksMax, RedoStream } from './redo-stream.ts';
import type { FollowerState, SenderAction, SenderEvent, SenderOptions } from './sender-steps.ts';
import { encodeBegin, encodeWelcome, type SyncKind, type SyncReason } from './welcome.ts';

const handedOverBytesMax = 262_144;
const framesPerBatchMax = 512;
const passesMax = 5;
const checkRepairsMax = 5;
const markersPerStepMax = 8;
const NO_PAYLOAD: Buffer = Buffer.alloc(0);

type Phase =
  | 'deciding'
  | 'waiting'
  | 'position'
  | 'select'
  | 'sending'
  | 'ending'
  | 'streaming'
  | 'dropped';

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
}

export class Sender {
  readonly #partition: Partition;
  readonly #options: SenderOptions;
  readonly #checks: CheckPass;
  readonly #redo: RedoStream;
  readonly #lag = new LagClock();
  readonly #view: StableView = {
    seq: 0,
    generation: 0,
    ringHead: 0,
    ringTail: 0,
    epoch: 0,
    role: 0,
    consistent: false,
    checked: false,
  };
  #phase: Phase = 'deciding';
  #out: SenderAction[] = [];
  #nowMs = 0;
  #wantsAgain = false;
  #writing = false;
  #sync: Sync | null = null;
  #ackedSeq = 0;
  #bulksEnded = 0;
  /** The copy is consistent once this is acknowledged. */
  #minConsistent: number = Number.POSITIVE_INFINITY;
  #checking: 'no' | 'due' | 'running' = 'no';
  #checkRepairs = 0;

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#partition = options.partition;
    this.#redo = new RedoStream(options.partition, options.buffers);
    this.#checks = new CheckPass(options.partition.geometry.chunkCount);
  }

  get state(): FollowerState {
    if (this.#phase === 'deciding') return 'connecting';
    if (this.#phase !== 'streaming') return 'bulk';
    if (this.#ackedSeq < this.#minConsistent) return 'catchup';
    return this.#checking === 'no' ? 'streaming' : 'checking';
  }

  get ackedSeq(): number {
    return this.#ackedSeq;
  }

  lagSeconds(nowMs: number): number {
    return this.#lag.seconds(nowMs);
  }

  step(event: SenderEvent, nowMs: number): SenderAction[] {
    this.#out = [];
    this.#nowMs = nowMs;
    this.#wantsAgain = false;
    if (this.#phase === 'dropped') return this.#out;
    const broken = this.#primacyLost() ?? this.#take(event);
    if (broken !== null) this.#drop(broken);
    else if (!this.#writing) this.#advance();
    if (this.#wantsAgain) this.#out.push({ kind: 'again' });
    return this.#out;
  }

  #primacyLost(): string | null {
    const partition = this.#partition;
    if (partition.role() !== ROLE_PRIMARY) return 'this node is no longer primary of the partition';
    if (partition.epoch() !== this.#options.epoch) return 'the epoch has moved on';
    return null;
  }

  #take(event: SenderEvent): string | null {
    switch (event.kind) {
      case 'continue':
        return null;
      case 'written':
        this.#writing = false;
        this.#redo.release();
        return null;
      case 'bulkGranted':
        if (this.#phase === 'waiting') this.#phase = 'position';
        return null;
      case 'idle':
        if (!this.#writing) this.#send(PING, NO_PAYLOAD);
        return null;
      case 'frame':
        return this.#receive(event.header, event.payload);
    }
  }

  #advance(): void {
    switch (this.#phase) {
      case 'deciding':
        return this.#decide();
      case 'position':
        return this.#takePosition();
      case 'select':
        return this.#selectAndBegin();
      case 'sending':
        return this.#sendBatch();
      case 'ending':
        return this.#end();
      case 'streaming':
        return this.#stream();
      case 'waiting':
      case 'dropped':
    }
  }

  // ------------------------------------------------------------ deciding

  #decide(): void {
    const { hello, nodeId, incarnation } = this.#options;
    const partition = this.#partition;
    if (!this.#look()) return this.#again();
    const resync = decideResync(
      {
        history: partition.history(),
        committed: this.#view.seq,
        ringHolds: (seq) => partition.ringFind(seq) !== RING_NOT_HELD,
      },
      hello,
    );
    const { kind, reason, sharedSeq, fromGeneration } = resync;
    if (!hello.checked) this.#checkEverything();
    this.#send(WELCOME, encodeWelcome({ nodeId, incarnation, kind, reason, sharedSeq }));
    if (kind !== 'stream') {
      this.#startSync(kind, reason, () =>
        selectChunks(resync, partition.chunksTouched(), partition.stamps, hello.stamps),
      );
      return;
    }
    this.#log('info', 'syncStarted', { kind, reason });
    this.#redo.continueFrom(sharedSeq, fromGeneration, partition.ringFind(sharedSeq + 1));
    this.#ackedSeq = sharedSeq;
    this.#minConsistent = sharedSeq;
    this.#phase = 'streaming';
    this.#out.push({ kind: 'acknowledged', seq: sharedSeq }, { kind: 'synced', sync: kind });
  }

  /** A copy that no CHECK pass has vouched for may differ anywhere. */
  #checkEverything(): void {
    const touched = this.#partition.chunksTouched();
    for (let chunk = 0; chunk < touched; chunk++) this.#checks.add(chunk);
    this.#checking = 'due';
  }

  // ------------------------------------------------------------ bulk

  #startSync(kind: SyncKind, reason: SyncReason, select: () => readonly number[]): void {
    const progress = { selected: [], next: -1, pass: 0, lapped: false, chunks: 0, bytes: 0 };
    this.#sync = { kind, reason, startedMs: this.#nowMs, select, ...progress };
    this.#minConsistent = Number.POSITIVE_INFINITY;
    this.#phase = 'waiting';
    this.#log('info', 'syncStarted', { kind, reason });
    this.#out.push({ kind: 'awaitBulk' });
  }

  /** R0, before any stamp is looked at; the selection is a step of its own. */
  #takePosition(): void {
    if (!this.#look()) return this.#again();
    const { seq, generation, ringHead } = this.#view;
    this.#redo.continueFrom(seq, generation, ringHead);
    this.#ackedSeq = 0;
    this.#phase = 'select';
    this.#again();
  }

  #selectAndBegin(): void {
    const sync = this.#syncUnderWay();
    sync.selected = sync.select();
    sync.next = -1;
    sync.lapped = false;
    this.#phase = 'sending';
    this.#again();
  }

  /** At most `handedOverBytesMax`: BEGIN first, then redo that has come up, then live chunks. */
  #sendBatch(): void {
    const sync = this.#syncUnderWay();
    const { selected } = sync;
    if (sync.next === -1) {
      const { kind, reason, pass } = sync;
      this.#send(BEGIN, encodeBegin({ kind, reason, chunkCount: selected.length, pass }));
      sync.next = 0;
    }
    let budget = handedOverBytesMax;
    const drained = sync.lapped ? 0 : this.#drain();
    if (drained === RING_LAPPED) sync.lapped = true;
    if (drained > 0) budget -= drained;
    for (let frames = 0; frames < framesPerBatchMax && budget >= CHUNK_BYTES; frames++) {
      if (sync.next === selected.length) {
        this.#finishPass(sync);
        break;
      }
      budget -= this.#sendChunk(sync, selected[sync.next++]);
    }
    if (!this.#writing) this.#again();
  }

  /** @returns bytes handed over. A chunk that is free is zero: nothing of it travels but its stamp. */
  #sendChunk(sync: Sync, chunk: number): number {
    const partition = this.#partition;
    const generation = partition.stamps[chunk];
    const zero = partition.chunkIsFree(chunk);
    const payload = zero ? NO_PAYLOAD : partition.chunkBytesView(chunk, 0, CHUNK_BYTES);
    this.#checks.add(chunk);
    sync.chunks++;
    sync.bytes += payload.length;
    this.#sendHeader(CHUNK, payload, {
      flags: zero ? FLAG_ZERO : 0,
      seq: this.#redo.seq,
      generation,
      chunk,
      payloadCrc32: 0,
    });
    return FRAME_HEADER_BYTES + payload.length;
  }

  /** All chunks of the pass are handed over. Where the ring was faster than we, the next pass sends what has
   *  changed since the last redo that went out. */
  #finishPass(sync: Sync): void {
    if (!sync.lapped) {
      this.#phase = 'ending';
      return;
    }
    sync.pass++;
    if (sync.pass === passesMax) {
      return this.#drop(`the writers lapped the bulk ${passesMax} times`);
    }
    sync.select = this.#changedSinceSent();
    this.#phase = 'position';
  }

  #changedSinceSent(): () => number[] {
    const fromGeneration = this.#redo.generation;
    return () => changedChunks(this.#partition.stamps, fromGeneration);
  }

  /** Runs only after the last chunk's bytes were taken: no torn byte of it is newer than what we read here. */
  #end(): void {
    if (!this.#look()) return this.#again();
    this.#minConsistent = this.#view.seq;
    this.#bulksEnded++;
    this.#send(END, NO_PAYLOAD, this.#view.seq);
    this.#phase = 'streaming';
    this.#checking = 'due';
    this.#out.push({ kind: 'bulkEnded' });
  }

  // ------------------------------------------------------------ streaming

  #stream(): void {
    const drained = this.#drain();
    if (drained > 0) return;
    if (drained === RING_BUSY) return this.#again();
    if (drained === RING_LAPPED) {
      return this.#startSync('catch-up', 'the ring lapped the follower', this.#changedSinceSent());
    }
    if (this.#checking !== 'no' && this.#ackedSeq >= this.#minConsistent) this.#pursueChecks();
  }

  #pursueChecks(): void {
    const checks = this.#checks;
    if (this.#checking === 'due') {
      checks.restart();
      this.#checking = 'running';
    }
    for (let markers = 0; markers < markersPerStepMax; markers++) {
      const chunk = checks.next();
      if (chunk === -1) break;
      if (!this.#look()) return this.#again();
      checks.asked(chunk, this.#view.seq);
      this.#partition.appendCheck(chunk);
      this.#again();
    }
    if (checks.done) this.#finishChecks();
  }

  #finishChecks(): void {
    const { different } = this.#checks;
    if (different.length === 0) {
      this.#checking = 'no';
      this.#checkRepairs = 0;
      this.#send(CHECKED, NO_PAYLOAD);
      this.#log('info', 'checkPassed', {});
      return;
    }
    if (this.#checkRepairs === checkRepairsMax) {
      return this.#drop(`chunks still differ after ${checkRepairsMax} repairs`);
    }
    this.#checkRepairs++;
    this.#startSync('catch-up', 'a CHECK found chunks that differ', () => different);
  }

  /** Sends the redo that follows what was sent. @returns bytes, RING_EMPTY, RING_LAPPED or RING_BUSY */
  #drain(): number {
    const records = this.#redo.take();
    if (typeof records === 'number') return records;
    this.#lag.sent(this.#redo.seq, this.#nowMs);
    this.#send(REDO, records);
    return records.length;
  }

  // ------------------------------------------------------------ what the follower says

  #receive(header: FrameHeader, payload: Buffer): string | null {
    if (header.epoch !== this.#options.epoch)
      return 'every frame carries the epoch of the connection';
    if (header.type === ACK) return this.#receiveAck(header);
    if (header.type === CHECKED) return this.#receiveAnswers(payload);
    return `a follower sends ACK and CHECKED after HELLO, not ${frameName(header.type)}`;
  }

  /** An ACK says after how many bulks of this connection it was sent: one from before a bulk proves nothing. */
  #receiveAck({ seq, generation: bulks }: FrameHeader): string | null {
    if (seq > this.#redo.seq) return 'a follower acknowledges what it was sent';
    if (this.#phase !== 'streaming' || bulks !== this.#bulksEnded) return null;
    this.#ackedSeq = seq;
    this.#lag.acknowledged(seq);
    if (seq < this.#minConsistent) return null;
    this.#out.push({ kind: 'acknowledged', seq });
    this.#finishSync();
    return null;
  }

  #finishSync(): void {
    if (this.#sync === null) return;
    const { kind, reason, chunks, bytes, pass, startedMs } = this.#sync;
    const ms = Math.round(this.#nowMs - startedMs);
    this.#log('info', 'syncFinished', { kind, reason, chunks, bytes, passes: pass + 1, ms });
    this.#sync = null;
    this.#out.push({ kind: 'synced', sync: kind });
  }

  #receiveAnswers(payload: Buffer): string | null {
    const answers = decodeAnswers(payload, this.#partition.geometry.chunkCount);
    if (typeof answers === 'string') return answers;
    for (const answer of answers) {
      const { chunk, seq, expected, actual } = answer;
      this.#checks.answered(answer);
      this.#out.push({ kind: 'answered', answer });
      if (expected !== actual) this.#log('error', 'checkFailed', { chunk, seq, expected, actual });
    }
    return null;
  }

  // ------------------------------------------------------------ leaves

  #syncUnderWay(): Sync {
    invariant(this.#sync !== null, 'a bulk is part of a sync');
    return this.#sync;
  }

  /** Reads the partition under an even gate; false when a writer is inside. */
  #look(): boolean {
    for (let looks = 0; looks < gateLooksMax; looks++) {
      if (this.#partition.tryStable(this.#view)) return true;
    }
    return false;
  }

  #send(type: number, payload: Buffer, seq: number = this.#redo.seq): void {
    const payloadCrc32 = payload.length === 0 ? 0 : payloadChecksum(payload);
    const generation = this.#redo.generation;
    this.#sendHeader(type, payload, { flags: 0, seq, generation, chunk: 0, payloadCrc32 });
  }

  #sendHeader(
    type: number,
    payload: Buffer,
    fields: Pick<FrameHeader, 'flags' | 'seq' | 'generation' | 'chunk' | 'payloadCrc32'>,
  ): void {
    const { epoch } = this.#options;
    const header = { type, payloadBytes: payload.length, epoch, clockMs: this.#nowMs, ...fields };
    this.#out.push({ kind: 'send', header, payload });
    this.#writing = true;
  }

  #again(): void {
    this.#wantsAgain = true;
  }

  #log(
    level: ReplicationEvent['level'],
    event: ReplicationEventName,
    fields: Record<string, string | number>,
  ): void {
    const place = { partition: this.#partition.id, node: this.#options.hello.nodeId };
    this.#out.push({ kind: 'log', event: { level, event, ...place, ...fields } });
  }

  #drop(reason: string): void {
    this.#phase = 'dropped';
    this.#out.push({ kind: 'drop', reason });
  }
}
