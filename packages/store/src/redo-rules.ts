/** What redo off the wire must hold before any byte of it is applied: every length and offset is checked here, so that
 *  applying cannot fail. Knows the format (FORMAT.md), and nothing of the copy but its geometry. */
import type { Geometry } from './geometry.ts';
import {
  CHUNK_BYTES,
  CHUNK_MASK,
  PATCH_HEADER_BYTES,
  PATCH_ZERO_FILL,
  REDO_CHECK,
  REDO_CHECK_BYTES,
  REDO_HEADER_BYTES,
  REDO_MUTATION,
  REDO_RECORD_BYTES_MAX,
  REDO_REPAIR,
  REDO_TXN_END,
} from './layout.ts';

/** The rule that a run of records breaks, or null: whole records, whole transactions, from `dueSeq` on, patches
 *  inside the image. */
export function brokenRedo(words: Int32Array, dueSeq: number, geometry: Geometry): string | null {
  let expectedSeq = dueSeq;
  let complete = false;
  for (let at = 0; at < words.length; ) {
    if (at + REDO_HEADER_BYTES / 4 > words.length) return 'redo: a record is cut';
    const totalBytes = words[at];
    const kind = words[at + 1] & 0xff;
    const isWhole = at + (totalBytes >>> 2) <= words.length;
    if (totalBytes < REDO_HEADER_BYTES || totalBytes > REDO_RECORD_BYTES_MAX) {
      return `redo: a record of ${totalBytes} bytes`;
    }
    if ((totalBytes & 3) !== 0 || !isWhole) return 'redo: a record is cut';
    const seq = (words[at + 2] >>> 0) + words[at + 3] * 4_294_967_296;
    if (kind === REDO_MUTATION) {
      if (seq !== expectedSeq) return `redo: seq ${seq} where ${expectedSeq} is due`;
      expectedSeq++;
      const broken =
        brokenPatches(words, at, totalBytes >>> 2, geometry) ?? brokenRepair(words, at);
      if (broken !== null) return broken;
    } else if (kind === REDO_CHECK) {
      if (seq !== expectedSeq - 1 || totalBytes !== REDO_CHECK_BYTES)
        return 'redo: CHECK out of order';
      const chunk = words[at + REDO_HEADER_BYTES / 4];
      if (chunk < 0 || chunk >= geometry.chunkCount) return `redo: CHECK of ${chunk}`;
    } else return `redo: kind ${kind}`;
    complete = ((words[at + 1] >>> 8) & REDO_TXN_END) !== 0;
    at += totalBytes >>> 2;
  }
  return complete ? null : 'redo: the transaction has no end';
}

function brokenPatches(
  words: Int32Array,
  record: number,
  recordWords: number,
  geometry: Geometry,
): string | null {
  const patchCount = words[record + 1] >>> 16;
  let at = record + REDO_HEADER_BYTES / 4;
  const end = record + recordWords;
  for (let i = 0; i < patchCount; i++) {
    if (at + 2 > end) return 'redo: a patch is cut';
    const offset = words[at];
    const length = words[at + 1];
    const bytes = length & ~PATCH_ZERO_FILL;
    if (offset < 0 || ((offset | bytes) & 3) !== 0 || bytes === 0)
      return 'redo: a patch is misaligned';
    if (bytes > geometry.imageBytes - offset) return 'redo: a patch is out of range';
    at += PATCH_HEADER_BYTES / 4 + (length > 0 ? bytes >>> 2 : 0);
  }
  return at === end ? null : 'redo: patches do not fill their record';
}

/** A repair is written as it is, untracked: it must be a whole chunk, and nothing else. */
function brokenRepair(words: Int32Array, record: number): string | null {
  if (!isRepair(words, record)) return null;
  const patch = record + REDO_HEADER_BYTES / 4;
  const isWholeChunk =
    words[record + 1] >>> 16 === 1 &&
    (words[patch] & CHUNK_MASK) === 0 &&
    words[patch + 1] === CHUNK_BYTES;
  return isWholeChunk ? null : 'redo: a repair is one whole chunk';
}

/** Whether the mutation record that begins at this word is a repair. */
export function isRepair(words: Int32Array, record: number): boolean {
  return ((words[record + 1] >>> 8) & REDO_REPAIR) !== 0;
}
