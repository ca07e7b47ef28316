/** How many extents a value takes, and what stays in the slot: decided by sizes alone, so that every copy and every way to
 *  write a value agree. A value has extents exactly when its record would not fit one chunk without. */
import {
  CHUNK_BYTES,
  EXTENTS_MAX,
  KEY_BYTES_MAX,
  RECORD_EXTENTS,
  RECORD_STRUCT,
  STRUCT_HEADER_BYTES,
} from './layout.ts';
import { partBytesOf, partOffsetOf } from './record.ts';
import { classOfRecord } from './size-classes.ts';

export class ValuePlan {
  flags = 0;
  extentCount = 0;
  /** Bytes of the value in the slot, and where in it they begin. */
  partBytes = 0;
  partOffset = 0;
  recordBytes = 0;
  sizeClass = 0;

  /** False when no record can hold such a key and value, whatever there is of memory. */
  lay(keyBytes: number, valueBytes: number, valueBytesMax: number): boolean {
    if (keyBytes > KEY_BYTES_MAX) return false;
    if (this.#try(keyBytes, valueBytes, 0)) return true;
    const whole = Math.floor(valueBytes / CHUNK_BYTES);
    const fits =
      (whole > 0 && this.#try(keyBytes, valueBytes, whole)) ||
      this.#try(keyBytes, valueBytes, whole + 1);
    return fits && valueBytes <= valueBytesMax;
  }

  #try(keyBytes: number, valueBytes: number, extentCount: number): boolean {
    if (extentCount > EXTENTS_MAX) return false;
    this.flags = extentCount === 0 ? 0 : RECORD_EXTENTS;
    this.extentCount = extentCount;
    this.partBytes = partBytesOf(valueBytes, extentCount);
    this.partOffset = partOffsetOf(keyBytes, this.flags, extentCount);
    this.recordBytes = this.partOffset + this.partBytes;
    if (this.recordBytes > CHUNK_BYTES) return false;
    this.sizeClass = classOfRecord(this.recordBytes);
    return true;
  }
}

/** The longest value that a key of this length may have: `lay` says yes up to there. */
export function valueBytesMaxOf(keyBytes: number, valueBytesMax: number): number {
  if (keyBytes > KEY_BYTES_MAX) return 0;
  const beside = CHUNK_BYTES - partOffsetOf(keyBytes, 0, 0);
  const forList = CHUNK_BYTES - partOffsetOf(keyBytes, RECORD_STRUCT, 0) + STRUCT_HEADER_BYTES;
  const extentsMax = Math.min((forList - 4) >> 2, EXTENTS_MAX);
  return extentsMax < 1 ? beside : Math.min(valueBytesMax, extentsMax * CHUNK_BYTES);
}
