/** A shorter stream of bytes that still fails: delta debugging, so many tries at most. */
import { Buffer } from 'node:buffer';

export async function minimal(
  bytes: Buffer,
  fails: (bytes: Buffer) => boolean | Promise<boolean>,
  triesMax = 2_000,
): Promise<Buffer> {
  let best = bytes;
  let tries = 0;
  for (
    let size = Math.ceil(best.length / 2);
    size >= 1;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  ) {
    for (let at = 0; at < best.length && tries < triesMax; ) {
      const shorter = Buffer.concat([best.subarray(0, at), best.subarray(at + size)]);
      tries++;
      if (await fails(shorter)) best = shorter;
      else at += size;
    }
  }
  return best;
}

const SHOWN_BYTES = 2_000;

/** As it would stand in the table of vectors. */
export function vectorText(bytes: Buffer): string {
  const shown = bytes.subarray(0, SHOWN_BYTES).toString('latin1');
  const text = JSON.stringify(shown)
    .replace(/[\x7f-\xff]/g, escaped)
    .replaceAll('\\u00', '\\x');
  const more = bytes.length > SHOWN_BYTES ? ` + ${bytes.length - SHOWN_BYTES} more bytes` : '';
  return `'a finding': { text: ${text}${more} },`;
}

function escaped(character: string): string {
  return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
}
