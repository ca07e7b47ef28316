import { expect, test } from 'vitest';
import { CODECS } from './codecs/index.ts';
import { MessageSender, receiveMessages } from './message-socket.ts';
import { type Sums, trueSums } from './quote.ts';

const COUNT = 2_048;
const MESSAGES = 5;

test.each(['raw', 'msgpack', 'capnp'] as const)(
  'bench: %s over a connection: every message arrives whole and is acknowledged',
  async (codec) => {
    const encoder = CODECS[codec].encoder(COUNT);
    const decoder = CODECS[codec].decoder(COUNT);
    const { port, sender } = await MessageSender.listen();
    const received: [number, Sums][] = [];
    const stop = await receiveMessages(port, decoder, (message, payloadBytes) => {
      received.push([message, decoder.sum(payloadBytes)]);
    });
    const connection = await sender;
    const all = Promise.withResolvers<void>();
    let numbered = 0;
    const next = (): void => {
      if (numbered === MESSAGES) return all.resolve();
      encoder.number(++numbered);
      connection.send(numbered, encoder.encode(), () => {});
    };
    connection.onAcknowledged(next);
    next();
    await all.promise;
    const truth = trueSums(COUNT);
    expect(received).toEqual([1, 2, 3, 4, 5].map((message) => [message, truth(message)]));
    connection.close();
    stop();
  },
);
