/** The first payloads of a connection: HELLO (follower), answered by WELCOME or REFUSE (primary), and BEGIN,
 *  which opens every bulk.
 *
 *  Fixed struct first, then what has a length. Every length, count and code that comes off the wire is
 *  bounded before it is used; a decoder returns the broken rule as a string.
 *  Knows nothing of what is decided from it. */
import { HISTORY_MAX, type HistoryEntry } from '@ingot/store';
import { CHUNK_COUNT_MAX, ID_BYTES_MAX } from './frame.ts';
import { defineLayout, readU64, writeU64 } from './layout.ts';

/** Reads as 0x0201 where the byte order is the other one. */
export const BYTE_ORDER_MARK = 0x0102;
/** The mark as this machine writes it: the mark itself where the machine is little-endian, as frames
 *  are. Images hold words of the machine. */
export const MACHINE_BYTE_ORDER: number = Buffer.from(
  Uint16Array.of(BYTE_ORDER_MARK).buffer,
).readUInt16LE(0);

/** A point of a history at which a copy was consistent. */
export interface Position {
  readonly epoch: number;
  readonly seq: number;
  readonly generation: number;
}

export interface Hello {
  readonly storeFormat: number;
  readonly byteOrder: number;
  readonly clusterId: string;
  readonly nodeId: string;
  readonly incarnation: number;
  readonly partition: number;
  readonly partitions: number;
  readonly chunkBytes: number;
  readonly chunkCount: number;
  readonly valueMaxBytes: number;
  readonly base: Position | null;
  /** The copy is exactly its base: no bulk was cut short since. */
  readonly consistent: boolean;
  /** The CHECK pass after the copy's last bulk has passed. */
  readonly checked: boolean;
  /** It may be fed by a follower of the partition: as a primary's answer, SEED is understood. */
  readonly seedable: boolean;
  /** Snapshot mode: the copy is brought to one consistent point, and the connection has done its work. */
  readonly snapshot: boolean;
  /** No member of the cluster: no map names it, nobody awaits it, any consistent copy will do, and it goes once it has one. */
  readonly guest: boolean;
  readonly history: readonly HistoryEntry[];
  /** Generation by chunk, trailing zeros left out; LANDED_SINCE_BASE where a bulk has written since the base. */
  readonly stamps: Uint32Array;
}

const HELLO_FIXED_BYTES = 64;
const HELLO_AT = defineLayout(
  [
    ['storeFormat', 0, 2],
    ['byteOrder', 2, 2],
    ['flags', 4, 4],
    ['partition', 8, 4],
    ['partitions', 12, 4],
    ['chunkBytes', 16, 4],
    ['chunkCount', 20, 4],
    ['valueMaxBytes', 24, 4],
    ['incarnation', 28, 4],
    ['baseEpoch', 32, 4],
    ['baseGeneration', 36, 4],
    ['baseSeq', 40, 8],
    ['historyCount', 48, 4],
    ['stampCount', 52, 4],
    ['clusterIdBytes', 56, 4],
    ['nodeIdBytes', 60, 4],
  ],
  HELLO_FIXED_BYTES,
);
const HELLO_HAS_BASE = 1;
const HELLO_CONSISTENT = 2;
const HELLO_CHECKED = 4;
const HELLO_SEEDABLE = 16;
const HELLO_SNAPSHOT = 8;
const HELLO_GUEST = 32;

const HISTORY_ENTRY_BYTES = 16;
const HISTORY_AT = defineLayout(
  [
    ['epoch', 0, 4],
    ['generation', 4, 4],
    ['startSeq', 8, 8],
  ],
  HISTORY_ENTRY_BYTES,
);

const roundUpTo4 = (bytes: number): number => (bytes + 3) & ~3;

export function encodeHello(hello: Hello): Buffer {
  const clusterId = Buffer.from(hello.clusterId);
  const nodeId = Buffer.from(hello.nodeId);
  const idsEnd = HELLO_FIXED_BYTES + roundUpTo4(clusterId.length) + roundUpTo4(nodeId.length);
  const historyEnd = idsEnd + hello.history.length * HISTORY_ENTRY_BYTES;
  const bytes = Buffer.alloc(historyEnd + hello.stamps.length * 4);
  bytes.writeUInt16LE(hello.storeFormat, HELLO_AT.storeFormat);
  bytes.writeUInt16LE(hello.byteOrder, HELLO_AT.byteOrder);
  const flags =
    (hello.base === null ? 0 : HELLO_HAS_BASE) |
    (hello.consistent ? HELLO_CONSISTENT : 0) |
    (hello.checked ? HELLO_CHECKED : 0) |
    (hello.seedable ? HELLO_SEEDABLE : 0) |
    (hello.snapshot ? HELLO_SNAPSHOT : 0) |
    (hello.guest ? HELLO_GUEST : 0);
  bytes.writeUInt32LE(flags, HELLO_AT.flags);
  bytes.writeUInt32LE(hello.partition, HELLO_AT.partition);
  bytes.writeUInt32LE(hello.partitions, HELLO_AT.partitions);
  bytes.writeUInt32LE(hello.chunkBytes, HELLO_AT.chunkBytes);
  bytes.writeUInt32LE(hello.chunkCount, HELLO_AT.chunkCount);
  bytes.writeUInt32LE(hello.valueMaxBytes, HELLO_AT.valueMaxBytes);
  bytes.writeUInt32LE(hello.incarnation, HELLO_AT.incarnation);
  bytes.writeUInt32LE(hello.base?.epoch ?? 0, HELLO_AT.baseEpoch);
  bytes.writeUInt32LE(hello.base?.generation ?? 0, HELLO_AT.baseGeneration);
  writeU64(bytes, HELLO_AT.baseSeq, hello.base?.seq ?? 0);
  bytes.writeUInt32LE(hello.history.length, HELLO_AT.historyCount);
  bytes.writeUInt32LE(hello.stamps.length, HELLO_AT.stampCount);
  bytes.writeUInt32LE(clusterId.length, HELLO_AT.clusterIdBytes);
  bytes.writeUInt32LE(nodeId.length, HELLO_AT.nodeIdBytes);
  clusterId.copy(bytes, HELLO_FIXED_BYTES);
  nodeId.copy(bytes, HELLO_FIXED_BYTES + roundUpTo4(clusterId.length));
  hello.history.forEach((entry, i) => {
    const at = idsEnd + i * HISTORY_ENTRY_BYTES;
    bytes.writeUInt32LE(entry.epoch, at + HISTORY_AT.epoch);
    bytes.writeUInt32LE(entry.generation, at + HISTORY_AT.generation);
    writeU64(bytes, at + HISTORY_AT.startSeq, entry.startSeq);
  });
  hello.stamps.forEach((stamp, chunk) => bytes.writeUInt32LE(stamp, historyEnd + chunk * 4));
  return bytes;
}

/** @returns the HELLO, or the rule that its bytes break. Whether it is welcome is for `admission.ts`. */
export function decodeHello(bytes: Buffer): Hello | string {
  if (bytes.length < HELLO_FIXED_BYTES) return 'a HELLO holds its fixed part';
  const clusterIdBytes = bytes.readUInt32LE(HELLO_AT.clusterIdBytes);
  const nodeIdBytes = bytes.readUInt32LE(HELLO_AT.nodeIdBytes);
  const historyCount = bytes.readUInt32LE(HELLO_AT.historyCount);
  const stampCount = bytes.readUInt32LE(HELLO_AT.stampCount);
  const chunkCount = bytes.readUInt32LE(HELLO_AT.chunkCount);
  if (clusterIdBytes === 0 || clusterIdBytes > ID_BYTES_MAX)
    return 'the cluster id has 1 to 256 bytes';
  if (nodeIdBytes === 0 || nodeIdBytes > ID_BYTES_MAX) return 'the node id has 1 to 256 bytes';
  if (historyCount > HISTORY_MAX) return 'a history has at most 64 entries';
  if (chunkCount > CHUNK_COUNT_MAX) return 'an image has at most 32,768 chunks';
  if (stampCount > chunkCount) return 'there is at most one stamp per chunk';
  const nodeIdAt = HELLO_FIXED_BYTES + roundUpTo4(clusterIdBytes);
  const historyAt = nodeIdAt + roundUpTo4(nodeIdBytes);
  const stampsAt = historyAt + historyCount * HISTORY_ENTRY_BYTES;
  if (bytes.length !== stampsAt + stampCount * 4) return 'a HELLO is as long as its counts say';

  const history: HistoryEntry[] = [];
  for (let at = historyAt; at < stampsAt; at += HISTORY_ENTRY_BYTES) {
    const entry = {
      epoch: bytes.readUInt32LE(at + HISTORY_AT.epoch),
      generation: bytes.readUInt32LE(at + HISTORY_AT.generation),
      startSeq: readU64(bytes, at + HISTORY_AT.startSeq),
    };
    const last = history.at(-1);
    if (!Number.isSafeInteger(entry.startSeq)) return 'a seq is below 2^53';
    if (last !== undefined && !(entry.epoch > last.epoch && entry.startSeq > last.startSeq)) {
      return 'a history ascends';
    }
    history.push(entry);
  }
  const stamps = new Uint32Array(stampCount);
  for (let chunk = 0; chunk < stampCount; chunk++) {
    stamps[chunk] = bytes.readUInt32LE(stampsAt + chunk * 4);
  }
  const flags = bytes.readUInt32LE(HELLO_AT.flags);
  const baseSeq = readU64(bytes, HELLO_AT.baseSeq);
  if (!Number.isSafeInteger(baseSeq)) return 'a seq is below 2^53';
  const base = {
    epoch: bytes.readUInt32LE(HELLO_AT.baseEpoch),
    seq: baseSeq,
    generation: bytes.readUInt32LE(HELLO_AT.baseGeneration),
  };
  const hasBase = (flags & HELLO_HAS_BASE) !== 0;
  const consistent = (flags & HELLO_CONSISTENT) !== 0;
  if (consistent && !hasBase) return 'a consistent copy has a base';
  return {
    storeFormat: bytes.readUInt16LE(HELLO_AT.storeFormat),
    byteOrder: bytes.readUInt16LE(HELLO_AT.byteOrder),
    clusterId: bytes.toString('utf8', HELLO_FIXED_BYTES, HELLO_FIXED_BYTES + clusterIdBytes),
    nodeId: bytes.toString('utf8', nodeIdAt, nodeIdAt + nodeIdBytes),
    incarnation: bytes.readUInt32LE(HELLO_AT.incarnation),
    partition: bytes.readUInt32LE(HELLO_AT.partition),
    partitions: bytes.readUInt32LE(HELLO_AT.partitions),
    chunkBytes: bytes.readUInt32LE(HELLO_AT.chunkBytes),
    chunkCount,
    valueMaxBytes: bytes.readUInt32LE(HELLO_AT.valueMaxBytes),
    base: hasBase ? base : null,
    consistent,
    checked: (flags & HELLO_CHECKED) !== 0,
    seedable: (flags & HELLO_SEEDABLE) !== 0,
    snapshot: (flags & HELLO_SNAPSHOT) !== 0,
    guest: (flags & HELLO_GUEST) !== 0,
    history,
    stamps,
  };
}
