/** The few numbers that stand for many. */

export function median(numbers: readonly number[]): number {
  return percentile(numbers, 0.5);
}

/** Linear between the two nearest; `share` from 0 to 1. */
export function percentile(numbers: readonly number[], share: number): number {
  if (numbers.length === 0) return Number.NaN;
  const sorted = numbers.toSorted((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const below = Math.floor(at);
  const above = Math.ceil(at);
  return sorted[below] + (sorted[above] - sorted[below]) * (at - below);
}
