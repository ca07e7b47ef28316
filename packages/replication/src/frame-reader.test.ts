import { describe, expect, test } from 'vitest';
import { ACK, CHUNK, encodeHeader, type FrameHeader, payloadChecksum, REDO } from './frame.ts';
import { FrameReader } from './frame-reader.ts';
import { Random } from './random.fixture.ts';

function header(type: number, payload: Buffer, chunk: number = 0): FrameHeader {
  const payloadCrc32 = payload.length === 0 || type === CHUNK ? 0 : payloadChecksum(payload);
  const fields = { flags: 0, epoch: 1, seq: 5, generation: 2, clockMs: 7, payloadCrc32 };
  return { type, payloadBytes: payload.length, chunk, ...fields };
}

const redo = Buffer.alloc(72, 3);
const frames: [FrameHeader, Buffer][] = [
  [header(ACK, Buffer.alloc(0)), Buffer.alloc(0)],
  [header(REDO, redo), redo],
  [header(CHUNK, Buffer.alloc(65_536, 9), 4), Buffer.alloc(65_536, 9)],
  [header(ACK, Buffer.alloc(0)), Buffer.alloc(0)],
];
const stream = Buffer.concat(frames.flatMap(([head, payload]) => [encodeHeader(head), payload]));

/** A reader that keeps what arrives; chunks land in `image`. */
function reading() {
  const image = Buffer.alloc(8 * 65_536);
  const arrived: [FrameHeader, Buffer][] = [];
  const reader = new FrameReader({
    place: ({ type, chunk, payloadBytes }) =>
      type === CHUNK
        ? image.subarray(chunk * 65_536, (chunk + 1) * 65_536)
        : Buffer.alloc(payloadBytes),
    frame: (head, payload) => {
      arrived.push([head, Buffer.from(payload)]);
      return null;
    },
  });
  return { reader, arrived, image };
}

describe('frame reader', () => {
  test('cuts a stream into frames; a chunk lands where it belongs', () => {
    const { reader, arrived, image } = reading();
    expect(reader.push(stream)).toBeNull();
    expect(arrived).toEqual(frames);
    expect(image.subarray(4 * 65_536, 5 * 65_536)).toEqual(Buffer.alloc(65_536, 9));
  });

  test('byte by byte gives the same frames', () => {
    const { reader, arrived } = reading();
    for (let at = 0; at < stream.length; at++) {
      expect(reader.push(stream.subarray(at, at + 1))).toBeNull();
    }
    expect(arrived).toEqual(frames);
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8])('random cuts give the same frames: seed %i', (seed) => {
    const random = new Random(seed);
    const { reader, arrived } = reading();
    for (let at = 0; at < stream.length; ) {
      const bytes = 1 + random.below(seed < 5 ? 60 : 40_000);
      expect(reader.push(stream.subarray(at, at + bytes))).toBeNull();
      at += bytes;
    }
    expect(arrived).toEqual(frames);
  });

  test('a changed payload is found', () => {
    const { reader, arrived } = reading();
    const broken = Buffer.from(stream);
    broken[48 + 48 + 10] ^= 1;
    expect(reader.push(broken)).toBe('the payload checksum holds');
    expect(arrived).toHaveLength(1);
  });

  test('nothing is placed for a header that is no frame', () => {
    const reader = new FrameReader({
      place: () => expect.unreachable(),
      frame: () => expect.unreachable(),
    });
    expect(reader.push(Buffer.from(`GET / HTTP/1.1\r\nHost: ${'x'.repeat(100)}\r\n\r\n`))).toBe(
      'a frame starts with its magic',
    );
  });
});
