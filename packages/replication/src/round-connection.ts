/** The connection of one round in snapshot mode: one HELLO, what it takes to be at one point, and the end.
 *
 *  Owner: `Snapshots`. Performs what the follower machine asks for. Tells its owner once how it ended: by the end of
 *  the round, or by anything else. Never connects again. */
import type { Partition } from '@ingot/store';
import type { Source } from './follower-connection.ts';
import { Follower, type FollowerAction } from './follower.ts';
import { END, type FrameHeader } from './frame.ts';
import type { Link, LinkOwner, OutgoingFrame } from './link.ts';
import type { NodeState } from './node-state.ts';
import { offerCopy } from './offer.ts';

const silenceMaxMs = 5_000;
/** See `FollowerConnection`. */
const absenceMs = 1_000;

export interface RoundResult {
  readonly chunkBytes: number;
  readonly redoBytes: number;
  /** When its END arrived: what the copy shows is no older. */
  readonly consistentAtMs: number;
}

export interface RoundHost {
  ended(result: RoundResult): void;
  interrupted(reason: string): void;
}

export class RoundConnection implements LinkOwner {
  readonly #state: NodeState;
  readonly #source: Source;
  readonly #host: RoundHost;
  readonly #follower: Follower;
  readonly #link: Link;
  #isOver = false;
  #heardMs: number;
  #tickedMs: number;
  #endAtMs = 0;

  constructor(state: NodeState, partition: Partition, source: Source, host: RoundHost) {
    this.#state = state;
    this.#source = source;
    this.#host = host;
    this.#heardMs = this.#nowMs();
    this.#tickedMs = this.#heardMs;
    const hello = offerCopy(partition, state.identity, { snapshot: true });
    const { buffers } = state;
    this.#follower = new Follower({ partition, epoch: source.epoch, hello, buffers });
    this.#link = state.network.connect(source, state.security, this);
  }

  isFrom({ node, epoch, host, port }: Source): boolean {
    const source = this.#source;
    return (
      node === source.node && epoch === source.epoch && host === source.host && port === source.port
    );
  }

  /** Now and then: gives up a primary that went silent. */
  tick(): void {
    const nowMs = this.#nowMs();
    this.#link.moveCounts(this.#state.counters);
    if (Math.abs(nowMs - this.#tickedMs) > absenceMs) this.#heardMs = nowMs;
    this.#tickedMs = nowMs;
    if (nowMs - this.#heardMs > silenceMaxMs) this.#link.close('the primary went silent');
  }

  stop(reason: string): void {
    this.#link.close(reason);
  }

  // ------------------------------------------------------------ what the connection brings

  opened(): void {
    this.#perform(this.#follower.start(this.#nowMs()));
  }

  place(header: FrameHeader): Buffer | string {
    return this.#isOver ? 'the round has ended' : this.#follower.place(header);
  }

  frame(header: FrameHeader, payload: Buffer): string | null {
    if (this.#isOver) return 'the round has ended';
    this.#heardMs = this.#nowMs();
    if (header.type === END) this.#endAtMs = this.#monotonicMs();
    this.#perform(this.#follower.step(header, payload, this.#heardMs));
    return null;
  }

  closed(reason: string): void {
    this.#link.moveCounts(this.#state.counters);
    this.#finish(() => this.#host.interrupted(reason));
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
        case 'dropSubscribers': // nobody is sent from a snapshot
        case 'seed': // nor is one asked for from a follower
          break;
        case 'roundEnded': {
          const { chunkBytes, redoBytes } = action;
          const result = { chunkBytes, redoBytes, consistentAtMs: this.#endAtMs };
          this.#link.send(frames);
          this.#finish(() => this.#host.ended(result));
          return this.#link.close('the round has ended', true);
        }
        case 'refused':
          return this.#link.close(`refused: ${action.refusal.code}: ${action.refusal.text}`);
        case 'drop':
          return this.#link.closeBroken(action.reason);
      }
    }
    if (frames.length > 0) this.#link.send(frames);
  }

  /** The copy is nobody's from here on: the follower lets go of it first. */
  #finish(tell: () => void): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#follower.close();
    tell();
  }

  #nowMs(): number {
    return this.#state.identity.nowMs();
  }

  #monotonicMs(): number {
    const { monotonicMs, nowMs } = this.#state.identity;
    return (monotonicMs ?? nowMs)();
  }
}
