/** The structured clone of V8, in two shapes: objects, and one typed array per field. The second is
 *  raw bytes by another name, turned by 90 degrees: copied once by the sender, read in place. */
import { deserialize, serialize } from 'node:v8';
import { bytesOfWord, type Quote, quotes, type Sums, sumQuotes } from '../quote.ts';
import { type Codec, Landing } from './codec.ts';

export const v8Objects: Codec = {
  name: 'v8.serialize, objects',
  shape: 'array of objects; v8.serialize, v8.deserialize',
  encoder: (count) => {
    const batch = quotes(count);
    return {
      number: (message) => {
        batch[0].flags = message;
      },
      encode: () => [serialize(batch)],
    };
  },
  decoder: () => {
    const landing = new Landing();
    return {
      target: (filled, payloadBytes) => landing.target(filled, payloadBytes),
      sum: (payloadBytes) => sumQuotes(deserialize(landing.payload(payloadBytes)) as Quote[]),
    };
  },
};

interface Columns {
  bid: Float64Array;
  ask: Float64Array;
  last: Float64Array;
  seq: Float64Array;
  /** Two words per symbol. */
  symbol: Uint32Array;
  bidSize: Uint32Array;
  askSize: Uint32Array;
  lastSize: Uint32Array;
  timeMs: Uint32Array;
  venue: Uint32Array;
  flags: Uint32Array;
}

export const v8Columns: Codec = {
  name: 'v8.serialize, columns',
  shape: 'one typed array per field; v8.serialize, v8.deserialize',
  encoder: (count) => {
    const columns = columnsOf(count);
    return {
      number: (message) => {
        columns.flags[0] = message;
      },
      encode: () => [serialize(columns)],
    };
  },
  decoder: () => {
    const landing = new Landing();
    return {
      target: (filled, payloadBytes) => landing.target(filled, payloadBytes),
      sum: (payloadBytes) => sumColumns(deserialize(landing.payload(payloadBytes)) as Columns),
    };
  },
};

function columnsOf(count: number): Columns {
  const columns: Columns = {
    bid: new Float64Array(count),
    ask: new Float64Array(count),
    last: new Float64Array(count),
    seq: new Float64Array(count),
    symbol: new Uint32Array(2 * count),
    bidSize: new Uint32Array(count),
    askSize: new Uint32Array(count),
    lastSize: new Uint32Array(count),
    timeMs: new Uint32Array(count),
    venue: new Uint32Array(count),
    flags: new Uint32Array(count),
  };
  const symbols = Buffer.from(columns.symbol.buffer);
  quotes(count).forEach((quote, i) => {
    const { symbol, ...numbers } = quote;
    symbols.write(symbol, 8 * i, 'latin1');
    for (const [name, value] of Object.entries(numbers)) {
      columns[name as keyof typeof numbers][i] = value;
    }
  });
  return columns;
}

function sumColumns(columns: Columns): Sums {
  const { bid, ask, last, seq, symbol, bidSize, askSize, lastSize, timeMs, venue, flags } = columns;
  let symbols = 0;
  for (let i = 0; i < symbol.length; i++) symbols += bytesOfWord(symbol[i]);
  return [
    sumDoubles(bid),
    sumDoubles(ask),
    sumDoubles(last),
    sumDoubles(seq),
    symbols,
    sumWords(bidSize),
    sumWords(askSize),
    sumWords(lastSize),
    sumWords(timeMs),
    sumWords(venue),
    sumWords(flags),
  ];
}

function sumDoubles(column: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < column.length; i++) sum += column[i];
  return sum;
}

function sumWords(column: Uint32Array): number {
  let sum = 0;
  for (let i = 0; i < column.length; i++) sum += column[i];
  return sum;
}
