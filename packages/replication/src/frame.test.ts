import { crc32 } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import {
  ACK,
  BEGIN,
  CHECKED,
  CHUNK,
  decodeHeader,
  encodeHeader,
  END,
  FLAG_ZERO,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  HELLO,
  HELLO_PAYLOAD_BYTES_MAX,
  invalid,
  PING,
  REDO,
  REFUSE,
  WELCOME,
} from './frame.ts';

const GOLDEN_REDO =
  '494e474607020000480000000300000005040302010000004d0000000000000000b08756febc7842efbeaddeb08d2402';
const GOLDEN_CHUNK =
  '494e474605020000000001000300000005040302010000004d0000000900000000b08756febc784200000000487b7c06';

const redo: FrameHeader = {
  type: REDO,
  flags: 0,
  payloadBytes: 72,
  epoch: 3,
  seq: 0x01_0203_0405,
  generation: 77,
  chunk: 0,
  clockMs: 1_700_000_000_123,
  payloadCrc32: 0xdead_beef,
};
const chunk: FrameHeader = {
  ...redo,
  type: CHUNK,
  payloadBytes: 65_536,
  chunk: 9,
  payloadCrc32: 0,
};
const ack: FrameHeader = { ...redo, type: ACK, payloadBytes: 0, payloadCrc32: 0 };

describe('frame header', () => {
  test('format 2, golden bytes', () => {
    expect(encodeHeader(redo).toString('hex')).toBe(GOLDEN_REDO);
    expect(encodeHeader(chunk).toString('hex')).toBe(GOLDEN_CHUNK);
  });

  test.each([redo, chunk, ack, { ...chunk, flags: FLAG_ZERO, payloadBytes: 0 }])(
    'reads back as it was written: type $type, $payloadBytes bytes',
    (header) => {
      expect(decodeHeader(encodeHeader(header))).toEqual(header);
    },
  );

  test('any flipped bit is found', () => {
    const bytes = encodeHeader(redo);
    for (let bit = 0; bit < FRAME_HEADER_BYTES * 8; bit++) {
      const flipped = Buffer.from(bytes);
      flipped[bit >>> 3] ^= 1 << (bit & 7);
      expect(decodeHeader(flipped), `bit ${bit}`).toBeTypeOf('string');
    }
  });

  test('another version is named, whatever its checksum', () => {
    const bytes = encodeHeader(redo);
    bytes[5] = 1;
    expect(decodeHeader(bytes)).toBe('the frame version is 2, not 1');
  });

  test.each<[rule: string, change: Partial<FrameHeader>]>([
    ['the frame type is known', { type: 0 }],
    ['the frame type is known', { type: 12 }],
    ['REDO carries 24 to 131072 payload bytes', { payloadBytes: 131_076 }],
    ['REDO carries 24 to 131072 payload bytes', { payloadBytes: 0 }],
    ['REDO payloads are multiples of 4 bytes', { payloadBytes: 26 }],
    ['REDO has no flags', { flags: 1 }],
    ['only CHUNK names a chunk', { chunk: 1 }],
    ['the seq is below 2^53', { seq: 2 ** 53 }],
    ['the seq is below 2^53', { seq: -1 }],
    ['epoch and generation are u32', { epoch: 2 ** 32 }],
    ['epoch and generation are u32', { generation: -1 }],
    ['the clock is sane', { clockMs: Number.NaN }],
    ['the clock is sane', { clockMs: Number.POSITIVE_INFINITY }],
    ['the payload checksum is u32', { payloadCrc32: -1 }],
    [
      `HELLO carries 64 to ${HELLO_PAYLOAD_BYTES_MAX} payload bytes`,
      { type: HELLO, payloadBytes: HELLO_PAYLOAD_BYTES_MAX + 4 },
    ],
    ['WELCOME carries 32 to 288 payload bytes', { type: WELCOME, payloadBytes: 28 }],
    ['REFUSE carries 4 to 1024 payload bytes', { type: REFUSE, payloadBytes: 1_028 }],
    ['BEGIN carries 16 to 16 payload bytes', { type: BEGIN, payloadBytes: 0 }],
    ['END carries 0 to 0 payload bytes', { type: END, payloadBytes: 4 }],
    ['ACK carries 0 to 0 payload bytes', { type: ACK }],
    ['an empty payload has checksum 0', { type: PING, payloadBytes: 0 }],
    ['CHECKED payloads are multiples of 24 bytes', { type: CHECKED, payloadBytes: 32 }],
  ])('invalid: %s (%o)', (rule, change) => {
    expect(invalid({ ...redo, ...change })).toBe(rule);
  });

  test.each<[rule: string, change: Partial<FrameHeader>]>([
    ['the chunk is below 32,768', { chunk: 32_768 }],
    ['CHUNK knows the flag ZERO only', { flags: 2 }],
    ['only a zero CHUNK is empty', { payloadBytes: 0 }],
    ['only a zero CHUNK is empty', { flags: FLAG_ZERO }],
    ['CHUNK payloads are multiples of 65536 bytes', { payloadBytes: 32_768 }],
    ['CHUNK carries 0 to 262144 payload bytes', { payloadBytes: 5 * 65_536 }],
    ['a run of chunks ends below 32,768', { payloadBytes: 3 * 65_536, chunk: 32_766 }],
    ['CHUNK carries no payload checksum', { payloadCrc32: 1 }],
  ])('invalid chunk: %s (%o)', (rule, change) => {
    expect(invalid({ ...chunk, ...change })).toBe(rule);
  });

  test('a valid checksum does not make an invalid header valid', () => {
    const bytes = encodeHeader(ack);
    bytes[4] = 99;
    bytes.writeUInt32LE(crc32(bytes.subarray(0, 44)), 44);
    expect(decodeHeader(bytes)).toBe('the frame type is known');
  });

  test('an invalid header does not leave', () => {
    expect(() => encodeHeader({ ...redo, seq: -1 })).toThrow('the seq is below 2^53');
  });
});
