/** Asks one RESP server, and asks again where the connection is lost: for batches that may be executed twice.
 *  What it throws is one sentence for whoever runs the command. */
import { setTimeout as delay } from 'node:timers/promises';
import { refusal, unreachable } from '../shared/errors.ts';
import {
  type Command,
  ConnectionLost,
  type RespAddress,
  RespClient,
  Unwelcome,
} from './resp-client.ts';
import type { ReplyValue } from './reply-value.ts';

/** Together longer than a failover takes. Nobody waits for a server that was never there. */
const PAUSES_MS: readonly number[] = [100, 500, 1_000, 2_000, 4_000, 8_000];

export interface PatientOptions {
  readonly address: RespAddress;
  /** Names the server, in sentences about it. */
  readonly name: string;
  /** What to do where it cannot be reached. */
  readonly advice: string;
  /** Called with each new connection, before anything else is asked on it; what it throws ends the call that wanted
   *  the connection. */
  readonly greet?: (client: RespClient) => Promise<void>;
}

export class PatientClient {
  readonly #options: PatientOptions;
  #client: RespClient | null = null;
  #wasThere = false;

  constructor(options: PatientOptions) {
    this.#options = options;
  }

  /** One call at a time. */
  async ask(commands: readonly Command[]): Promise<ReplyValue[]> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#askOnce(commands);
      } catch (error) {
        this.#closeFor(error, attempt);
      }
      await delay(PAUSES_MS[attempt]);
    }
  }

  close(): void {
    this.#client?.close();
    this.#client = null;
  }

  /** Returns where asking again may help. */
  #closeFor(error: unknown, attempt: number): void {
    const { name, advice } = this.#options;
    if (error instanceof Unwelcome) {
      throw refusal(
        'UNWELCOME',
        `${name} does not let us in (${error.message}); check the password`,
      );
    }
    if (!(error instanceof ConnectionLost)) throw error;
    this.close();
    if (this.#wasThere && attempt < PAUSES_MS.length) return;
    throw unreachable(name, error.message, advice);
  }

  async #askOnce(commands: readonly Command[]): Promise<ReplyValue[]> {
    this.#client ??= await this.#open();
    return await this.#client.ask(commands);
  }

  async #open(): Promise<RespClient> {
    const client = await RespClient.open(this.#options.address);
    this.#wasThere = true;
    try {
      await this.#options.greet?.(client);
    } catch (error) {
      client.close();
      throw error;
    }
    return client;
  }
}
