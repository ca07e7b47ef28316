/** The clock of commands that run to an end: for rates, progress, and what has expired. */

/** Unix ms. */
export function unixMs(): number {
  return Date.now();
}
