/** Heartbeats of this node to one other: a stream that is opened again with a bounded backoff
 *  whenever it ends. Each stream begins with a full report. After that one is full when the state of
 *  a copy has changed, or the map that is applied, and once per second for the seqs; the others say
 *  that the copies are as before, since an idle node is to cost nothing.
 *  Bounded: a peer that stops answering gets no more than `unansweredMax` beats. */
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { IngotError } from '../shared/errors.ts';
import { Backoff } from './backoff.ts';
import type { ControlClient } from './control-client.ts';
import type { HeartbeatAck, NodeStatus } from './gen/ingot_pb.ts';
import { fromWire } from './grpc-adapter.ts';
import type { Heartbeat, NodeReport, PartitionReport } from './types.ts';
import { nodeStatusToWire } from './wire.ts';

const unansweredMax = 4;
const beatsPerFullReport = 4;
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
    const isDue = this.#beatsSinceTold >= beatsPerFullReport;
    if (this.#told !== null && !isDue && saysTheSame(this.#told, report)) {
      return { ...report, partitions: [], partitionsAsBefore: true };
    }
    this.#told = report;
    this.#beatsSinceTold = 0;
    return report;
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

/** Whether two reports of one life differ in nothing but seqs. */
export function saysTheSame(a: NodeReport, b: NodeReport): boolean {
  if (a.mapVersion !== b.mapVersion || a.partitions.length !== b.partitions.length) return false;
  return a.partitions.every((copy, i) => isInTheSameState(copy, b.partitions[i]));
}

function isInTheSameState(a: PartitionReport, b: PartitionReport): boolean {
  if (a.id !== b.id || a.role !== b.role || a.epoch !== b.epoch) return false;
  if (a.consistent !== b.consistent || a.checked !== b.checked) return false;
  if (a.followers.length !== b.followers.length) return false;
  return a.followers.every(({ node, state }, i) => {
    const other = b.followers[i];
    return node === other.node && state === other.state;
  });
}
