/** Redis' glob patterns over bytes: `*` `?` `[a-z]` `[^a]` and `\` as the escape.
 *  Pure. Matches what `stringmatch` of Redis matches; the star backtracks to itself only, so the
 *  work is bounded by pattern bytes x key bytes and no input can make it recurse. */

const STAR = 0x2a;
const QUESTION = 0x3f;
const OPEN = 0x5b;
const CLOSE = 0x5d;
const CARET = 0x5e;
const DASH = 0x2d;
const BACKSLASH = 0x5c;

/** Whether `pattern` matches the whole of `bytes` bytes of `text` from `start`. */
export function globMatches(
  pattern: Uint8Array,
  text: Uint8Array,
  start: number,
  bytes: number,
): boolean {
  const end = start + bytes;
  let p = 0;
  let at = start;
  let starPattern = -1;
  let starAt = 0;
  while (at < end) {
    if (pattern[p] === STAR) {
      starPattern = ++p;
      starAt = at;
      continue;
    }
    const next = p < pattern.length ? matchOne(pattern, p, text[at]) : -1;
    if (next >= 0) {
      p = next;
      at++;
    } else if (starPattern >= 0) {
      p = starPattern;
      at = ++starAt;
    } else {
      return false;
    }
  }
  while (pattern[p] === STAR) p++;
  return p === pattern.length;
}

/** Matches one byte against the element at `p`; returns where the next element begins, or -1. */
function matchOne(pattern: Uint8Array, p: number, byte: number): number {
  switch (pattern[p]) {
    case QUESTION:
      return p + 1;
    case OPEN:
      return matchClass(pattern, p + 1, byte);
    case BACKSLASH: {
      const literal = p + 1 < pattern.length ? p + 1 : p;
      return pattern[literal] === byte ? literal + 1 : -1;
    }
    default:
      return pattern[p] === byte ? p + 1 : -1;
  }
}

/** Matches one byte against a `[...]` class whose inside begins at `p`. An unclosed class ends
 *  with the pattern, as in Redis. */
function matchClass(pattern: Uint8Array, p: number, byte: number): number {
  const negated = pattern[p] === CARET;
  if (negated) p++;
  let hit = false;
  while (p < pattern.length && pattern[p] !== CLOSE) {
    if (pattern[p] === BACKSLASH && p + 1 < pattern.length) {
      hit ||= pattern[p + 1] === byte;
      p += 2;
    } else if (pattern[p + 1] === DASH && p + 2 < pattern.length) {
      const low = Math.min(pattern[p], pattern[p + 2]);
      const high = Math.max(pattern[p], pattern[p + 2]);
      hit ||= byte >= low && byte <= high;
      p += 3;
    } else {
      hit ||= pattern[p] === byte;
      p++;
    }
  }
  if (hit === negated) return -1;
  return Math.min(p + 1, pattern.length);
}
