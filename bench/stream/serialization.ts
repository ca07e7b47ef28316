/** The serialization table: the same records through every format, over loopback, between two
 *  processes.
 *
 *  The children of all formats of one batch size run at once and are measured in turns; the idle
 *  ones cost memory only. Per round a format sends twice: with a few messages in flight, which
 *  gives throughput and CPU, and one message at a time, which gives the time per message. The
 *  whole is bounded: a phase ends with the message in flight at its end, and slow messages have
 *  one phase. */
import { Child, RECEIVER_CORE, SENDER_CORE } from './children.ts';
import type { CodecId } from './codecs/index.ts';
import type { MessageQuestion, SendAnswer, SendQuestion } from './message-side.ts';
import { QUOTE_BYTES } from './quote.ts';
import { median, percentile } from '../statistics.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
/** In flight where throughput is measured: bytes of records, but at least two messages. */
const IN_FLIGHT_BYTES = MIB;
const SLOW_MS = 1_000;
const WARM_UP_BYTES_MAX = 16 * MIB;

export interface TablePlan {
  readonly codecs: readonly CodecId[];
  readonly rounds: number;
  /** Each of the two measurements of a round takes this long, or as long as its fewest messages. */
  readonly phaseMs: number;
}

/** A cell: payload rates count 64 bytes a record, whatever the format makes of it. */
export interface Cell {
  readonly codec: CodecId;
  readonly batchBytes: number;
  readonly mibPerSecond: number;
  readonly senderCpuPerGib: number;
  readonly receiverCpuPerGib: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Behind p50 and p99. */
  readonly messages: number;
  /** Bytes on the wire per byte of records. */
  readonly wireRatio: number;
}

export async function measureBatch(batchBytes: number, plan: TablePlan): Promise<Cell[]> {
  const pairs: Pair[] = [];
  try {
    for (const codec of plan.codecs) pairs.push(await Pair.start(codec, batchBytes));
    for (const pair of pairs) await pair.warmUp(plan.phaseMs);
    for (let round = 0; round < plan.rounds; round++) {
      const order = round % 2 === 0 ? pairs : pairs.toReversed();
      for (const pair of order) await pair.measure(plan.phaseMs);
    }
    return pairs.map((pair) => pair.cell());
  } finally {
    for (const pair of pairs) await pair.stop();
  }
}

/** The sender and the receiver of one format. */
class Pair {
  readonly #codec: CodecId;
  readonly #batchBytes: number;
  readonly #sender: Child;
  readonly #receiver: Child;
  readonly #rates: number[] = [];
  readonly #senderCpu: number[] = [];
  readonly #receiverCpu: number[] = [];
  readonly #millis: number[] = [];
  #payloadBytes = 0;

  private constructor(codec: CodecId, batchBytes: number, sender: Child, receiver: Child) {
    this.#codec = codec;
    this.#batchBytes = batchBytes;
    this.#sender = sender;
    this.#receiver = receiver;
  }

  static async start(codec: CodecId, batchBytes: number): Promise<Pair> {
    const file = 'message-side.ts';
    const args = [codec, String(batchBytes / QUOTE_BYTES)];
    const [sender, port] = await Child.start<number>(SENDER_CORE, file, ['sender', ...args]);
    const receiverArgs = ['receiver', ...args, String(port)];
    const [receiver] = await Child.start<null>(RECEIVER_CORE, file, receiverArgs);
    return new Pair(codec, batchBytes, sender, receiver);
  }

  /** Until the compilers have seen the code; a large batch shows it all to them by itself. */
  async warmUp(phaseMs: number): Promise<void> {
    if (this.#batchBytes > WARM_UP_BYTES_MAX) return;
    await this.#send({ atLeastMs: phaseMs, messagesMin: 1, inFlightMax: 1 });
  }

  async measure(phaseMs: number): Promise<void> {
    await this.#measure(phaseMs);
    for (const child of [this.#sender, this.#receiver]) await ask(child, { kind: 'rest' });
  }

  async #measure(phaseMs: number): Promise<void> {
    const inFlightMax = Math.max(2, IN_FLIGHT_BYTES / this.#batchBytes);
    const cpuBefore = await ask<number>(this.#receiver, { kind: 'cpuSeconds' });
    const many = await this.#send({ atLeastMs: phaseMs, messagesMin: 2, inFlightMax });
    const receiverCpu = (await ask<number>(this.#receiver, { kind: 'cpuSeconds' })) - cpuBefore;
    const bytes = many.messages * this.#batchBytes;
    this.#rates.push(bytes / MIB / many.seconds);
    this.#senderCpu.push(many.cpuSeconds / (bytes / GIB));
    this.#receiverCpu.push(receiverCpu / (bytes / GIB));
    this.#payloadBytes = many.payloadBytes;
    // Nothing was in the way of the first of them; where one takes so long, its time will do.
    if (many.millis[0] > SLOW_MS) return void this.#millis.push(many.millis[0]);
    const single = await this.#send({ atLeastMs: phaseMs, messagesMin: 1, inFlightMax: 1 });
    this.#millis.push(...single.millis);
  }

  cell(): Cell {
    return {
      codec: this.#codec,
      batchBytes: this.#batchBytes,
      mibPerSecond: median(this.#rates),
      senderCpuPerGib: median(this.#senderCpu),
      receiverCpuPerGib: median(this.#receiverCpu),
      p50Ms: percentile(this.#millis, 0.5),
      p99Ms: percentile(this.#millis, 0.99),
      messages: this.#millis.length,
      wireRatio: this.#payloadBytes / this.#batchBytes,
    };
  }

  async stop(): Promise<void> {
    await this.#sender.stop();
    await this.#receiver.stop();
  }

  #send(how: Omit<SendQuestion, 'kind'>): Promise<SendAnswer> {
    return ask<SendAnswer>(this.#sender, { kind: 'send', ...how });
  }
}

function ask<T>(child: Child, question: MessageQuestion): Promise<T> {
  return child.ask<T>(question);
}
