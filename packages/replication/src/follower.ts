/** The follower: one copy, one connection to its primary. A pure machine.
 *
 *      greeting -> welcomed -> bulk -> catchUp -> streaming
 *                      |        ^ ^------+----------+   (BEGIN may come at any time)
 *                      +--------+-----------------> streaming
 *
 *  greeting  HELLO is out: identity, geometry, base, history, stamps
 *  bulk      chunks land straight in the image (`place` says where); redo follows R0 and is applied meanwhile
 *  catchUp   END named minConsistent; the copy becomes consistent once that is applied
 *  streaming redo is applied up to the last whole transaction, then acknowledged
 *
 *  In snapshot mode END comes also where there was no bulk, and once minConsistent is applied the round has ended:
 *  nothing that still comes touches the copy.
 *
 *  Invariants: the copy is inconsistent, and the gate has moved, before any byte lands; a chunk is noted before its
 *  first byte lands; an ACK follows what it acknowledges; every frame carries the epoch of the connection.
 *  Bounded: a transaction that is not whole yet waits here, at most as long as the primary's ring.
 *  Knows nothing of sockets, timers and clocks. */
import { CHUNK_BYTES, invariant, type Partition, ROLE_FOLLOWER } from '@ingot/store';
import { type CheckAnswer, encodeAnswers } from './checks.ts';
import type { ReplicationEvent, ReplicationEventName } from './events.ts';
import {
  ACK,
  BEGIN,
  CHECK_ANSWER_BYTES,
  CHECKED,
  CHUNK,
  chunksOf,
  END,
  FLAG_ZERO,
  type FrameHeader,
  frameName,
  HELLO,
  PING,
  payloadChecksum,
  REDO,
  REDO_PAYLOAD_BYTES_MAX,
  REFUSE,
  SEED,
  WELCOME,
} from './frame.ts';
import { encodeHello, type Hello } from './hello.ts';
import { scanRedo } from './redo-batch.ts';
import type { RedoBuffers } from './redo-buffers.ts';
import { Resumption, type ResumptionPlace } from './resumption.ts';
import {
  type Begin,
  decodeBegin,
  decodeRefuse,
  decodeSeed,
  decodeWelcome,
  type Refusal,
} from './welcome.ts';

export type FollowerAction =
  | { readonly kind: 'send'; readonly header: FrameHeader; readonly payload: Buffer }
  | { readonly kind: 'log'; readonly event: ReplicationEvent }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  /** This follower of the partition feeds the copy, once it is at `seq`; the connection has served. */
  | { readonly kind: 'seed'; readonly node: string; readonly seq: number }
  /** A bulk is about to write over this copy: whoever is sent from it must be cut off before the next call. */
  | { readonly kind: 'dropSubscribers' }
  /** Snapshot mode: the copy is at one point of the primary's past, and stays there. */
  | {
      readonly kind: 'roundEnded';
      readonly seq: number;
      readonly chunkBytes: number;
      readonly redoBytes: number;
    }
  /** Terminal: the connection must end. */
  | { readonly kind: 'drop'; readonly reason: string };

export interface FollowerOptions {
  readonly partition: Partition;
  readonly epoch: number;
  readonly hello: Hello;
  readonly buffers: RedoBuffers;
  /** Of the copy, whatever its connection; of this connection alone unless given. */
  readonly resumption?: ResumptionPlace;
}

type Phase = 'greeting' | 'welcomed' | 'bulk' | 'catchUp' | 'streaming' | 'ended' | 'dropped';

const answersPerFrameMax = Math.floor(REDO_PAYLOAD_BYTES_MAX / CHECK_ANSWER_BYTES);
const NOTHING: Buffer = Buffer.alloc(0);

export class Follower {
  readonly #partition: Partition;
  readonly #options: FollowerOptions;
  readonly #resumption: ResumptionPlace;
  #phase: Phase = 'greeting';
  #out: FollowerAction[] = [];
  #nowMs = 0;
  #primary = '';
  #applied = 0;
  #generation = 0;
  #minConsistent = 0;
  #bulk: Begin | null = null;
  /** R0 of a bulk that has been announced and has touched nothing yet. */
  #beginsAt: number | null = null;
  /** The bulk has touched the copy since the last step. */
  #touched = false;
  #bulkStartedMs = 0;
  #bulkBytes = 0;
  #chunkBytes = 0;
  #redoBytes = 0;
  #chunksMissing = 0;
  /** ENDs seen on this connection: tells the primary which of its bulks an ACK knows of. */
  #bulksEnded = 0;
  #redo: Buffer | null = null;
  /** Records of a transaction whose end has not arrived. */
  #pending: Buffer = NOTHING;

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#partition = options.partition;
    this.#resumption = options.resumption ?? { current: null };
  }

  /** The copy is consistent, and redo goes on. */
  get isStreaming(): boolean {
    return this.#phase === 'streaming';
  }

  /** A bulk has begun on this connection, or none is needed. */
  get isFed(): boolean {
    return this.#phase !== 'greeting' && this.#phase !== 'welcomed';
  }

  /** The connection is up: says HELLO. */
  start(nowMs: number): FollowerAction[] {
    this.#begin(nowMs);
    this.#send(HELLO, encodeHello(this.#options.hello));
    return this.#out;
  }

  /** The connection is gone. */
  close(): void {
    this.#phase = 'dropped';
    this.#releaseRedo();
  }

  /** Where the payload of this frame belongs, or the rule it breaks: asked before any byte of it is read. */
  place(header: FrameHeader): Buffer | string {
    const broken = this.#unwelcome(header);
    if (broken !== null) return broken;
    this.#touch();
    if (header.type === CHUNK) return this.#placeChunks(header.chunk, chunksOf(header));
    if (header.type !== REDO) return Buffer.allocUnsafe(header.payloadBytes);
    this.#redo ??= this.#options.buffers.take(header.payloadBytes);
    return this.#redo.subarray(0, header.payloadBytes);
  }

  /** A whole frame has arrived. */
  step(header: FrameHeader, payload: Buffer, nowMs: number): FollowerAction[] {
    this.#begin(nowMs);
    const broken = this.#unwelcome(header) ?? this.#go(header, payload);
    if (broken !== null) this.#drop(broken);
    return this.#out;
  }

  #begin(nowMs: number): void {
    this.#out = [];
    this.#nowMs = nowMs;
  }

  /** The rule that this frame breaks by coming now. */
  #unwelcome(header: FrameHeader): string | null {
    const { partition, epoch } = this.#options;
    const { type } = header;
    if (this.#phase === 'dropped') return 'the connection has ended';
    if (this.#phase === 'ended') return 'nothing follows the end of a round';
    if (type === REFUSE) return this.#phase === 'greeting' ? null : 'REFUSE answers HELLO';
    if (header.epoch !== epoch) return 'every frame carries the epoch of the connection';
    if (partition.epoch() !== epoch) return 'the epoch has moved on';
    if (partition.role() !== ROLE_FOLLOWER) return 'this node no longer follows the partition';
    if (type === WELCOME) return this.#phase === 'greeting' ? null : 'WELCOME answers HELLO';
    if (this.#phase === 'greeting') return `HELLO is answered first, not by ${frameName(type)}`;
    if (type === END && this.#isSnapshot && this.#phase === 'streaming') return null;
    if (type === CHUNK || type === END) {
      return this.#phase === 'bulk' ? null : `${frameName(type)} comes between BEGIN and END`;
    }
    if (type === SEED) {
      if (!this.#options.hello.seedable) return 'SEED is for those that say they know it';
      return this.#phase === 'welcomed' ? null : 'SEED stands in for the first BEGIN';
    }
    if (type === HELLO || type === ACK) return `a primary sends no ${frameName(type)}`;
    return null;
  }

  #go(header: FrameHeader, payload: Buffer): string | null {
    this.#touch();
    // Once more, for whoever came between the two: nobody may find the copy consistent before and after.
    if (this.#touched) this.#out.push({ kind: 'dropSubscribers' });
    this.#touched = false;
    return this.#receive(header, payload);
  }

  /** Whatever follows a BEGIN is the first to touch the copy: by then nobody is sent from it any more. */
  #touch(): void {
    if (this.#beginsAt === null) return;
    const { kind, pass, chunkCount } = this.#bulkUnderWay();
    if (kind === 'full' && pass === 0) {
      const { epoch } = this.#options;
      this.#partition.reset();
      this.#resumption.current = new Resumption(
        epoch,
        this.#beginsAt,
        this.#generation,
        chunkCount,
      );
    }
    this.#partition.beginBulk(this.#beginsAt);
    this.#beginsAt = null;
    this.#touched = true;
  }

  #receive(header: FrameHeader, payload: Buffer): string | null {
    switch (header.type) {
      case WELCOME:
        return this.#receiveWelcome(payload);
      case REFUSE:
        return this.#receiveRefusal(payload);
      case BEGIN:
        return this.#receiveBegin(header, payload);
      case CHUNK:
        return this.#receiveChunks(header);
      case END:
        return this.#receiveEnd(header);
      case REDO:
        return this.#receiveRedo(header, payload);
      case CHECKED:
        return this.#receiveChecked();
      case PING:
        this.#acknowledge();
        return null;
      case SEED:
        return this.#receiveSeed(header, payload);
    }
    return 'the frame type is known';
  }

  #receiveWelcome(payload: Buffer): string | null {
    const welcome = decodeWelcome(payload);
    if (typeof welcome === 'string') return welcome;
    const { kind, reason, nodeId, sharedSeq } = welcome;
    const { base, consistent } = this.#options.hello;
    this.#primary = nodeId;
    this.#phase = 'welcomed';
    if (kind !== 'stream') return null;
    if (!consistent || base === null || sharedSeq !== base.seq) {
      return 'only a consistent copy is streamed to, from its base on';
    }
    this.#log('info', 'syncStarted', { kind, reason });
    this.#applied = base.seq;
    this.#generation = base.generation;
    this.#partition.setRecovered(false);
    this.#phase = 'streaming';
    return null;
  }

  #receiveRefusal(payload: Buffer): string | null {
    const refusal = decodeRefuse(payload);
    if (typeof refusal === 'string') return refusal;
    this.#phase = 'dropped';
    this.#out.push({ kind: 'refused', refusal });
    return null;
  }

  #receiveSeed({ seq }: FrameHeader, payload: Buffer): string | null {
    const seed = decodeSeed(payload);
    if (typeof seed === 'string') return seed;
    this.#phase = 'dropped';
    this.#out.push({ kind: 'seed', node: seed.node, seq });
    return null;
  }

  // ------------------------------------------------------------ bulk

  #receiveBegin(header: FrameHeader, payload: Buffer): string | null {
    const begin = decodeBegin(payload);
    if (typeof begin === 'string') return begin;
    if (begin.chunkCount > this.#partition.geometry.chunkCount)
      return 'a bulk sends no chunk twice';
    if (this.#phase === 'bulk' && this.#chunksMissing > 0)
      return 'a pass sends what its BEGIN announced';
    if (begin.pass === 0) {
      this.#bulkStartedMs = this.#nowMs;
      this.#bulkBytes = 0;
      this.#log('info', 'syncStarted', {
        kind: begin.kind,
        reason: begin.reason,
        chunks: begin.chunkCount,
      });
    }
    this.#out.push({ kind: 'dropSubscribers' });
    this.#beginsAt = header.seq;
    this.#bulk = begin;
    this.#chunksMissing = begin.chunkCount;
    this.#applied = header.seq;
    this.#generation = header.generation;
    this.#pending = NOTHING;
    this.#phase = 'bulk';
    return null;
  }

  #placeChunks(chunk: number, count: number): Buffer | string {
    const { chunkCount } = this.#partition.geometry;
    if (chunk + count > chunkCount) return `the chunk is below ${chunkCount}`;
    if (this.#chunksMissing < count) return 'a pass sends no more than its BEGIN announced';
    for (let i = 0; i < count; i++) {
      this.#partition.chunkLands(chunk + i);
      this.#resumption.current?.note(chunk + i, false);
    }
    return this.#partition.chunkBytesView(chunk, 0, count * CHUNK_BYTES);
  }

  #receiveChunks(header: FrameHeader): string | null {
    const { chunk, flags, generation, payloadBytes } = header;
    const count = chunksOf(header);
    if (flags === FLAG_ZERO) {
      const place = this.#placeChunks(chunk, count);
      if (typeof place === 'string') return place;
      this.#partition.zeroChunk(chunk);
    }
    for (let i = 0; i < count; i++) {
      this.#partition.chunkLanded(chunk + i, generation);
      this.#resumption.current?.note(chunk + i, true);
    }
    this.#chunksMissing -= count;
    this.#bulkBytes += payloadBytes;
    this.#chunkBytes += payloadBytes;
    return null;
  }

  #receiveEnd({ seq }: FrameHeader): string | null {
    if (this.#chunksMissing > 0) return 'a pass sends what its BEGIN announced';
    if (seq < this.#applied) return 'the copy is not consistent before what it has applied';
    this.#minConsistent = seq;
    this.#bulksEnded++;
    if (this.#phase === 'bulk') this.#phase = 'catchUp';
    return this.#settle();
  }

  /** Consistent once minConsistent is applied: from then on no torn byte is left. */
  #settle(): string | null {
    if (this.#phase === 'catchUp' && this.#applied >= this.#minConsistent) {
      // Sound or not, there is nothing to go on from: what is unsound begins anew.
      this.#resumption.current = null;
      const broken = this.#partition.becomeConsistent(this.#generation);
      if (broken !== null) return `the received image is sound: ${broken}`;
      this.#phase = 'streaming';
      const { kind, reason, pass } = this.#bulkUnderWay();
      const ms = Math.round(this.#nowMs - this.#bulkStartedMs);
      const bytes = this.#bulkBytes;
      this.#log('info', 'syncFinished', { kind, reason, bytes, passes: pass + 1, ms });
    }
    this.#acknowledge();
    if (this.#isSnapshot && this.#bulksEnded > 0) this.#endRound();
    return null;
  }

  /** END has come, and what it named is applied. */
  #endRound(): void {
    if (this.#phase !== 'streaming' || this.#applied < this.#minConsistent) return;
    this.#phase = 'ended';
    const [seq, chunkBytes, redoBytes] = [this.#applied, this.#chunkBytes, this.#redoBytes];
    this.#out.push({ kind: 'roundEnded', seq, chunkBytes, redoBytes });
  }

  // ------------------------------------------------------------ redo

  #receiveRedo(header: FrameHeader, payload: Buffer): string | null {
    if (this.#phase === 'welcomed') return 'a bulk begins before its redo';
    this.#redoBytes += payload.length;
    const isWhole = this.#pending.length === 0;
    const records = isWhole ? payload : Buffer.concat([this.#pending, payload]);
    const broken = this.#applyWhole(records, header);
    this.#releaseRedo();
    return broken ?? this.#settle();
  }

  /** Applies up to the last end of a transaction; keeps the rest until more arrives. */
  #applyWhole(records: Buffer, { seq, generation, clockMs }: FrameHeader): string | null {
    const batch = scanRedo(records, this.#applied);
    if (typeof batch === 'string') return batch;
    if (batch.lastSeq !== seq || batch.lastGeneration !== generation) {
      return 'a REDO header names its last record';
    }
    if (records.length - batch.wholeEnd > this.#partition.geometry.ringBytes) {
      return 'a transaction fits the redo ring';
    }
    if (batch.wholeEnd > 0) {
      const outcome = this.#partition.applyRedo(records, 0, batch.wholeEnd, clockMs);
      if (!outcome.ok) return outcome.why;
      this.#applied = batch.wholeSeq;
      this.#generation = batch.wholeGeneration;
      this.#answer(outcome.checks);
    }
    this.#pending =
      batch.wholeEnd === records.length ? NOTHING : Buffer.from(records.subarray(batch.wholeEnd));
    return null;
  }

  #answer(checks: readonly CheckAnswer[]): void {
    for (const { chunk, seq, expected, actual } of checks) {
      if (expected !== actual) this.#log('error', 'checkFailed', { chunk, seq, expected, actual });
    }
    for (let at = 0; at < checks.length; at += answersPerFrameMax) {
      this.#send(CHECKED, encodeAnswers(checks.slice(at, at + answersPerFrameMax)));
    }
  }

  #receiveChecked(): string | null {
    if (this.#phase !== 'streaming') return 'a CHECK pass ends on a consistent copy';
    this.#partition.setChecked(true);
    this.#log('info', 'checkPassed', {});
    return null;
  }

  // ------------------------------------------------------------ leaves

  get #isSnapshot(): boolean {
    return this.#options.hello.snapshot;
  }

  #bulkUnderWay(): Begin {
    invariant(this.#bulk !== null, 'END comes after BEGIN');
    return this.#bulk;
  }

  #acknowledge(): void {
    this.#send(ACK, NOTHING);
  }

  #send(type: number, payload: Buffer): void {
    const header = {
      type,
      flags: 0,
      payloadBytes: payload.length,
      epoch: this.#options.epoch,
      seq: this.#applied,
      generation: this.#bulksEnded,
      chunk: 0,
      clockMs: this.#nowMs,
      payloadCrc32: payload.length === 0 ? 0 : payloadChecksum(payload),
    };
    this.#out.push({ kind: 'send', header, payload });
  }

  #releaseRedo(): void {
    if (this.#redo !== null) this.#options.buffers.give(this.#redo);
    this.#redo = null;
  }

  #log(
    level: ReplicationEvent['level'],
    event: ReplicationEventName,
    fields: Record<string, string | number>,
  ): void {
    const place = { partition: this.#partition.id, node: this.#options.hello.nodeId };
    const shown = this.#isSnapshot && level === 'info' ? 'debug' : level;
    const row = { level: shown, event, ...place, primary: this.#primary, ...fields };
    this.#out.push({ kind: 'log', event: row });
  }

  #drop(reason: string): void {
    this.#phase = 'dropped';
    this.#resumption.current = null;
    this.#out.push({ kind: 'drop', reason });
  }
}
