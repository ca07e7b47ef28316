import { crc32 } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { QUOTE_BYTES, QUOTE_FIELDS, quoteAt, trueSums } from '../quote.ts';
import type { Codec, Decoder } from './codec.ts';
import { CODECS } from './index.ts';

const COUNT = 1_024;

/** Lands the pieces of a message as a socket would, at most `mostBytes` at a time. */
function land(decoder: Decoder, pieces: readonly Uint8Array[], mostBytes: number): number {
  const payload = Buffer.concat(pieces);
  for (let filled = 0; filled < payload.length; ) {
    const target = decoder.target(filled, payload.length);
    filled += payload.copy(target, 0, filled, Math.min(filled + mostBytes, payload.length));
  }
  return payload.length;
}

describe.each(Object.values(CODECS))('bench: codec $name', (codec) => {
  test('carries every field of every record, message after message', () => {
    const encoder = codec.encoder(COUNT);
    const decoder = codec.decoder(COUNT);
    const truth = trueSums(COUNT);
    for (let message = 1; message <= 3; message++) {
      encoder.number(message);
      const payloadBytes = land(decoder, encoder.encode(), 10_007 * message);
      expect(decoder.sum(payloadBytes)).toEqual(truth(message));
    }
  });

  test('notices a record that was not sent', () => {
    const encoder = codec.encoder(COUNT - 1);
    const decoder = codec.decoder(COUNT);
    encoder.number(1);
    const payloadBytes = land(decoder, encoder.encode(), 65_536);
    expect(decoder.sum(payloadBytes)).not.toEqual(trueSums(COUNT)(1));
  });
});

// The reference implementation's `capnp decode` reads this message as the records that went in.
const CAPNP_CRC32 = 0x0c1326c8;
const CAPNP_POINTERS_BYTES = 32;

test.each([CODECS.capnp, CODECS['capnp-by-offset']])(
  'bench: codec $name: golden bytes',
  (codec) => {
    const message = messageOf(codec, 77);
    expect(crc32(message)).toBe(CAPNP_CRC32);
    const records = message.subarray(CAPNP_POINTERS_BYTES);
    expect(records.equals(messageOf(CODECS.raw, 77))).toBe(true);
  },
);

function messageOf(codec: Codec, message: number): Buffer {
  const encoder = codec.encoder(COUNT);
  encoder.number(message);
  return Buffer.concat([...encoder.encode()]);
}

test('bench: a quote has no hole and is as long as its fields', () => {
  let end = 0;
  for (const [, offset, width] of QUOTE_FIELDS) {
    expect(offset).toBe(end);
    end += width;
  }
  expect(end).toBe(QUOTE_BYTES);
});

test('bench: quotes stay within the widths of their fields', () => {
  for (let i = 0; i < 5_000; i++) {
    const { symbol, bid, ask, last, seq, ...words } = quoteAt(i);
    expect(symbol).toMatch(/^[A-Z0-9]{8}$/);
    expect(bid < ask && last > 0 && Number.isSafeInteger(seq)).toBe(true);
    expect(Object.values(words).every((word) => word >>> 0 === word)).toBe(true);
  }
});
