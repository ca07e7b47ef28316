/** mulberry32: numbers in [0, 1) that follow from the seed. */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** One of the rows, as often as its weight says. */
export function pickFrom<T extends { readonly weight: number }>(
  rows: readonly T[],
  random: () => number,
): T {
  let left = random() * rows.reduce((sum, { weight }) => sum + weight, 0);
  return rows.find(({ weight }) => (left -= weight) < 0) ?? rows[rows.length - 1];
}
