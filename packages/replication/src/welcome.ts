/** The primary's payloads: WELCOME or REFUSE in answer to HELLO, BEGIN at the head of every bulk, SEED in place of one.
 *
 *  Decoders return the broken rule as a string; every code is looked up in its table before it is used. */
import { ID_BYTES_MAX } from './frame.ts';
import { defineLayout, readU64, writeU64 } from './layout.ts';

/** How a copy becomes equal. The index is the code on the wire: append only. */
export const SYNC_KINDS = ['stream', 'catch-up', 'rewind', 'full'] as const;
export type SyncKind = (typeof SYNC_KINDS)[number];

/** Why it is done that way. The index is the code on the wire: append only. */
export const SYNC_REASONS = [
  'the copy is current and the ring holds what follows',
  'the ring has moved past the copy',
  'the copy was interrupted in the middle of a bulk',
  'the copy has changes of a lost primary',
  'the copy is empty',
  'the histories share no epoch',
  'the ring lapped the follower',
  'a CHECK found chunks that differ',
] as const;
export type SyncReason = (typeof SYNC_REASONS)[number];

/** Why a HELLO is refused. The index is the code on the wire: append only. */
export const REFUSAL_CODES = [
  'format',
  'byteOrder',
  'clusterId',
  'geometry',
  'partition',
  'notPrimary',
  'epoch',
  'notFollower',
  'incarnation',
  'busy',
  'certificate',
  'noSource',
  'noSlots',
] as const;
export type RefusalCode = (typeof REFUSAL_CODES)[number];

export interface Refusal {
  readonly code: RefusalCode;
  /** One sentence that says which side must change. */
  readonly text: string;
}

export interface Welcome {
  readonly nodeId: string;
  readonly incarnation: number;
  readonly kind: SyncKind;
  readonly reason: SyncReason;
  /** Last seq that both histories share; 0 when they share none. */
  readonly sharedSeq: number;
}

export interface Begin {
  readonly kind: SyncKind;
  readonly reason: SyncReason;
  /** CHUNK frames until END or the next BEGIN. */
  readonly chunkCount: number;
  /** 0 at first; rises while the writer laps the sender. */
  readonly pass: number;
}

const WELCOME_FIXED_BYTES = 32;
const WELCOME_AT = defineLayout(
  [
    ['kind', 0, 4],
    ['reason', 4, 4],
    ['sharedSeq', 8, 8],
    ['incarnation', 16, 4],
    ['nodeIdBytes', 20, 4],
    ['reserved', 24, 8],
  ],
  WELCOME_FIXED_BYTES,
);
const BEGIN_BYTES = 16;
const BEGIN_AT = defineLayout(
  [
    ['kind', 0, 4],
    ['reason', 4, 4],
    ['chunkCount', 8, 4],
    ['pass', 12, 4],
  ],
  BEGIN_BYTES,
);
const REFUSE_FIXED_BYTES = 4;
const REFUSE_AT = defineLayout(
  [
    ['code', 0, 2],
    ['textBytes', 2, 2],
  ],
  REFUSE_FIXED_BYTES,
);
const REFUSE_TEXT_BYTES_MAX = 1_020;
const SEED_FIXED_BYTES = 4;

function padded(fixedBytes: number, text: Buffer): Buffer {
  const bytes = Buffer.alloc(fixedBytes + ((text.length + 3) & ~3));
  text.copy(bytes, fixedBytes);
  return bytes;
}

export function encodeWelcome(welcome: Welcome): Buffer {
  const nodeId = Buffer.from(welcome.nodeId);
  const bytes = padded(WELCOME_FIXED_BYTES, nodeId);
  bytes.writeUInt32LE(SYNC_KINDS.indexOf(welcome.kind), WELCOME_AT.kind);
  bytes.writeUInt32LE(SYNC_REASONS.indexOf(welcome.reason), WELCOME_AT.reason);
  writeU64(bytes, WELCOME_AT.sharedSeq, welcome.sharedSeq);
  bytes.writeUInt32LE(welcome.incarnation, WELCOME_AT.incarnation);
  bytes.writeUInt32LE(nodeId.length, WELCOME_AT.nodeIdBytes);
  return bytes;
}

export function decodeWelcome(bytes: Buffer): Welcome | string {
  const kind = SYNC_KINDS[bytes.readUInt32LE(WELCOME_AT.kind)];
  const reason = SYNC_REASONS[bytes.readUInt32LE(WELCOME_AT.reason)];
  const nodeIdBytes = bytes.readUInt32LE(WELCOME_AT.nodeIdBytes);
  if (kind === undefined || reason === undefined)
    return 'the kind and the reason of a sync are known';
  if (
    nodeIdBytes > ID_BYTES_MAX ||
    WELCOME_FIXED_BYTES + ((nodeIdBytes + 3) & ~3) !== bytes.length
  ) {
    return 'a WELCOME is as long as its node id says';
  }
  return {
    kind,
    reason,
    sharedSeq: readU64(bytes, WELCOME_AT.sharedSeq),
    incarnation: bytes.readUInt32LE(WELCOME_AT.incarnation),
    nodeId: bytes.toString('utf8', WELCOME_FIXED_BYTES, WELCOME_FIXED_BYTES + nodeIdBytes),
  };
}

export function encodeRefuse(refusal: Refusal): Buffer {
  const text = Buffer.from(refusal.text).subarray(0, REFUSE_TEXT_BYTES_MAX);
  const bytes = padded(REFUSE_FIXED_BYTES, text);
  bytes.writeUInt16LE(REFUSAL_CODES.indexOf(refusal.code), REFUSE_AT.code);
  bytes.writeUInt16LE(text.length, REFUSE_AT.textBytes);
  return bytes;
}

export function decodeRefuse(bytes: Buffer): Refusal | string {
  const code = REFUSAL_CODES[bytes.readUInt16LE(REFUSE_AT.code)];
  const textBytes = bytes.readUInt16LE(REFUSE_AT.textBytes);
  if (code === undefined) return 'the refusal code is known';
  if (REFUSE_FIXED_BYTES + ((textBytes + 3) & ~3) !== bytes.length) {
    return 'a REFUSE is as long as its text says';
  }
  return { code, text: bytes.toString('utf8', REFUSE_FIXED_BYTES, REFUSE_FIXED_BYTES + textBytes) };
}

export function encodeBegin(begin: Begin): Buffer {
  const bytes = Buffer.alloc(BEGIN_BYTES);
  bytes.writeUInt32LE(SYNC_KINDS.indexOf(begin.kind), BEGIN_AT.kind);
  bytes.writeUInt32LE(SYNC_REASONS.indexOf(begin.reason), BEGIN_AT.reason);
  bytes.writeUInt32LE(begin.chunkCount, BEGIN_AT.chunkCount);
  bytes.writeUInt32LE(begin.pass, BEGIN_AT.pass);
  return bytes;
}

export function decodeBegin(bytes: Buffer): Begin | string {
  const kind = SYNC_KINDS[bytes.readUInt32LE(BEGIN_AT.kind)];
  const reason = SYNC_REASONS[bytes.readUInt32LE(BEGIN_AT.reason)];
  if (kind === undefined || reason === undefined)
    return 'the kind and the reason of a sync are known';
  return {
    kind,
    reason,
    chunkCount: bytes.readUInt32LE(BEGIN_AT.chunkCount),
    pass: bytes.readUInt32LE(BEGIN_AT.pass),
  };
}

/** The follower that feeds the copy. */
export function encodeSeed(node: string): Buffer {
  const nodeId = Buffer.from(node);
  const bytes = padded(SEED_FIXED_BYTES, nodeId);
  bytes.writeUInt32LE(nodeId.length, 0);
  return bytes;
}

export function decodeSeed(bytes: Buffer): string | { readonly node: string } {
  const nodeIdBytes = bytes.readUInt32LE(0);
  const isWhole = SEED_FIXED_BYTES + ((nodeIdBytes + 3) & ~3) === bytes.length;
  if (nodeIdBytes === 0 || nodeIdBytes > ID_BYTES_MAX || !isWhole) {
    return 'a SEED is as long as its node id says';
  }
  return { node: bytes.toString('utf8', SEED_FIXED_BYTES, SEED_FIXED_BYTES + nodeIdBytes) };
}
