/** One side of the serialization table: `sender <codec> <records>` or `receiver <codec> <records>
 *  <port>`.
 *
 *  The receiver compares the sums of every message with the truth and ends the run where they
 *  differ. */
import { performance } from 'node:perf_hooks';
import { answerParent, cpuSeconds, rest } from './children.ts';
import type { Encoder } from './codecs/codec.ts';
import { CODECS, type CodecId } from './codecs/index.ts';
import { MessageSender, receiveMessages } from './message-socket.ts';
import { QUOTE_FIELDS, trueSums } from './quote.ts';

/** Sends for `atLeastMs` and `messagesMin` messages, `inFlightMax` of them unanswered at most. */
export interface SendQuestion {
  readonly kind: 'send';
  readonly atLeastMs: number;
  readonly messagesMin: number;
  readonly inFlightMax: number;
}

export type MessageQuestion =
  | SendQuestion
  | { readonly kind: 'cpuSeconds' }
  | { readonly kind: 'rest' };

export interface SendAnswer {
  readonly messages: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** Bytes of one payload. */
  readonly payloadBytes: number;
  /** Per message, from before it is encoded to its answer. */
  readonly millis: readonly number[];
}

const [, , side, codecId, records, port] = process.argv;
const codec = CODECS[codecId as CodecId];
const count = Number(records);
if (side === 'sender') await beSender();
else await beReceiver();

/** First words, then the records: all children make theirs at the same time. */
async function beSender(): Promise<void> {
  const { port, sender } = await MessageSender.listen();
  answerParent(port, async (asked) => {
    const question = asked as MessageQuestion;
    if (question.kind === 'send') return run(encoder, await sender, question);
    return answerOther(question);
  });
  const encoder = codec.encoder(count);
}

let numbered = 0;
let acknowledged: () => void = () => {};

function run(
  encoder: Encoder,
  sender: MessageSender,
  { atLeastMs, messagesMin, inFlightMax }: SendQuestion,
): Promise<SendAnswer> {
  const { promise, resolve } = Promise.withResolvers<SendAnswer>();
  const began = performance.now();
  const cpuBefore = cpuSeconds();
  const sentAt: number[] = [];
  const millis: number[] = [];
  let payloadBytes = 0;
  let accepting = false;
  const isEnough = (): boolean =>
    sentAt.length >= messagesMin && performance.now() - began >= atLeastMs;
  const next = (): void => {
    if (accepting || sentAt.length - millis.length >= inFlightMax || isEnough()) return;
    accepting = true;
    sentAt.push(performance.now());
    encoder.number(++numbered);
    payloadBytes = sender.send(numbered, encoder.encode(), () => {
      accepting = false;
      next();
    });
  };
  if (numbered === 0) sender.onAcknowledged(() => acknowledged());
  acknowledged = () => {
    const now = performance.now();
    millis.push(now - sentAt[millis.length]);
    if (millis.length < sentAt.length || !isEnough()) return next();
    resolve({
      messages: millis.length,
      seconds: (now - began) / 1_000,
      cpuSeconds: cpuSeconds() - cpuBefore,
      payloadBytes,
      millis,
    });
  };
  next();
  return promise;
}

async function beReceiver(): Promise<void> {
  const decoder = codec.decoder(count);
  await receiveMessages(Number(port), decoder, (message, payloadBytes) => {
    const expected = truth(message);
    const sums = decoder.sum(payloadBytes);
    QUOTE_FIELDS.forEach(([name], field) => {
      if (sums[field] === expected[field]) return;
      const difference = `${sums[field]} instead of ${expected[field]}`;
      throw new Error(`${codec.name}, message ${message}: the sum of ${name} is ${difference}`);
    });
  });
  answerParent(null, (asked) => answerOther(asked as MessageQuestion));
  const truth = trueSums(count);
}

function answerOther({ kind }: MessageQuestion): number | null {
  if (kind === 'cpuSeconds') return cpuSeconds();
  rest();
  return null;
}
