/** Heartbeats of this node to one other: a stream that is opened again with a bounded backoff
 *  whenever it ends. Each stream begins with a full report. After that one is full when the state of
 *  a copy has changed, or the map that is applied, once per second where seqs have moved, and every
 *  two seconds else; the others say that the copies are as before, since an idle node is to cost
 *  nothing.
 *  Bounded: a peer that stops answering gets no more than `unansweredMax` beats. */
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { IngotError } from '../shared/errors.ts';
import { Backoff } from './backoff.ts';
import type { ControlClient } from './control-client.ts';
import type { HeartbeatAck, NodeStatus } from './gen/ingot_pb.ts';
import { fromWire } from './grpc-adapter.ts';
import { haveMoved, saysTheSame } from './report-changes.ts';
import type { Heartbeat, NodeReport } from './types.ts';
import { nodeStatusToWire } from './wire.ts';

const unansweredMax = 4;
const beatsPerFullReport = 4;
const beatsPerIdleReport = 8;
const firstRetryMs = 100;
const lastRetryMs = 1_000;

export interface BeatStreamOptions {
  client: Pick<ControlClient, 'heartbeat'>;
  /** The stream is open: `send` is wanted soon. */
  opened: () => void;
  answered: (ack: HeartbeatAck) => void;
  /** The peer does not take this life. */
  refused: (reason: IngotError) => void;
  /** The first answer of a stream, and the end of one that had answered. */
  connected: (isConnected: boolean) => void;
}

export class BeatStream {
  readonly #options: BeatStreamOptions;
  readonly #backoff = new Backoff(firstRetryMs, lastRetryMs);
  #stream: ClientDuplexStream<NodeStatus, HeartbeatAck> | null = null;
  #retry: NodeJS.Timeout | undefined;
  #unanswered = 0;
  /** The last full report of this stream. */
  #told: NodeReport | null = null;
  #beatsSinceTold = 0;
  #answered = false;
  #stopped = false;

  constructor(options: BeatStreamOptions) {
    this.#options = options;
  }

  start(): void {
    this.#open();
  }

  /** Not sent where the stream is not open, or the peer is behind with its answers. */
  send(report: NodeReport, beat: number): void {
    if (this.#stream === null || this.#unanswered >= unansweredMax) return;
    this.#unanswered++;
    this.#stream.write(nodeStatusToWire(this.#next(report), beat));
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#retry);
    this.#stream?.cancel();
  }

  #next(report: NodeReport): Heartbeat {
    this.#beatsSinceTold++;
    if (
      this.#told !== null &&
      !this.#isDue(this.#told, report) &&
      saysTheSame(this.#told, report)
    ) {
      return { ...report, partitions: [], partitionsAsBefore: true };
    }
    this.#told = report;
    this.#beatsSinceTold = 0;
    return report;
  }

  #isDue(told: NodeReport, report: NodeReport): boolean {
    const beats = this.#beatsSinceTold;
    if (beats >= beatsPerIdleReport) return true;
    return beats >= beatsPerFullReport && haveMoved(told.partitions, report.partitions);
  }

  #open(): void {
    const stream = this.#options.client.heartbeat();
    this.#stream = stream;
    this.#unanswered = 0;
    this.#told = null;
    stream.on('data', (ack: HeartbeatAck) => this.#hasAnswered(ack));
    stream.on('error', (error) => {
      const reason = fromWire(error);
      if (reason instanceof IngotError && !this.#stopped) this.#options.refused(reason);
    });
    // Comes once per call, however it ended.
    stream.on('status', () => this.#reopenLater());
    this.#options.opened();
  }

  #hasAnswered(ack: HeartbeatAck): void {
    if (this.#stopped) return;
    this.#unanswered = Math.max(0, this.#unanswered - 1);
    this.#backoff.succeeded();
    if (!this.#answered) {
      this.#answered = true;
      this.#options.connected(true);
    }
    this.#options.answered(ack);
  }

  #reopenLater(): void {
    this.#stream = null;
    if (this.#stopped) return;
    if (this.#answered) this.#options.connected(false);
    this.#answered = false;
    this.#retry = setTimeout(() => this.#open(), this.#backoff.failed());
  }
}
