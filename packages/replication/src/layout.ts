/** Layout tables: where every field of a frame lies, declared once as [name, offset, width] rows.
 *
 *  `defineLayout` asserts at load that the rows follow each other without overlap, lie on their natural
 *  boundaries and leave no byte unaccounted for. Code that encodes uses the offsets it returns, so a
 *  table and its code cannot drift apart. */
import { invariant } from '@ingot/store';

export type LayoutRow = readonly [name: string, offset: number, widthBytes: number];

/** Byte offset by field name. */
export type Offsets<Rows extends readonly LayoutRow[]> = {
  readonly [Row in Rows[number] as Row[0]]: number;
};

/** Checks the table against its total and returns offsets by name. */
export function defineLayout<const Rows extends readonly LayoutRow[]>(
  rows: Rows,
  totalBytes: number,
): Offsets<Rows> {
  const offsets: Record<string, number> = {};
  let end = 0;
  for (const [name, offset, widthBytes] of rows) {
    invariant(offset === end, `${name} starts where the row before it ends`);
    invariant(offset % Math.min(widthBytes, 8) === 0, `${name} is naturally aligned`);
    offsets[name] = offset;
    end = offset + widthBytes;
  }
  invariant(end === totalBytes, 'the rows fill their container');
  return offsets as Offsets<Rows>;
}

/** u64 below 2^53. */
export function readU64(bytes: Buffer, offset: number): number {
  return bytes.readUInt32LE(offset) + bytes.readUInt32LE(offset + 4) * 4_294_967_296;
}

export function writeU64(bytes: Buffer, offset: number, value: number): void {
  bytes.writeUInt32LE(value % 4_294_967_296, offset);
  bytes.writeUInt32LE(Math.floor(value / 4_294_967_296), offset + 4);
}
