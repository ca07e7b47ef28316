/** A client at a constant rate, in a process of its own: SETs of random records, due at moments that were fixed beforehand,
 *  whatever the server does. A reply's latency counts from the moment at which its command was due, so a server that
 *  stalls cannot hide it by being asked less often.
 *    steady-writes.ts PORT RECORDS PER_SECOND
 *  Commands are due in bursts, one a millisecond: finer clocks would cost a core. */

import type { Socket } from 'node:net';
import { blankSets, commandAt, fillSet, openConnection } from './records.ts';
import type { Latencies } from './sync-result.ts';

const CONNECTIONS = 8;
const BURSTS_PER_SECOND = 1_000;
/** Ten minutes at 20,000 a second. */
const COMMANDS_MAX = 12_000_000;
const LINE_END = 10;
const MINUS = 45;

const [port, records, perSecond] = process.argv.slice(2).map(Number);
const perBurst = Math.round(perSecond / BURSTS_PER_SECOND);

/** By number of command. */
const dueMs = new Float64Array(COMMANDS_MAX);
const sentLateMs = new Float32Array(COMMANDS_MAX);
const latencyMs = new Float32Array(COMMANDS_MAX).fill(-1);
let commands = 0;

/** One connection: replies come in the order of its commands. */
class Writer {
  readonly #socket: Socket;
  #unanswered: number[] = [];
  #answered = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (bytes: Buffer) => this.#received(bytes));
  }

  send(bytes: Buffer, due: number): void {
    const now = clockMs();
    dueMs[commands] = due;
    sentLateMs[commands] = now - due;
    this.#unanswered.push(commands++);
    this.#socket.write(bytes);
  }

  cork(): void {
    this.#socket.cork();
  }

  uncork(): void {
    this.#socket.uncork();
  }

  #received(bytes: Buffer): void {
    if (bytes.includes(MINUS)) throw new Error(`refused: ${bytes.toString('latin1')}`);
    const now = clockMs();
    for (let at = bytes.indexOf(LINE_END); at !== -1; at = bytes.indexOf(LINE_END, at + 1)) {
      const command = this.#unanswered[this.#answered++];
      latencyMs[command] = now - dueMs[command];
    }
    if (this.#answered < 65_536) return;
    this.#unanswered = this.#unanswered.slice(this.#answered);
    this.#answered = 0;
  }
}

const clockMs = (): number => performance.timeOrigin + performance.now();

const writers = await Promise.all(
  Array.from({ length: CONNECTIONS }, async () => new Writer(await openConnection(port))),
);
const startMs = clockMs();
let bursts = 0;
setInterval(sendWhatIsDue, 1);
process.on('message', ({ fromMs, toMs }: { fromMs: number; toMs: number }) =>
  process.send?.(summary(fromMs, toMs)),
);
process.on('disconnect', () => process.exit());
process.send?.('started');

function sendWhatIsDue(): void {
  const burstMs = 1_000 / BURSTS_PER_SECOND;
  const now = clockMs();
  if (startMs + bursts * burstMs > now) return;
  for (const writer of writers) writer.cork();
  for (; startMs + bursts * burstMs <= now; bursts++) {
    const due = startMs + bursts * burstMs;
    // Fresh bytes: the kernel may not have taken those of the last burst.
    const sets = blankSets(perBurst);
    for (let i = 0; i < perBurst; i++) {
      fillSet(sets, i, Math.floor(Math.random() * records), bursts);
      writers[i % CONNECTIONS].send(commandAt(sets, i), due);
    }
  }
  for (const writer of writers) writer.uncork();
}

/** What has no reply yet has waited until now. */
function summary(fromMs: number, toMs: number): Latencies {
  const now = clockMs();
  const latencies: number[] = [];
  const fromSending: number[] = [];
  for (let i = 0; i < commands; i++) {
    if (dueMs[i] < fromMs || dueMs[i] > toMs) continue;
    const latency = latencyMs[i] === -1 ? now - dueMs[i] : latencyMs[i];
    latencies.push(latency);
    fromSending.push(latency - sentLateMs[i]);
  }
  const sorted = Float64Array.from(latencies).sort();
  const at = (share: number, from = sorted): number =>
    from[Math.min(from.length - 1, Math.floor(share * from.length))] ?? 0;
  return {
    count: sorted.length,
    p50: at(0.5),
    p99: at(0.99),
    max: at(1),
    p99FromSending: at(0.99, Float64Array.from(fromSending).sort()),
  };
}
