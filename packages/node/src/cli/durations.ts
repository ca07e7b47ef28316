/** Times as people write them: 90s, 1h. A bare number has no unit and is refused, but for 0. */

const UNITS: readonly (readonly [string, number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
  ['ms', 1],
];

/** Milliseconds, or NaN where `text` is no time. */
export function parseDuration(text: string): number {
  const trimmed = text.trim().toLowerCase();
  if (trimmed === '0') return 0;
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$/.exec(trimmed);
  const unit = UNITS.find(([name]) => name === match?.[2])?.[1];
  return match === null || unit === undefined ? Number.NaN : Math.round(Number(match[1]) * unit);
}

/** The shortest way to write the very same time: what parseDuration reads back. */
export function formatDuration(ms: number): string {
  for (const [name, unit] of UNITS) if (ms >= unit && ms % unit === 0) return `${ms / unit}${name}`;
  return '0';
}
