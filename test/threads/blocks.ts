/** Values that tell whether they are whole, and what they are made of: blocks of one size, each with a number of its own.
 *
 *      [u32 number, u32 bytes, filler of the number's last digit ..., u32 ~number]
 *
 *  Whoever reads bytes of two writes sees a block whose parts do not belong together. A block of zeros, what SETRANGE leaves
 *  behind the end of a value, has number 0. As the state of a key (see calls.ts) a value is the numbers of its blocks. */

export const BLOCK_BYTES_MIN = 16;
const FILLER_FROM = 8;
const FILLERS = 251;

/** Bytes of two writes in one value: no thread may ever see that. */
export class TornValue extends Error {}

/** The value with these blocks. */
export function valueOf(state: string, blockBytes: number): Buffer {
  const numbers = state === '' ? [] : state.split(',').map(Number);
  const value = Buffer.alloc(numbers.length * blockBytes);
  numbers.forEach((number, i) => {
    if (number === 0) return;
    const block = value.subarray(i * blockBytes, (i + 1) * blockBytes);
    block.fill(fillerOf(number));
    block.writeUInt32LE(number, 0);
    block.writeUInt32LE(blockBytes, 4);
    block.writeUInt32LE(~number >>> 0, blockBytes - 4);
  });
  return value;
}

/** The numbers of the value's blocks.
 *  @throws TornValue where one of them is not whole. */
export function numbersOf(value: Buffer, blockBytes: number): string {
  if (value.length % blockBytes !== 0) {
    throw new TornValue(`${value.length} bytes are no blocks of ${blockBytes}`);
  }
  const numbers: number[] = [];
  for (let at = 0; at < value.length; at += blockBytes) {
    numbers.push(numberOf(value.subarray(at, at + blockBytes)));
  }
  return numbers.join(',');
}

function numberOf(block: Buffer): number {
  const number = block.readUInt32LE(0);
  const bytes = block.readUInt32LE(4);
  const end = block.readUInt32LE(block.length - 4);
  const filler = number === 0 ? 0 : fillerOf(number);
  const isFilled =
    block[FILLER_FROM] === filler &&
    // Each byte is the next one.
    block.compare(block, FILLER_FROM + 1, block.length - 4, FILLER_FROM, block.length - 5) === 0;
  const isWhole = number === 0 ? bytes === 0 && end === 0 : end === ~number >>> 0;
  if (isFilled && isWhole && (number === 0 || bytes === block.length)) return number;
  const other = (~end >>> 0).toString();
  throw new TornValue(
    `a block of ${block.length} bytes begins as ${number} of ${bytes} bytes, ends as ${other}` +
      `, and is ${isFilled ? '' : 'not '}filled with ${filler}`,
  );
}

function fillerOf(number: number): number {
  return (number % FILLERS) + 1;
}
