/** This node's heartbeats to the map host: its report every 250 ms over one stream, which is opened
 *  again with a bounded backoff whenever it ends.
 *  Bounded: a host that stops answering gets no more than `unansweredMax` reports. */
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { IngotError } from '../shared/errors.ts';
import { Backoff } from './backoff.ts';
import type { ControlClient } from './control-client.ts';
import type { HeartbeatAck, NodeStatus } from './gen/ingot_pb.ts';
import { fromWire } from './grpc-adapter.ts';
import type { NodeReport } from './types.ts';
import { nodeStatusToWire } from './wire.ts';

export const heartbeatIntervalMs = 250;
const unansweredMax = 4;
const firstRetryMs = 100;
const lastRetryMs = 1_000;

export interface HeartbeatOptions {
  client: ControlClient;
  report: () => NodeReport;
  /** The host refused this life of the node: it is over. */
  refused: (reason: IngotError) => void;
  /** The first answer of a stream, and the end of one that had answered. */
  connected: (isConnected: boolean) => void;
}

export class Heartbeats {
  readonly #options: HeartbeatOptions;
  readonly #backoff = new Backoff(firstRetryMs, lastRetryMs);
  readonly #interval: NodeJS.Timeout;
  #stream: ClientDuplexStream<NodeStatus, HeartbeatAck> | null = null;
  #retry: NodeJS.Timeout | undefined;
  #unanswered = 0;
  #answered = false;
  #stopped = false;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    this.#open();
    this.#interval = setInterval(() => this.beat(), heartbeatIntervalMs);
  }

  /** Sends one now; the interval does so otherwise. */
  beat(): void {
    if (this.#stream === null || this.#unanswered >= unansweredMax) return;
    this.#unanswered++;
    this.#stream.write(nodeStatusToWire(this.#options.report()));
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#interval);
    clearTimeout(this.#retry);
    this.#stream?.cancel();
  }

  #open(): void {
    const stream = this.#options.client.heartbeat();
    this.#stream = stream;
    this.#unanswered = 0;
    stream.on('data', () => this.#hasAnswered());
    stream.on('error', (error) => {
      const reason = fromWire(error);
      if (reason instanceof IngotError && !this.#stopped) this.#options.refused(reason);
    });
    // Comes once per call, however it ended.
    stream.on('status', () => this.#reopenLater());
    this.beat();
  }

  #hasAnswered(): void {
    this.#unanswered = Math.max(0, this.#unanswered - 1);
    this.#backoff.succeeded();
    if (this.#answered) return;
    this.#answered = true;
    this.#options.connected(true);
  }

  #reopenLater(): void {
    this.#stream = null;
    if (this.#stopped) return;
    if (this.#answered) this.#options.connected(false);
    this.#answered = false;
    this.#retry = setTimeout(() => this.#open(), this.#backoff.failed());
  }
}
