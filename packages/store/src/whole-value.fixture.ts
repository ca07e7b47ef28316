/** Values that tell whether they are whole: [u32 bytes, u32 stamp, filler of the stamp's low byte ..., u32 stamp]. Whoever
 *  reads bytes of two writes sees stamps or fillers that differ. */

export function fillValue(value: Buffer, bytes: number, stamp: number): void {
  value.fill(stamp & 0xff, 0, bytes);
  value.writeUInt32LE(bytes, 0);
  value.writeUInt32LE(stamp, 4);
  value.writeUInt32LE(stamp, bytes - 4);
}

export function isWhole(value: Buffer, bytes: number): boolean {
  if (bytes < 16 || bytes > value.length || value.readUInt32LE(0) !== bytes) return false;
  const stamp = value.readUInt32LE(4);
  if (value.readUInt32LE(bytes - 4) !== stamp) return false;
  for (let i = 8; i < bytes - 4; i++) if (value[i] !== (stamp & 0xff)) return false;
  return true;
}
