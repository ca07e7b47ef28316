/** Redo records applied to an image by the letter of packages/store/FORMAT.md, and by nothing else: what shows that they carry
 *  the whole after-image of every mutation. */

const MUTATION = 1;
const RECORD_HEADER_BYTES = 24;
const PATCH_HEADER_BYTES = 8;
/** In the length of a patch: zeros, which are not sent. */
const ZERO_FILL = 0x8000_0000;

/** Writes what whole redo records say; CHECK markers say nothing of bytes. */
export function replay(image: Buffer, records: Buffer): void {
  for (let at = 0; at < records.length; at += records.readUInt32LE(at)) {
    if (records[at + 4] !== MUTATION) continue;
    const patchCount = records.readUInt16LE(at + 6);
    let patch = at + RECORD_HEADER_BYTES;
    for (let i = 0; i < patchCount; i++) {
      const offset = records.readUInt32LE(patch);
      const length = records.readUInt32LE(patch + 4);
      const bytes = length % ZERO_FILL;
      patch += PATCH_HEADER_BYTES;
      if (length >= ZERO_FILL) {
        image.fill(0, offset, offset + bytes);
        continue;
      }
      records.copy(image, offset, patch, patch + bytes);
      patch += bytes;
    }
  }
}
