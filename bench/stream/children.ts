/** The two sides of a measurement: a child process each, on a core of its own where the system
 *  can do that, which answers questions over its IPC channel. A child that ends fails whoever
 *  asks. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { CLIENT_CORE, pinned, SERVER_CORE } from '../servers.ts';

export const SENDER_CORE: number = SERVER_CORE;
export const RECEIVER_CORE: number = CLIENT_CORE;

/** A receiver of 100 MiB as objects holds several times as much. */
const HEAP_MIB = 6_144;
/** Children wait for their turn side by side: `rest` lets go of garbage. */
const NODE_FLAGS: readonly string[] = [
  '--conditions=source',
  '--expose-gc',
  `--max-old-space-size=${HEAP_MIB}`,
];

export interface Answer {
  readonly answer?: unknown;
}

export class Child {
  readonly #process: ChildProcess;
  readonly #name: string;

  private constructor(process: ChildProcess, name: string) {
    this.#process = process;
    this.#name = name;
  }

  /** Starts `file` of this folder; resolves with its first words. */
  static async start<T>(core: number, file: string, args: readonly string[]): Promise<[Child, T]> {
    const node = [process.execPath, ...NODE_FLAGS];
    const command = pinned(core, [...node, join(import.meta.dirname, file), ...args]);
    const stdio = ['ignore', 'inherit', 'inherit', 'ipc'] as const;
    const child = new Child(spawn(command[0], command.slice(1), { stdio: [...stdio] }), file);
    return [child, await child.#heard<T>()];
  }

  async ask<T>(question: object): Promise<T> {
    const heard = this.#heard<T>();
    this.#process.send(question, () => {}); // that it ended is heard
    return heard;
  }

  async stop(): Promise<void> {
    if (this.#hasEnded()) return;
    this.#process.kill('SIGKILL');
    await once(this.#process, 'exit');
  }

  #heard<T>(): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const heard = (words: unknown): void => {
      this.#process.off('exit', ended);
      resolve((words as Answer).answer as T);
    };
    const ended = (): void => {
      this.#process.off('message', heard);
      reject(new Error(`${this.#name} ended in the middle of a measurement`));
    };
    this.#process.once('message', heard);
    this.#process.once('exit', ended);
    if (this.#hasEnded()) ended();
    return promise;
  }

  #hasEnded(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }
}

/** The child's part: says its first words, then answers one question at a time. */
export function answerParent(firstWords: unknown, answer: (question: unknown) => unknown): void {
  const say = (words: unknown): void => {
    process.send?.({ answer: words } satisfies Answer);
  };
  process.on('message', (question: unknown) => {
    void Promise.resolve(answer(question)).then(say);
  });
  process.on('disconnect', () => process.exit());
  say(firstWords);
}

/** Between measurements: collects garbage, so that a child that waits holds no more than it
 *  needs. */
export function rest(): void {
  globalThis.gc?.();
}

export interface Totals {
  readonly bytes: number;
  readonly cpuSeconds: number;
  readonly atSeconds: number;
}

/** User and system time of all threads of this process. */
export function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
