/** The bytes of the redo log: groups, each of which was flushed as one (FORMAT.md, "The redo log").
 *
 *  A group says whose it is, its number, and has a checksum over all of it; its entries are runs of whole transactions
 *  of one partition each, as they lay in its redo ring. An entry says what it follows: the seq before it, and the
 *  newest epochs of the copy's history, so that redo of a history that was taken back is never applied to another.
 *  Pure. Little-endian. */
import { Buffer } from 'node:buffer';
import { crc32 } from 'node:zlib';
import { FORMAT_VERSION, type Geometry, type HistoryEntry } from '@ingot/store';

export const LOG_VERSION = 1;
const MAGIC = 0x474f_4c49; // "ILOG"

/** name, offset, width */
export const GROUP_FIELDS = [
  ['magic', 0, 4],
  ['crc32', 4, 4], // of all that follows
  ['version', 8, 4],
  ['owner', 12, 4], // crc32 of `ownerText`
  ['number', 16, 8], // f64, the key
  ['clockMs', 24, 8], // f64, unix ms
  ['life', 32, 4],
  ['entries', 36, 4],
  ['bytes', 40, 4], // of the group
  ['reserved', 44, 4],
] as const;
export const GROUP_HEADER_BYTES = 48;
const CRC_FROM = 8;

/** name, offset, width */
export const ENTRY_FIELDS = [
  ['partition', 0, 4],
  ['recordBytes', 4, 4],
  ['seqBefore', 8, 8], // f64
  ['lastSeq', 16, 8], // f64
  ['epochs', 24, 4], // how many of the history follow
  ['reserved', 28, 4],
] as const;
export const ENTRY_HEADER_BYTES = 32;
/** epoch u32, generation u32, start seq f64 */
const EPOCH_BYTES = 16;
/** More changes of primary than this within one entry break its chain. */
export const ENTRY_EPOCHS_MAX = 4;

export interface LogOwner {
  readonly clusterId: string;
  readonly node: string;
  readonly geometry: Geometry;
}

export interface LogEntry {
  readonly partition: number;
  readonly seqBefore: number;
  readonly lastSeq: number;
  /** The newest epochs of the copy at `lastSeq`, oldest first. */
  readonly epochs: readonly HistoryEntry[];
  /** Valid as long as the group's bytes are. */
  readonly records: Buffer;
}

export interface LogGroup {
  readonly number: number;
  readonly clockMs: number;
  readonly life: number;
  readonly entries: readonly LogEntry[];
}

export function ownerWord({ clusterId, node, geometry }: LogOwner): number {
  const { partitions, chunkCount, valueMaxBytes } = geometry;
  const text = JSON.stringify([
    ...[FORMAT_VERSION, clusterId, node],
    ...[partitions, chunkCount, valueMaxBytes],
  ]);
  return crc32(text);
}

/** Puts a group together in a buffer of its own, which the next one overwrites. */
export class GroupWriter {
  #buffer: Buffer = Buffer.allocUnsafeSlow(262_144);
  #at = GROUP_HEADER_BYTES;
  #entries = 0;
  readonly #owner: number;

  constructor(owner: LogOwner) {
    this.#owner = ownerWord(owner);
  }

  begin(): void {
    this.#at = GROUP_HEADER_BYTES;
    this.#entries = 0;
  }

  get bytes(): number {
    return this.#at;
  }

  get isEmpty(): boolean {
    return this.#entries === 0;
  }

  /** Where at most `bytes` of records of the next entry may be put. Nothing counts before `add`. */
  room(bytes: number): Buffer {
    const from = this.#at + ENTRY_HEADER_BYTES + ENTRY_EPOCHS_MAX * EPOCH_BYTES;
    if (from + bytes > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.#buffer.length, from + bytes));
      this.#buffer.copy(larger, 0, 0, this.#at);
      this.#buffer = larger;
    }
    return this.#buffer.subarray(from, from + bytes);
  }

  /** The first `recordBytes` of the room are an entry's. */
  add(
    partition: number,
    seqBefore: number,
    lastSeq: number,
    epochs: readonly HistoryEntry[],
    recordBytes: number,
  ): void {
    const buffer = this.#buffer;
    const at = this.#at;
    const from = at + ENTRY_HEADER_BYTES + ENTRY_EPOCHS_MAX * EPOCH_BYTES;
    buffer.writeUInt32LE(partition, at);
    buffer.writeUInt32LE(recordBytes, at + 4);
    buffer.writeDoubleLE(seqBefore, at + 8);
    buffer.writeDoubleLE(lastSeq, at + 16);
    buffer.writeUInt32LE(epochs.length, at + 24);
    buffer.writeUInt32LE(0, at + 28);
    buffer.fill(0, at + ENTRY_HEADER_BYTES, from);
    epochs.forEach(({ epoch, generation, startSeq }, i) => {
      const word = at + ENTRY_HEADER_BYTES + i * EPOCH_BYTES;
      buffer.writeUInt32LE(epoch, word);
      buffer.writeUInt32LE(generation, word + 4);
      buffer.writeDoubleLE(startSeq, word + 8);
    });
    this.#at = from + recordBytes;
    this.#entries++;
  }

  /** The group, valid until the next `begin`. */
  end(number: number, life: number, clockMs: number): Buffer {
    const group = this.#buffer.subarray(0, this.#at);
    group.writeUInt32LE(MAGIC, 0);
    group.writeUInt32LE(LOG_VERSION, 8);
    group.writeUInt32LE(this.#owner, 12);
    group.writeDoubleLE(number, 16);
    group.writeDoubleLE(clockMs, 24);
    group.writeUInt32LE(life, 32);
    group.writeUInt32LE(this.#entries, 36);
    group.writeUInt32LE(this.#at, 40);
    group.writeUInt32LE(0, 44);
    group.writeUInt32LE(crc32(group.subarray(CRC_FROM)), 4);
    return group;
  }
}

/** It is sound, and not for this node or not for this version of it: nothing of it is to be removed. */
export class ForeignLog extends Error {}

/** The group with this number, or the rule that its bytes break. Throws ForeignLog.
 *  Magic, checksum and version are where they are in every version of the log. */
export function decodeGroup(bytes: Buffer, number: number, owner: LogOwner): LogGroup | string {
  if (bytes.length < GROUP_HEADER_BYTES) return 'it is shorter than its header';
  if (bytes.readUInt32LE(0) !== MAGIC) return 'it does not begin as a group does';
  if (crc32(bytes.subarray(CRC_FROM)) !== bytes.readUInt32LE(4)) return 'its checksum is wrong';
  const version = bytes.readUInt32LE(8);
  if (version !== LOG_VERSION) {
    throw new ForeignLog(`it has log version ${version}, this node reads ${LOG_VERSION}`);
  }
  if (bytes.readUInt32LE(12) !== ownerWord(owner)) {
    throw new ForeignLog('it is of another node, cluster, geometry or store format');
  }
  if (bytes.readUInt32LE(40) !== bytes.length) {
    return `it has ${bytes.length} of ${bytes.readUInt32LE(40)} bytes`;
  }
  if (bytes.readDoubleLE(16) !== number) {
    return `it says that it is group ${bytes.readDoubleLE(16)}`;
  }
  const entries: LogEntry[] = [];
  let at = GROUP_HEADER_BYTES;
  for (let left = bytes.readUInt32LE(36); left > 0; left--) {
    const entry = entryAt(bytes, at);
    if (typeof entry === 'string') return entry;
    entries.push(entry);
    at += ENTRY_HEADER_BYTES + ENTRY_EPOCHS_MAX * EPOCH_BYTES + entry.records.length;
  }
  if (at !== bytes.length) return 'its entries do not fill it';
  return { number, clockMs: bytes.readDoubleLE(24), life: bytes.readUInt32LE(32), entries };
}

function entryAt(bytes: Buffer, at: number): LogEntry | string {
  const from = at + ENTRY_HEADER_BYTES + ENTRY_EPOCHS_MAX * EPOCH_BYTES;
  if (from > bytes.length) return 'an entry is cut';
  const recordBytes = bytes.readUInt32LE(at + 4);
  const count = bytes.readUInt32LE(at + 24);
  if (from + recordBytes > bytes.length || recordBytes % 4 !== 0) return 'an entry is cut';
  if (count === 0 || count > ENTRY_EPOCHS_MAX) return `an entry has ${count} epochs`;
  const epochs = Array.from({ length: count }, (_, i) => {
    const word = at + ENTRY_HEADER_BYTES + i * EPOCH_BYTES;
    return {
      epoch: bytes.readUInt32LE(word),
      generation: bytes.readUInt32LE(word + 4),
      startSeq: bytes.readDoubleLE(word + 8),
    };
  });
  return {
    partition: bytes.readUInt32LE(at),
    seqBefore: bytes.readDoubleLE(at + 8),
    lastSeq: bytes.readDoubleLE(at + 16),
    epochs,
    records: bytes.subarray(from, from + recordBytes),
  };
}
