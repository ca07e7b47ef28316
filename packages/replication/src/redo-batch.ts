/** Reads a run of redo records without applying it: where whole transactions end, what the last record is.
 *
 *  The records are the store's (packages/store/FORMAT.md); they travel as they lie in the ring.
 *  The sender reads its own ring this way, the follower what came off the wire: every length is checked before it is
 *  followed. What a patch may touch is for the store, which validates a batch again before it applies a byte. */
import {
  REDO_HEADER_BYTES,
  REDO_MUTATION,
  REDO_RECORD_BYTES_MAX,
  REDO_TXN_END,
} from '@ingot/store';
import { readU64 } from './layout.ts';

export interface RedoBatch {
  /** Of the last record. */
  readonly lastSeq: number;
  readonly lastGeneration: number;
  /** End of the last whole transaction, 0 where there is none; seq and generation there. */
  readonly wholeEnd: number;
  readonly wholeSeq: number;
  readonly wholeGeneration: number;
}

/** Walks records that follow `seqBefore`. Returns the rule they break, if any. */
export function scanRedo(records: Buffer, seqBefore: number): RedoBatch | string {
  let lastSeq = seqBefore;
  let lastGeneration = 0;
  let whole = { wholeEnd: 0, wholeSeq: seqBefore, wholeGeneration: 0 };
  for (let at = 0; at < records.length; ) {
    if (records.length - at < REDO_HEADER_BYTES) return 'a redo record holds its header';
    const totalBytes = records.readUInt32LE(at);
    if (
      totalBytes < REDO_HEADER_BYTES ||
      totalBytes > REDO_RECORD_BYTES_MAX ||
      totalBytes % 4 !== 0
    ) {
      return 'a redo record has a sane length';
    }
    if (totalBytes > records.length - at) return 'a REDO frame carries whole records';
    const expectedSeq = records[at + 4] === REDO_MUTATION ? lastSeq + 1 : lastSeq;
    const seq = readU64(records, at + 8);
    if (seq !== expectedSeq) return `redo is contiguous: ${seq} came where ${expectedSeq} is due`;
    lastSeq = seq;
    lastGeneration = records.readUInt32LE(at + 16);
    const txnEnd = (records[at + 5] & REDO_TXN_END) !== 0;
    at += totalBytes;
    if (txnEnd) whole = { wholeEnd: at, wholeSeq: lastSeq, wholeGeneration: lastGeneration };
  }
  return { lastSeq, lastGeneration, ...whole };
}
