/** The record of the serialization table: a quote of 64 bytes without a hole, 1,024 to a chunk.
 *
 *  Every format carries the same fields. A receiver proves that it read them by the sum of each
 *  field over all records; the truth comes from `quoteAt` alone and has been through no format.
 *  Integers stay small enough that their sums over 100 MiB are exact in a double; prices are
 *  added in the order of the records, so that their sums are equal bit by bit. */

/** name, byte offset, width; little-endian. */
export const QUOTE_FIELDS = [
  ['bid', 0, 8], // f64
  ['ask', 8, 8], // f64
  ['last', 16, 8], // f64
  ['seq', 24, 8], // u64
  ['symbol', 32, 8], // eight ASCII characters
  ['bidSize', 40, 4], // u32, as are the rest
  ['askSize', 44, 4],
  ['lastSize', 48, 4],
  ['timeMs', 52, 4], // since midnight
  ['venue', 56, 4],
  ['flags', 60, 4],
] as const;
export const QUOTE_BYTES = 64;
export const FLAGS_AT = 60;

export interface Quote {
  bid: number;
  ask: number;
  last: number;
  seq: number;
  symbol: string;
  bidSize: number;
  askSize: number;
  lastSize: number;
  timeMs: number;
  venue: number;
  flags: number;
}

/** One sum per field, in the order of `QUOTE_FIELDS`; that of `symbol` is over its characters. */
export type Sums = readonly number[];

const SEQ_FIRST = 2 ** 32 - 1000;
const SYMBOLS = Array.from({ length: 64 }, (_, i) => `INGOT${String(100 + i * 13)}`);

/** Record `i` of every batch: prices in cents that wander, as quotes do. */
export function quoteAt(i: number): Quote {
  const mixed = mix(i);
  const cents = 12_000 + (mixed & 0x3fff);
  return {
    bid: cents / 100,
    ask: (cents + 1 + (mixed & 3)) / 100,
    last: (cents + ((mixed >>> 2) & 1)) / 100,
    seq: SEQ_FIRST + i,
    symbol: SYMBOLS[(mixed >>> 16) & 63],
    bidSize: 100 * (1 + ((mixed >>> 8) & 31)),
    askSize: 100 * (1 + ((mixed >>> 13) & 31)),
    lastSize: 1 + ((mixed >>> 5) & 0x3ff),
    timeMs: 34_200_000 + (i & 0xff_ffff),
    venue: (mixed >>> 24) & 15,
    flags: mixed >>> 28,
  };
}

export function quotes(count: number): Quote[] {
  return Array.from({ length: count }, (_, i) => quoteAt(i));
}

/** What every receiver must find in message `message`, whose first record has it as its flags. */
export function trueSums(count: number): (message: number) => Sums {
  const sums = Array.from(QUOTE_FIELDS, () => 0);
  for (let i = 0; i < count; i++) {
    const quote = quoteAt(i);
    for (let field = 0; field < QUOTE_FIELDS.length; field++) {
      const value = quote[QUOTE_FIELDS[field][0]];
      sums[field] += typeof value === 'string' ? charactersOf(value) : value;
    }
  }
  const flagsAt = sums.length - 1;
  const flagsOfOthers = sums[flagsAt] - quoteAt(0).flags;
  return (message) => sums.with(flagsAt, flagsOfOthers + message);
}

function charactersOf(text: string): number {
  return Buffer.from(text).reduce((sum, byte) => sum + byte, 0);
}

/** For every format that hands out objects. */
export function sumQuotes(batch: readonly Quote[]): Sums {
  let [bid, ask, last, seq, symbol] = [0, 0, 0, 0, 0];
  let [bidSize, askSize, lastSize, timeMs, venue, flags] = [0, 0, 0, 0, 0, 0];
  for (const quote of batch) {
    bid += quote.bid;
    ask += quote.ask;
    last += quote.last;
    seq += quote.seq;
    const text = quote.symbol;
    for (let j = 0; j < text.length; j++) symbol += text.charCodeAt(j);
    bidSize += quote.bidSize;
    askSize += quote.askSize;
    lastSize += quote.lastSize;
    timeMs += quote.timeMs;
    venue += quote.venue;
    flags += quote.flags;
  }
  return [bid, ask, last, seq, symbol, bidSize, askSize, lastSize, timeMs, venue, flags];
}

/** Sum of the four bytes of a word. */
export function bytesOfWord(word: number): number {
  const pairs = (word & 0x00ff00ff) + ((word >>> 8) & 0x00ff00ff);
  return (pairs & 0xffff) + (pairs >>> 16);
}

/** Murmur3's finalizer. */
function mix(i: number): number {
  let h = Math.imul(i ^ (i >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
