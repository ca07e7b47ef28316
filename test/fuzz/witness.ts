/** A client that behaves, beside those that do not: it writes values that tell of themselves, and reads them back. A wrong
 *  reply, or none for half a minute, is a finding; what others flush or evict may be gone when it is read alone. */
import type { Buffer } from 'node:buffer';
import { setTimeout as delay } from 'node:timers/promises';
import { Conversation } from '../differential/conversation.ts';
import { within } from '../support/eventually.ts';

const ANSWERS_WITHIN_MS = 30_000;
/** It is there to be served, not to load the nodes. */
const PAUSE_MS = 5;
const KEYS = 200;
/** Of what is read alone, so much may be gone. */
const GONE_SHARE_MAX = 0.5;
const GONE_JUDGED_FROM = 100;
const LONG_EVERY = 50;
const LONG_BYTES = 40_000;
const QUEUED = '+QUEUED\r\n';

export class Witness {
  rounds = 0;
  gone = 0;
  readonly #name: string;
  readonly #conversation: Conversation;
  #stopped = false;
  readonly #watching: Promise<string | null>;

  private constructor(name: string, conversation: Conversation) {
    this.#name = name;
    this.#conversation = conversation;
    this.#watching = this.#watch();
  }

  static async open(name: string, port: number, password?: string): Promise<Witness> {
    const conversation = await Conversation.open(port);
    if (password !== undefined) await conversation.ask([['AUTH', password]]);
    return new Witness(name, conversation);
  }

  /** Ends it; what it has to complain about, or null. */
  async stop(): Promise<string | null> {
    this.#stopped = true;
    const complaint = await this.#watching;
    this.#conversation.close();
    return complaint;
  }

  /** Resolves with a complaint, once there is one. */
  get complaint(): Promise<string | null> {
    return this.#watching;
  }

  async #watch(): Promise<string | null> {
    try {
      while (!this.#stopped) {
        const wrong = await this.#round();
        if (wrong !== null) return `the witness at ${this.#name}: ${wrong}`;
        this.rounds++;
        await delay(PAUSE_MS);
      }
      return null;
    } catch (error) {
      return `the witness at ${this.#name}, after ${this.rounds} rounds: ${String(error)}`;
    }
  }

  async #round(): Promise<string | null> {
    const key = `witness:${this.#name}:${this.rounds % KEYS}`;
    const value = `${key} ${this.rounds} `.padEnd(
      this.rounds % LONG_EVERY === 0 ? LONG_BYTES : 40,
      '.',
    );
    const expected = `$${value.length}\r\n${value}\r\n`;
    const said = await this.#ask([
      ...[
        ['SET', key, value],
        ['GET', key],
        ['MULTI'],
        ['SET', key, value],
        ['GET', key],
        ['EXEC'],
      ],
      ['ECHO', value],
    ]);
    const [set, alone, , queued, , exec, echo] = said;
    if (set !== '+OK\r\n') return `SET was answered ${shown(set)}`;
    if (alone === '$-1\r\n') this.gone++;
    else if (alone !== expected) return `GET was answered ${shown(alone)}, not ${shown(expected)}`;
    if (queued !== QUEUED) return `a command in MULTI was answered ${shown(queued)}`;
    if (exec !== `*2\r\n+OK\r\n${expected}`) return `EXEC was answered ${shown(exec)}`;
    if (echo !== expected) return `ECHO was answered ${shown(echo)}`;
    if (this.rounds > GONE_JUDGED_FROM && this.gone > this.rounds * GONE_SHARE_MAX) {
      return `${this.gone} of ${this.rounds} values were gone`;
    }
    return null;
  }

  async #ask(commands: string[][]): Promise<string[]> {
    const asked = this.#conversation.ask(commands);
    const replies: Buffer[] = await within('it is answered', ANSWERS_WITHIN_MS, asked);
    return replies.map((reply) => reply.toString('latin1'));
  }
}

function shown(reply: string | undefined): string {
  return JSON.stringify((reply ?? 'not at all').slice(0, 120));
}
