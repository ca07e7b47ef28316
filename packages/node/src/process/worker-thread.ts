/** One worker thread of the node, as the main thread sees it: ready, questions and answers, end.
 *  Owner: process/workers.ts. A thread that ends without being asked to is reported once, through
 *  `died`; what then happens to the node is not decided here. */

import { Worker } from 'node:worker_threads';
import { refusal } from '../shared/errors.ts';
import type { FromWorker, ReplyMessage, WorkerData } from '../shared/messages.ts';
import { LoopMeter } from './loop-meter.ts';

/** After this long a thread that was asked to stop is ended by force. */
const STOP_TIMEOUT_MS = 2_000;

interface Pending {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

type Handled = 'ready' | 'reply' | 'failed';

export interface WorkerThreadOptions<From extends { kind: string }> {
  readonly name: string;
  readonly entry: URL;
  readonly data: WorkerData;
  /** Bound of the heap for short-lived objects, all of its parts together. V8's own is 192 MiB a
   *  thread, two thirds of which stay with the process once garbage has filled them. */
  readonly youngHeapMb: number;
  /** everything the thread says that is not handled here */
  readonly onMessage: (message: Exclude<From, { kind: Handled }>) => void;
  readonly died: (error: Error) => void;
}

export class WorkerThread<To extends { kind: string }, From extends { kind: string }> {
  readonly name: string;
  /** Resolves when the thread serves; rejects when it says why it cannot. */
  readonly ready: Promise<void>;
  readonly loop: LoopMeter;
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  readonly #ended: Promise<void>;
  #nextId = 1;
  #stopping = false;

  constructor(options: WorkerThreadOptions<From>) {
    const { name, entry, data, youngHeapMb, onMessage, died } = options;
    this.name = name;
    const resourceLimits = { maxYoungGenerationSizeMb: youngHeapMb };
    this.#worker = new Worker(entry, { name, workerData: data, resourceLimits });
    this.loop = new LoopMeter(() => this.#worker.performance.eventLoopUtilization());
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.ready = promise;
    this.#worker.on('message', (message: FromWorker) => {
      if (message.kind === 'ready') resolve();
      else if (message.kind === 'failed') reject(refusal(message.code, message.text));
      else if (message.kind === 'reply') this.#settle(message);
      else onMessage(message as unknown as Exclude<From, { kind: Handled }>);
    });
    let cause: Error | null = null;
    this.#worker.on('error', (error) => {
      cause = error as Error;
    });
    const ended = Promise.withResolvers<void>();
    this.#ended = ended.promise;
    this.#worker.on('exit', (exitCode) => {
      ended.resolve();
      const error = cause ?? new Error(`worker ${name} ended with exit code ${exitCode}`);
      reject(error);
      for (const pending of this.#pending.values()) pending.reject(error);
      if (!this.#stopping) died(error);
    });
  }

  post(message: To): void {
    this.#worker.postMessage(message);
  }

  /** Posts what `message` makes of a fresh id; resolves with the reply to that id. */
  ask(message: (id: number) => To): Promise<unknown> {
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#pending.set(id, { resolve, reject });
    this.post(message(id));
    return promise;
  }

  /** Asks the thread to end, and ends it by force when that takes too long. */
  async stop(message: To, withinMs: number = STOP_TIMEOUT_MS): Promise<void> {
    this.#stopping = true;
    this.post(message);
    const force = setTimeout(() => void this.#worker.terminate(), withinMs);
    await this.#ended;
    clearTimeout(force);
  }

  #settle(message: ReplyMessage): void {
    const pending = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if ('error' in message) pending?.reject(new Error(message.error));
    else pending?.resolve(message.result);
  }
}
