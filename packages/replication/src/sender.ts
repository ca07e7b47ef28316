/** The sender: one primary partition, one follower, one connection. A pure machine.
 *
 *      deciding -> streaming <----------------------------------------+
 *          |            | lapped, or a CHECK found a difference       |
 *          v            v                                             |
 *        bulk (bulk.ts: position, chunks, redo in between) -----------+
 *
 *  A first bulk that has not begun may be left to another: SEED says to whom, and the connection has served.
 *
 *  streaming redo from R0+1; CHECK markers over all that was sent (checking.ts)
 *
 *  `step` never blocks: where a writer is inside the gate it answers `again` and wants to be stepped a little later.
 *  Invariant: at most one batch of 256 KiB is with the kernel; nothing more is handed over before its
 *  `written`, so a stalled follower costs no memory beyond that.
 *  A relay sends from a copy that follows the same epoch itself, as long as that is consistent. Its stamps and its ring
 *  are the primary's, so nothing else differs; but it can put no CHECK marker into the redo: its copies stay
 *  unchecked, and it never sends what it does not have.
 *  A snapshot follower is sent what brings it to the point that END names, and nothing after: no CHECK markers either.
 *  Knows nothing of sockets, timers and clocks. */
import {
  RING_BUSY,
  RING_LAPPED,
  RING_NOT_HELD,
  ROLE_FOLLOWER,
  ROLE_PRIMARY,
  type Partition,
} from '@ingot/store';
import { Bulk } from './bulk.ts';
import { Checking } from './checking.ts';
import { decideResync, selectChunks } from './decide.ts';
import { ACK, CHECKED, type FrameHeader, frameName, PING, SEED, WELCOME } from './frame.ts';
import { GateLook } from './gate-look.ts';
import { LagClock } from './lag.ts';
import { NO_PAYLOAD, Outbox } from './outbox.ts';
import { unpaced } from './pacer.ts';
import { RedoStream } from './redo-stream.ts';
import type { FollowerState, SenderAction, SenderEvent, SenderOptions } from './sender-steps.ts';
import type { SyncProgress } from './sync-progress.ts';
import { encodeSeed, encodeWelcome, type SyncKind, type SyncReason } from './welcome.ts';

type Phase = 'deciding' | 'bulk' | 'streaming' | 'sentAway' | 'dropped';

export class Sender {
  readonly #partition: Partition;
  readonly #options: SenderOptions;
  readonly #redo: RedoStream;
  readonly #gate: GateLook;
  readonly #out: Outbox;
  readonly #bulk: Bulk;
  readonly #checking: Checking;
  readonly #lag = new LagClock();
  #phase: Phase = 'deciding';
  #ackedSeq = 0;
  /** Who is to feed the copy. */
  #seedAt: string | null = null;
  /** Of a snapshot follower that needs no bulk: END is due once the redo up to here has gone out. */
  #endsAt: number | null = null;

  constructor(options: SenderOptions) {
    const { partition, ring, pacer = unpaced() } = options;
    const redo = new RedoStream(ring);
    const gate = new GateLook(partition);
    const out = new Outbox(options, redo);
    this.#options = options;
    this.#partition = partition;
    this.#redo = redo;
    this.#gate = gate;
    this.#out = out;
    const drain = (): number => this.#drain();
    const sending = (chunk: number): void => this.#checking.add(chunk);
    this.#bulk = new Bulk({ partition, redo, gate, out, pacer, drain, sending });
    const copyAgain = (chunks: readonly number[]): void =>
      this.#startSync('catch-up', 'a CHECK found chunks that differ', () => chunks);
    const givesWay = options.bulksPending ?? ((): boolean => false);
    this.#checking = new Checking({ partition, gate, out, pacer, givesWay, copyAgain });
  }

  get state(): FollowerState {
    if (this.#phase === 'deciding') return 'connecting';
    if (this.#phase !== 'streaming') return 'bulk';
    if (this.#ackedSeq < this.#bulk.minConsistent) return 'catchup';
    return this.#checking.pending ? 'checking' : 'streaming';
  }

  get #isRelay(): boolean {
    return this.#options.relay === true;
  }

  get #isSnapshot(): boolean {
    return this.#options.hello.snapshot;
  }

  /** Nobody compares a snapshot: its follower leads nothing. */
  get #isChecked(): boolean {
    return !this.#isRelay && !this.#isSnapshot;
  }

  get ackedSeq(): number {
    return this.#ackedSeq;
  }

  /** Null where the copy is in step. */
  get sync(): SyncProgress | null {
    return this.#bulk.progress;
  }

  /** A snapshot follower has what it came for. */
  get isRoundOver(): boolean {
    const isStreaming = this.#phase === 'streaming' && this.#endsAt === null;
    return this.#isSnapshot && isStreaming && this.#ackedSeq >= this.#bulk.minConsistent;
  }

  get isBehind(): boolean {
    return this.#lag.isBehind;
  }

  lagSeconds(nowMs: number): number {
    return this.#lag.seconds(nowMs);
  }

  step(event: SenderEvent, nowMs: number): SenderAction[] {
    const out = this.#out;
    out.begin(nowMs);
    if (this.#phase === 'dropped') return out.end();
    const broken = this.#sourceLost() ?? this.#take(event) ?? this.#advance();
    if (broken !== null) {
      this.#phase = 'dropped';
      out.push({ kind: 'drop', reason: broken });
    }
    return out.end();
  }

  /** What was sent is accepted. False where that makes room for something else than the next redo: `written` is due
   *  then, once others have had their turn. */
  taken(): boolean {
    if (this.#phase !== 'streaming' || this.#checking.pending) return false;
    if (this.#endsAt !== null) return false;
    this.#written();
    return true;
  }

  #written(): void {
    this.#out.writing = false;
    this.#redo.release();
  }

  /** The connection is gone: lets go of what others share. */
  close(): void {
    this.#phase = 'dropped';
    this.#redo.abandon();
  }

  /** Why nothing more may be sent from this copy. */
  #sourceLost(): string | null {
    const partition = this.#partition;
    const role = this.#isRelay ? ROLE_FOLLOWER : ROLE_PRIMARY;
    if (partition.role() !== role) {
      return `this node is no longer ${this.#isRelay ? 'a follower' : 'primary'} of the partition`;
    }
    if (!partition.consistent()) return 'the copy here is not consistent';
    if (partition.epoch() !== this.#options.epoch) return 'the epoch has moved on';
    return null;
  }

  #take(event: SenderEvent): string | null {
    switch (event.kind) {
      case 'continue':
        return null;
      case 'written':
        this.#written();
        return null;
      case 'bulkGranted':
        this.#bulk.granted();
        this.#ackedSeq = 0;
        return null;
      case 'seedAt':
        this.#seedAt = event.node;
        return null;
      case 'idle':
        // Before WELCOME there is nothing to say: a source that waits until it is far enough is given up for another.
        if (this.#phase !== 'deciding' && !this.#out.writing) this.#out.send(PING, NO_PAYLOAD);
        return null;
      case 'frame':
        return this.#receive(event.header, event.payload);
    }
  }

  #advance(): string | null {
    if (this.#out.writing) return null;
    if (this.#phase === 'sentAway') return null;
    if (this.#seedAt !== null && this.#bulk.isWaiting) {
      this.#sendAway(this.#seedAt);
      return null;
    }
    if (this.#phase === 'bulk') return this.#advanceBulk();
    if (this.#phase === 'streaming') return this.#stream();
    this.#decide();
    return null;
  }

  // ------------------------------------------------------------ deciding

  #decide(): void {
    const { hello, nodeId, incarnation } = this.#options;
    const partition = this.#partition;
    if (!this.#gate.look()) return this.#out.again();
    if (this.#isRelay && !this.#mayRelay()) return;
    const resync = decideResync(
      {
        history: partition.history(),
        committed: this.#gate.view.seq,
        ringHolds: (seq) => partition.ringFind(seq) !== RING_NOT_HELD,
      },
      hello,
    );
    const { kind, reason, sharedSeq, fromGeneration } = resync;
    if (!hello.checked && this.#isChecked) this.#checking.addEverything();
    this.#out.send(WELCOME, encodeWelcome({ nodeId, incarnation, kind, reason, sharedSeq }));
    if (kind !== 'stream') {
      const select = (): number[] =>
        selectChunks(resync, partition.chunksTouched(), partition.stamps, hello.stamps);
      this.#startSync(kind, reason, select, select().length);
      return;
    }
    this.#out.log('info', 'syncStarted', { kind, reason });
    this.#redo.continueFrom(sharedSeq, fromGeneration, partition.ringFind(sharedSeq + 1));
    this.#ackedSeq = sharedSeq;
    this.#phase = 'streaming';
    if (this.#isSnapshot) {
      this.#endsAt = this.#gate.view.seq;
      return;
    }
    this.#bulk.skip(sharedSeq);
    this.#out.push({ kind: 'acknowledged', seq: sharedSeq }, { kind: 'synced', reason });
  }

  /** What this copy has of the epoch decides over nobody before there is any. Whoever was at the primary itself may be
   *  ahead: it waits for this copy rather than lose what it has. */
  #mayRelay(): boolean {
    const { epoch, hello } = this.#options;
    if (this.#partition.history().at(-1)?.epoch !== epoch) return false;
    const { base } = hello;
    return base === null || base.epoch !== epoch || base.seq <= this.#gate.view.seq;
  }

  // ------------------------------------------------------------ bulk

  #startSync(
    kind: SyncKind,
    reason: SyncReason,
    select: () => readonly number[],
    chunks: number = 0,
  ): void {
    this.#phase = 'bulk';
    this.#bulk.start(kind, reason, select, chunks);
  }

  /** What was committed under an even gate: no byte that this node has sent to the copy before is newer, so from a source
   *  that is as far it may go on from what has landed. */
  #sendAway(node: string): void {
    if (!this.#gate.look()) return this.#out.again();
    this.#out.send(SEED, encodeSeed(node), this.#gate.view.seq);
    this.#phase = 'sentAway';
    this.#out.push({ kind: 'sentAway' });
  }

  #advanceBulk(): string | null {
    const broken = this.#bulk.advance();
    if (!this.#bulk.over) return broken;
    this.#phase = 'streaming';
    if (this.#isChecked) this.#checking.due();
    return broken;
  }

  // ------------------------------------------------------------ streaming

  #stream(): string | null {
    if (this.#isSnapshot && this.#hasAllRedo()) return null;
    const drained = this.#drain();
    if (drained > 0) return null;
    if (drained === RING_BUSY) this.#out.again();
    else if (drained === RING_LAPPED) {
      const changed = this.#bulk.changedSinceSent();
      this.#endsAt = null;
      this.#startSync('catch-up', 'the ring lapped the follower', changed);
    } else if (this.#checking.pending && this.#ackedSeq >= this.#bulk.minConsistent) {
      return this.#checking.pursue(this.#ackedSeq);
    }
    return null;
  }

  /** Of a snapshot: nothing is sent that the follower does not need to be where END says. */
  #hasAllRedo(): boolean {
    const target = this.#endsAt ?? this.#bulk.minConsistent;
    if (this.#redo.seq < target) return false;
    if (this.#endsAt !== null) {
      this.#endsAt = null;
      this.#bulk.endAt(target);
      const reason = 'the copy is current and the ring holds what follows';
      this.#out.push({ kind: 'synced', reason });
    }
    return true;
  }

  /** Sends the redo that follows what was sent. @returns bytes, RING_EMPTY, RING_LAPPED or RING_BUSY */
  #drain(): number {
    const block = this.#redo.take();
    if (typeof block === 'number') return block;
    this.#lag.sent(block.lastSeq, this.#out.nowMs);
    this.#out.sendRedo(block);
    return block.records.length;
  }

  // ------------------------------------------------------------ what the follower says

  #receive(header: FrameHeader, payload: Buffer): string | null {
    if (header.epoch !== this.#options.epoch)
      return 'every frame carries the epoch of the connection';
    if (header.type === ACK) return this.#receiveAck(header);
    if (header.type === CHECKED) return this.#checking.receive(payload);
    return `a follower sends ACK and CHECKED after HELLO, not ${frameName(header.type)}`;
  }

  /** An ACK says after how many bulks of this connection it was sent: one from before a bulk proves nothing. */
  #receiveAck({ seq, generation: bulks }: FrameHeader): string | null {
    if (seq > this.#redo.seq) return 'a follower acknowledges what it was sent';
    if (this.#phase !== 'streaming' || bulks !== this.#bulk.ended) return null;
    this.#ackedSeq = seq;
    this.#lag.acknowledged(seq);
    if (seq < this.#bulk.minConsistent) return null;
    this.#out.push({ kind: 'acknowledged', seq });
    this.#bulk.finish();
    return null;
  }
}
