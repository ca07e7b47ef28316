/** Frames: what travels between a primary and a follower.
 *
 *  48 bytes of header, little-endian, then a payload. The header carries a checksum of its own; payloads carry
 *  one too, but for CHUNK: its bytes are alive while they are sent, and CHECK markers vouch for them later.
 *  Invariant: `invalid` is the only judge of a header. It runs before a frame leaves and after one arrives, and
 *  names the broken rule.
 *  Knows nothing of sockets, nor of what a frame makes a machine do. Drawn in FORMAT.md. */
import { crc32 } from 'node:zlib';
import { CHUNK_BYTES, HISTORY_MAX, invariant, REDO_RECORD_BYTES_MAX } from '@ingot/store';
import { defineLayout, readU64, writeU64 } from './layout.ts';

export const FRAME_HEADER_BYTES = 48;
export const FRAME_VERSION = 2;
/** 'INGF', little-endian. */
export const FRAME_MAGIC = 0x46_47_4e_49;

const AT = defineLayout(
  [
    ['magic', 0, 4],
    ['type', 4, 1],
    ['version', 5, 1],
    ['flags', 6, 2],
    ['payloadBytes', 8, 4],
    ['epoch', 12, 4],
    ['seq', 16, 8],
    ['generation', 24, 4],
    ['chunk', 28, 4],
    ['clockMs', 32, 8],
    ['payloadCrc32', 40, 4],
    ['headerCrc32', 44, 4],
  ],
  FRAME_HEADER_BYTES,
);

/** Follower to primary: who I am and which copy I have. */
export const HELLO = 1;
/** Primary to follower: how your copy becomes equal to mine. */
export const WELCOME = 2;
/** Primary to follower: why it will not; the connection ends. */
export const REFUSE = 3;
/** A bulk begins; `seq` is R0. */
export const BEGIN = 4;
/** One chunk of the live image, or a run of adjacent ones. */
export const CHUNK = 5;
/** The bulk is over; `seq` is minConsistent. */
export const END = 6;
/** Whole redo records; `seq` and `generation` are those of the last one. */
export const REDO = 7;
/** Follower to primary: applied up to `seq`. */
export const ACK = 8;
/** Follower to primary: what became of CHECK markers. Primary to follower: your CHECK pass is over. */
export const CHECKED = 9;
/** Primary to follower when idle; the follower answers with ACK. */
export const PING = 10;
/** Primary to follower, instead of a BEGIN: another follower feeds you; `seq` is where it has to be by then. */
export const SEED = 11;

/** CHUNK: the chunk is free, thus zero; no payload follows. */
export const FLAG_ZERO = 1;

/** An image holds at most 2 GiB. */
export const CHUNK_COUNT_MAX = 32_768;
/** Chunks of one CHUNK frame: a receiver pays per frame, and per read, more than for a few more bytes. */
export const CHUNK_RUN_MAX = 4;
export const REDO_PAYLOAD_BYTES_MAX: number = REDO_RECORD_BYTES_MAX;
export const ID_BYTES_MAX = 256;
export const HELLO_PAYLOAD_BYTES_MAX: number =
  64 + 2 * ID_BYTES_MAX + 16 * HISTORY_MAX + 4 * CHUNK_COUNT_MAX;
export const CHECK_ANSWER_BYTES = 24;

export interface FrameHeader {
  type: number;
  flags: number;
  payloadBytes: number;
  epoch: number;
  seq: number;
  generation: number;
  chunk: number;
  clockMs: number;
  payloadCrc32: number;
}

interface TypeRow {
  readonly name: string;
  /** Payload bytes: at least, at most, always a multiple of. */
  readonly payload: readonly [min: number, max: number, multiple: number];
}

const TYPES: readonly (TypeRow | undefined)[] = [
  undefined,
  { name: 'HELLO', payload: [64, HELLO_PAYLOAD_BYTES_MAX, 4] },
  { name: 'WELCOME', payload: [32, 32 + ID_BYTES_MAX, 4] },
  { name: 'REFUSE', payload: [4, 1_024, 4] },
  { name: 'BEGIN', payload: [16, 16, 16] },
  { name: 'CHUNK', payload: [0, CHUNK_RUN_MAX * CHUNK_BYTES, CHUNK_BYTES] },
  { name: 'END', payload: [0, 0, 1] },
  { name: 'REDO', payload: [24, REDO_PAYLOAD_BYTES_MAX, 4] },
  { name: 'ACK', payload: [0, 0, 1] },
  { name: 'CHECKED', payload: [0, REDO_PAYLOAD_BYTES_MAX, CHECK_ANSWER_BYTES] },
  { name: 'PING', payload: [0, 0, 1] },
  { name: 'SEED', payload: [8, 4 + ID_BYTES_MAX, 4] },
];

export function frameName(type: number): string {
  return TYPES[type]?.name ?? `type ${type}`;
}

const isU32 = (value: number): boolean => value >>> 0 === value;

/** How many chunks a CHUNK frame brings: those that follow its payload, or one that is zero. */
export function chunksOf({ payloadBytes }: FrameHeader): number {
  return Math.max(1, payloadBytes / CHUNK_BYTES);
}

/** The rule that this header breaks, or null. */
export function invalid(header: FrameHeader): string | null {
  const row = TYPES[header.type];
  if (row === undefined) return 'the frame type is known';
  const [min, max, multiple] = row.payload;
  const { payloadBytes } = header;
  if (!isU32(payloadBytes) || payloadBytes < min || payloadBytes > max) {
    return `${row.name} carries ${min} to ${max} payload bytes`;
  }
  if (payloadBytes % multiple !== 0)
    return `${row.name} payloads are multiples of ${multiple} bytes`;
  if (header.type === CHUNK) {
    if (header.flags !== 0 && header.flags !== FLAG_ZERO) return 'CHUNK knows the flag ZERO only';
    if ((header.flags === FLAG_ZERO) !== (payloadBytes === 0)) return 'only a zero CHUNK is empty';
    if (header.payloadCrc32 !== 0) return 'CHUNK carries no payload checksum';
  } else {
    if (header.flags !== 0) return `${row.name} has no flags`;
    if (header.chunk !== 0) return 'only CHUNK names a chunk';
  }
  if (payloadBytes === 0 && header.payloadCrc32 !== 0) return 'an empty payload has checksum 0';
  if (!isU32(header.chunk) || header.chunk >= CHUNK_COUNT_MAX) return 'the chunk is below 32,768';
  if (header.type === CHUNK && header.chunk + chunksOf(header) > CHUNK_COUNT_MAX) {
    return 'a run of chunks ends below 32,768';
  }
  if (!isU32(header.epoch) || !isU32(header.generation)) return 'epoch and generation are u32';
  if (!isU32(header.payloadCrc32)) return 'the payload checksum is u32';
  if (!Number.isSafeInteger(header.seq) || header.seq < 0) return 'the seq is below 2^53';
  if (!(header.clockMs >= 0 && header.clockMs <= Number.MAX_SAFE_INTEGER))
    return 'the clock is sane';
  return null;
}

/** @returns 48 fresh bytes. */
export function encodeHeader(header: FrameHeader): Buffer {
  const bytes = Buffer.allocUnsafe(FRAME_HEADER_BYTES);
  writeHeader(header, bytes);
  return bytes;
}

/** Writes 48 bytes to the start of `bytes`. An invalid header is a bug of the sender. */
export function writeHeader(header: FrameHeader, bytes: Buffer): void {
  const broken = invalid(header);
  invariant(broken === null, `frame: ${broken}`);
  bytes.writeUInt32LE(FRAME_MAGIC, AT.magic);
  bytes[AT.type] = header.type;
  bytes[AT.version] = FRAME_VERSION;
  bytes.writeUInt16LE(header.flags, AT.flags);
  bytes.writeUInt32LE(header.payloadBytes, AT.payloadBytes);
  bytes.writeUInt32LE(header.epoch, AT.epoch);
  writeU64(bytes, AT.seq, header.seq);
  bytes.writeUInt32LE(header.generation, AT.generation);
  bytes.writeUInt32LE(header.chunk, AT.chunk);
  bytes.writeDoubleLE(header.clockMs, AT.clockMs);
  bytes.writeUInt32LE(header.payloadCrc32, AT.payloadCrc32);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, AT.headerCrc32)), AT.headerCrc32);
}

/** @returns the header, or the rule that its bytes break. */
export function decodeHeader(bytes: Buffer): FrameHeader | string {
  if (bytes.readUInt32LE(AT.magic) !== FRAME_MAGIC) return 'a frame starts with its magic';
  if (bytes[AT.version] !== FRAME_VERSION) {
    return `the frame version is ${FRAME_VERSION}, not ${bytes[AT.version]}`;
  }
  if (crc32(bytes.subarray(0, AT.headerCrc32)) !== bytes.readUInt32LE(AT.headerCrc32)) {
    return 'the header checksum holds';
  }
  const header = {
    type: bytes[AT.type],
    flags: bytes.readUInt16LE(AT.flags),
    payloadBytes: bytes.readUInt32LE(AT.payloadBytes),
    epoch: bytes.readUInt32LE(AT.epoch),
    seq: readU64(bytes, AT.seq),
    generation: bytes.readUInt32LE(AT.generation),
    chunk: bytes.readUInt32LE(AT.chunk),
    clockMs: bytes.readDoubleLE(AT.clockMs),
    payloadCrc32: bytes.readUInt32LE(AT.payloadCrc32),
  };
  return invalid(header) ?? header;
}

/** Whether a payload is what its header says; CHUNK payloads are alive and vouched for by CHECK markers. */
export function payloadIntact(header: FrameHeader, payload: Buffer): boolean {
  if (header.type === CHUNK || header.payloadBytes === 0) return true;
  return crc32(payload) === header.payloadCrc32;
}

export function payloadChecksum(payload: Buffer): number {
  return crc32(payload);
}
