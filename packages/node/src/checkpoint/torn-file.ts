/** Whether an LMDB file is all there, looked at before LMDB maps it: what it maps and is not there ends the process.
 *  Knows of LMDB's format the two meta pages at its start: the newer one names the last page. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const PAGE_HEADER_BYTES = 24;
const META_BYTES = 136;
const MAGIC = 0xbeef_c0de;
const FLAGS_AT = 18;
const FLAG_META = 8;
const PAGE_BYTES_AT = 24;
const LAST_PAGE_AT = 120;
const TRANSACTION_AT = 128;
const PAGE_BYTES_MIN = 4_096;
const PAGE_BYTES_MAX = 65_536;

/** What is wrong with it; null where nothing is. */
export function tornFile(path: string): string | null {
  const file = openSync(path, 'r');
  try {
    const first = metaAt(file, 0);
    if (first === null) return 'it does not begin as an LMDB file does';
    if (first.pageBytes < PAGE_BYTES_MIN || first.pageBytes > PAGE_BYTES_MAX) {
      return `its pages have ${first.pageBytes} bytes`;
    }
    const second = metaAt(file, first.pageBytes);
    if (second === null) return 'its second page is no LMDB meta page';
    const newer = second.transaction > first.transaction ? second : first;
    const needs = (newer.lastPage + 1) * first.pageBytes;
    const { size } = fstatSync(file);
    return size < needs ? `it has ${size} of ${needs} bytes` : null;
  } finally {
    closeSync(file);
  }
}

function metaAt(
  file: number,
  page: number,
): { pageBytes: number; lastPage: number; transaction: number } | null {
  const bytes = Buffer.alloc(PAGE_HEADER_BYTES + META_BYTES);
  if (readSync(file, bytes, 0, bytes.length, page) < bytes.length) return null;
  const meta = bytes.subarray(PAGE_HEADER_BYTES);
  if (meta.readUInt32LE(0) !== MAGIC || bytes.readUInt16LE(FLAGS_AT) !== FLAG_META) return null;
  return {
    pageBytes: meta.readUInt32LE(PAGE_BYTES_AT),
    lastPage: Number(meta.readBigUInt64LE(LAST_PAGE_AT)),
    transaction: Number(meta.readBigUInt64LE(TRANSACTION_AT)),
  };
}
