/** Sizes as people write them: 64mb, 1gb. Powers of two throughout, as in Redis: 1kb is 1,024
 *  bytes. */

const UNITS: readonly (readonly [string, number])[] = [
  ['tb', 2 ** 40],
  ['gb', 2 ** 30],
  ['mb', 2 ** 20],
  ['kb', 2 ** 10],
];

/** Bytes, or NaN where `text` is no size. */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(b|kb|mb|gb|tb)?$/.exec(text.trim().toLowerCase());
  if (match === null) return Number.NaN;
  const unit = UNITS.find(([name]) => name === match[2])?.[1] ?? 1;
  return Math.round(Number(match[1]) * unit);
}

const DECIMAL_UNITS: Readonly<Record<string, number>> = { k: 1e3, m: 1e6, g: 1e9 };

/** As `parseBytes`, and units of one letter as redis.conf has them: 1k is 1,000 bytes, 1kb is 1,024. */
export function parseRedisBytes(text: string): number {
  const match = /^(\d+)([kmg])$/.exec(text.trim().toLowerCase());
  return match === null ? parseBytes(text) : Number(match[1]) * DECIMAL_UNITS[match[2]];
}

/** The shortest way to write the very same number of bytes: what parseBytes reads back. */
export function formatBytes(bytes: number): string {
  for (const [name, unit] of UNITS)
    if (bytes >= unit && bytes % unit === 0) return `${bytes / unit}${name}`;
  return String(bytes);
}

/** `12.3 MiB`, for people. */
export function mebibytes(bytes: number): string {
  return `${(bytes / 1_048_576).toFixed(1)} MiB`;
}
