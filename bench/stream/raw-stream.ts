/** The raw stream: an image over one TCP connection on loopback, beside iperf3.
 *
 *  Every row is measured once a round, in turns. The rows that land an image are checked at the
 *  end: the two images must be equal. */
import { setTimeout as delay } from 'node:timers/promises';
import { Child, RECEIVER_CORE, SENDER_CORE, type Totals } from './children.ts';
import { measureIperf3 } from './iperf3.ts';
import { median } from '../statistics.ts';
import type { SenderPorts, StreamQuestion, Transport } from './stream-side.ts';

const GIB = 2 ** 30;
const IMAGE_BYTES = 2 ** 28;
/** From the first bytes to the first look at the counts. */
const SETTLE_MS = 300;

export interface StreamFigures {
  /** 10^9 bytes. */
  readonly gbPerSecond: number;
  readonly senderCpuPerGib: number;
  readonly receiverCpuPerGib: number;
}

export interface StreamRow {
  readonly name: string;
  /** At least this much of the first row; null: for comparison. */
  readonly goal: number | null;
  readonly how:
    | { readonly iperf3: 'write' | 'sendfile' }
    | { readonly transport: Transport; readonly lands: boolean };
}

export const STREAM_ROWS: readonly StreamRow[] = [
  { name: 'iperf3', goal: null, how: { iperf3: 'write' } },
  { name: 'link, receiver discards', goal: 0.9, how: { transport: 'link', lands: false } },
  { name: 'link, lands in an image', goal: 0.6, how: { transport: 'link', lands: true } },
  { name: 'bare socket, discards', goal: null, how: { transport: 'bare', lands: false } },
  { name: 'bare socket, lands', goal: null, how: { transport: 'bare', lands: true } },
  { name: 'iperf3 --zerocopy', goal: null, how: { iperf3: 'sendfile' } },
];

/** Medians of the rounds, in the order of `STREAM_ROWS`. */
export async function measureStreams(rounds: number, seconds: number): Promise<StreamFigures[]> {
  const file = 'stream-side.ts';
  const imageBytes = String(IMAGE_BYTES);
  const [sender, ports] = await Child.start<SenderPorts>(SENDER_CORE, file, ['sender', imageBytes]);
  const [receiver] = await Child.start<null>(RECEIVER_CORE, file, ['receiver', imageBytes]);
  try {
    const figures = STREAM_ROWS.map((): StreamFigures[] => []);
    for (let round = 0; round < rounds; round++) {
      const turns = [...STREAM_ROWS.keys()];
      for (const row of round % 2 === 0 ? turns : turns.toReversed()) {
        const { how } = STREAM_ROWS[row];
        const measured =
          'iperf3' in how
            ? await measureIperf3(seconds, how.iperf3 === 'sendfile')
            : await measureOurs(sender, receiver, ports, how, seconds);
        figures[row].push(measured);
      }
    }
    return figures.map(medians);
  } finally {
    await sender.stop();
    await receiver.stop();
  }
}

async function measureOurs(
  sender: Child,
  receiver: Child,
  ports: SenderPorts,
  { transport, lands }: { transport: Transport; lands: boolean },
  seconds: number,
): Promise<StreamFigures> {
  const both = (): Promise<[Totals, Totals]> =>
    Promise.all([
      ask<Totals>(sender, { kind: 'totals' }),
      ask<Totals>(receiver, { kind: 'totals' }),
    ]);
  await ask(receiver, { kind: 'connect', transport, port: ports[transport], lands });
  await delay(SETTLE_MS);
  const before = await both();
  await delay(seconds * 1_000);
  const after = await both();
  await ask(receiver, { kind: 'disconnect' });
  if (lands) await assertEqual(sender, receiver);
  const [senderGib, receiverGib] = after.map(({ bytes }, i) => (bytes - before[i].bytes) / GIB);
  const elapsed = after[1].atSeconds - before[1].atSeconds;
  return {
    gbPerSecond: (receiverGib * GIB) / elapsed / 1e9,
    senderCpuPerGib: (after[0].cpuSeconds - before[0].cpuSeconds) / senderGib,
    receiverCpuPerGib: (after[1].cpuSeconds - before[1].cpuSeconds) / receiverGib,
  };
}

async function assertEqual(sender: Child, receiver: Child): Promise<void> {
  const sent = await ask<number>(sender, { kind: 'checksum' });
  const landed = await ask<number>(receiver, { kind: 'checksum' });
  if (sent !== landed) throw new Error('the image that landed is not the one that was sent');
}

function ask<T>(child: Child, question: StreamQuestion): Promise<T> {
  return child.ask<T>(question);
}

function medians(rounds: readonly StreamFigures[]): StreamFigures {
  return {
    gbPerSecond: median(rounds.map((each) => each.gbPerSecond)),
    senderCpuPerGib: median(rounds.map((each) => each.senderCpuPerGib)),
    receiverCpuPerGib: median(rounds.map((each) => each.receiverCpuPerGib)),
  };
}
