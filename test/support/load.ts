/** Writers that keep going while nodes die: pipelined SETs over bare connections, every reply looked at.
 *  What they write is theirs alone (`load:<port>:<n>`), so that other keys can be compared after. */
import { connect, type Socket } from 'node:net';
import { eventually } from './eventually.ts';
import { encode } from './resp-connection.ts';

/** Commands under way at a time. */
export const PIPELINE = 32;
const KEYS = 5_000;
/** Between two batches: the machine has to run the nodes, too. */
const THINK_MS = 2;

export interface LoadReport {
  /** Replies +OK. */
  written: number;
  /** Replies -CLUSTERDOWN. */
  refused: number;
  /** Replies that the outcome is not known: the owner died with the command in its hands. */
  unknown: number;
  /** Any other reply: none is expected. */
  unexpected: string[];
}

/** One connection to one client port. When the connection is lost it is opened again, until stopped. */
export class Writer {
  readonly report: LoadReport = { written: 0, refused: 0, unknown: 0, unexpected: [] };
  readonly #port: number;
  #socket: Socket | null = null;
  #stopped = false;
  #waiting = 0;
  #next = 0;

  constructor(port: number) {
    this.#port = port;
    this.#open();
  }

  /** Waits until this many more writes were taken: the load is really there. */
  async progress(writes: number): Promise<void> {
    const target = this.report.written + writes;
    await eventually(
      `${writes} more writes on port ${this.#port}`,
      () => this.report.written >= target,
    );
  }

  stop(): LoadReport {
    this.#stopped = true;
    this.#socket?.destroy();
    return this.report;
  }

  #open(): void {
    const socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true });
    this.#socket = socket;
    this.#waiting = 0;
    let rest = '';
    socket.on('connect', () => this.#send(socket));
    socket.on('data', (bytes) => {
      const lines = (rest + bytes.toString('latin1')).split('\r\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#take(line);
      if (this.#waiting === 0) setTimeout(() => this.#send(socket), THINK_MS);
    });
    socket.on('error', () => undefined);
    socket.once('close', () => {
      if (!this.#stopped) setTimeout(() => this.#open(), 50);
    });
  }

  #take(line: string): void {
    this.#waiting--;
    if (line === '+OK') this.report.written++;
    else if (line.startsWith('-CLUSTERDOWN')) this.report.refused++;
    else if (/^-ERR .*is unknown$/.test(line)) this.report.unknown++;
    else this.report.unexpected.push(line);
  }

  #send(socket: Socket): void {
    if (this.#stopped || socket.destroyed) return;
    const commands: Buffer[] = [];
    for (let i = 0; i < PIPELINE; i++) {
      const n = this.#next++;
      commands.push(encode('SET', `load:${this.#port}:${n % KEYS}`, `${n}`.padStart(64, '.')));
    }
    this.#waiting = PIPELINE;
    socket.write(Buffer.concat(commands));
  }
}
