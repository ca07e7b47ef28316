/** A local copy's connection to its primary: keeps one open, performs what the follower machine asks for. Or one to the
 *  follower that feeds it: that is tried once, and over when the copy is consistent.
 *
 *  Owner: the hub of the follower. Reconnects with bounded, doubling pauses, forgotten as soon as a primary
 *  welcomes us or the map changes. Decides nothing about replication: `Follower` does. */
import { type Partition, ROLE_FOLLOWER } from '@ingot/store';
import { Follower, type FollowerAction } from './follower.ts';
import { type FrameHeader, WELCOME } from './frame.ts';
import type { Link, LinkOwner, OutgoingFrame } from './link.ts';
import type { NodeState } from './node-state.ts';
import { offerCopy } from './offer.ts';

const retryFirstMs = 50;
const retryMaxMs = 2_000;
/** A primary says something every two seconds. */
const silenceMaxMs = 5_000;
/** A follower that feeds the copy begins within. */
const seedStartMaxMs = 5_000;
/** Ticks so far apart mean that this thread was away, or its clock was set: what the primary said meanwhile is yet
 *  to be read. */
const absenceMs = 1_000;

/** Whom to follow: the primary, by the map, or a follower, where the primary says so. */
export interface Source {
  readonly node: string;
  readonly epoch: number;
  readonly host: string;
  readonly port: number;
  /** Of a follower that feeds the copy: where it has to be. Null: the primary. */
  readonly seedSeq: number | null;
}

export interface ConnectionHost {
  /** The primary has a follower feed the copy, once that is at `seq`. */
  sentTo(partition: number, node: string, seq: number): void;
  /** The follower that fed the copy does so no longer: it is consistent, or its source failed. */
  seedOver(partition: number, reason: string): void;
}

export class FollowerConnection implements LinkOwner {
  readonly #state: NodeState;
  readonly #partition: Partition;
  readonly #source: Source;
  #link: Link | null = null;
  #follower: Follower | null = null;
  #retryMs = retryFirstMs;
  /** Until it is over nothing is tried. A timer, because a clock can be set back. */
  #pause: (() => void) | null = null;
  #heardMs = 0;
  #tickedMs = 0;
  /** By event. */
  readonly #lastLogged = new Map<string, string>();
  #stopped = false;
  #openedMs = 0;
  readonly #host: ConnectionHost;

  constructor(state: NodeState, partition: Partition, source: Source, host: ConnectionHost) {
    this.#state = state;
    this.#partition = partition;
    this.#source = source;
    this.#host = host;
  }

  get source(): Source {
    return this.#source;
  }

  /** Redo comes, and the copy is consistent. */
  get isStreaming(): boolean {
    return this.#follower?.isStreaming === true;
  }

  isFrom(partition: Partition, source: Source): boolean {
    const { node, epoch, host, port } = this.#source;
    return (
      this.#partition === partition &&
      node === source.node &&
      epoch === source.epoch &&
      host === source.host &&
      port === source.port
    );
  }

  /** Now and then: connects when it is time to, gives up a primary that went silent. */
  tick(nowMs: number): void {
    this.#link?.moveCounts(this.#state.counters);
    if (Math.abs(nowMs - this.#tickedMs) > absenceMs) this.#heardMs = nowMs;
    this.#tickedMs = nowMs;
    if (this.#link !== null) {
      if (nowMs - this.#heardMs > silenceMaxMs) this.#link.close('the primary went silent');
      else if (this.#waitsTooLong(nowMs)) this.#link.close('its bulk does not begin');
    } else if (!this.#stopped && this.#pause === null && this.#isFollower()) {
      this.#heardMs = nowMs;
      this.#openedMs = nowMs;
      this.#link = this.#state.network.connect(this.#source, this.#state.security, this);
    }
  }

  /** At a follower that has no slot after all; the primary has others. */
  #waitsTooLong(nowMs: number): boolean {
    if (this.#source.seedSeq === null || this.#follower?.isFed === true) return false;
    return nowMs - this.#openedMs > seedStartMaxMs;
  }

  /** The supervisor sets role and epoch; until then there is nobody to be. */
  #isFollower(): boolean {
    const partition = this.#partition;
    return partition.role() === ROLE_FOLLOWER && partition.epoch() === this.#source.epoch;
  }

  stop(reason: string): void {
    this.#stopped = true;
    this.#link?.close(reason);
    this.#pause?.();
  }

  #nowMs(): number {
    return this.#state.identity.nowMs();
  }

  // ------------------------------------------------------------ what the connection brings

  opened(): void {
    const { buffers, identity } = this.#state;
    const { epoch, seedSeq } = this.#source;
    const resumption = this.#state.resumptionOf(this.#partition);
    this.#follower = new Follower({
      partition: this.#partition,
      epoch,
      hello: offerCopy(this.#partition, identity, {
        seedable: identity.seeding !== false,
        resumption: resumption.current,
        epoch,
        atLeastSeq: seedSeq ?? 0,
      }),
      buffers,
      resumption,
    });
    this.#perform(this.#follower.start(this.#nowMs()));
  }

  place(header: FrameHeader): Buffer | string {
    return this.#follower?.place(header) ?? 'the connection has ended';
  }

  frame(header: FrameHeader, payload: Buffer): string | null {
    if (this.#follower === null) return 'the connection has ended';
    this.#heardMs = this.#nowMs();
    if (header.type === WELCOME) {
      this.#retryMs = retryFirstMs;
      this.#lastLogged.clear();
    }
    this.#perform(this.#follower.step(header, payload, this.#heardMs));
    if (this.#source.seedSeq !== null) {
      if (this.isStreaming) this.#link?.close('the copy is consistent', true);
      return null;
    }
    const { board, monotonicMs } = this.#state.identity;
    if (monotonicMs !== undefined) board?.heard(this.#partition.id, monotonicMs());
    return null;
  }

  closed(reason: string): void {
    this.#follower?.close();
    this.#follower = null;
    this.#link?.moveCounts(this.#state.counters);
    this.#link = null;
    if (this.#stopped) return;
    if (this.#source.seedSeq !== null) {
      this.#stopped = true;
      return this.#host.seedOver(this.#partition.id, reason);
    }
    this.#logOnce('connectionLost', reason);
    this.#pause = this.#state.timers.later(this.#retryMs, () => {
      this.#pause = null;
      this.tick(this.#nowMs());
    });
    this.#retryMs = Math.min(this.#retryMs * 2, retryMaxMs);
  }

  #perform(actions: readonly FollowerAction[]): void {
    const frames: OutgoingFrame[] = [];
    for (const action of actions) {
      switch (action.kind) {
        case 'send':
          frames.push(action);
          break;
        case 'log':
          this.#state.identity.log(action.event);
          break;
        case 'dropSubscribers':
          this.#state.dropSubscribers(this.#partition.id);
          break;
        case 'roundEnded':
          break; // only where a snapshot was asked for
        case 'seed':
          return this.#host.sentTo(this.#partition.id, action.node, action.seq);
        case 'refused':
          if (this.#source.seedSeq !== null) return this.#link?.close(action.refusal.text);
          this.#logOnce('refused', `${action.refusal.code}: ${action.refusal.text}`);
          return this.#link?.close(`refused: ${action.refusal.code}`);
        case 'drop':
          return this.#link?.closeBroken(action.reason);
      }
    }
    if (frames.length > 0) this.#link?.send(frames);
  }

  /** A reason that repeats with every retry is worth one line. */
  #logOnce(event: 'refused' | 'connectionLost', reason: string): void {
    if (this.#lastLogged.get(event) === reason) return;
    this.#lastLogged.set(event, reason);
    const primary = this.#source.node;
    this.#state.identity.log({
      level: 'warn',
      event,
      partition: this.#partition.id,
      primary,
      reason,
    });
  }
}
