/** Cap'n Proto through capnp-es: a message with one list of structs in one segment, in two ways.
 *
 *  With the accessors that capnp-es generates, and by offset: the list's own description says where
 *  its first struct is and how far they are apart, and a loop reads and writes the segment there.
 *  The first is what the documentation shows; the second is what one ends up with when it is too
 *  slow.
 *
 *  A segment gets its final size at once, by the list's, so that it is never moved. It leaves
 *  and lands as it is, the eight bytes of stream header beside it. The traversal limit, which
 *  guards against hostile messages and counts every pointer object, is lifted: these peers know
 *  each other. `seq` and `symbol` go as two words each: 64-bit accessors make a BigInt. The
 *  schema is quote.capnp. gen/ was made of it by `capnp-es quote.capnp -ojs,dts`, in a folder
 *  with TypeScript 5 beside capnp-es and with Debian's capnproto. */
import { Message, utils } from 'capnp-es';
import { Batch, Quote as QuoteStruct } from '../gen/quote.js';
import { bytesOfWord, type Quote, quotes, type Sums } from '../quote.ts';
import type { Codec, Decoder, Encoder } from './codec.ts';

const HEADER_BYTES = 8;
const WORD_BYTES = 8;
const TWO_TO_32 = 4_294_967_296;

/** Where capnp-es has put the fields: the offsets in gen/quote.js. */
const AT = {
  bid: 0,
  ask: 8,
  last: 16,
  seq: 24,
  symbol: 32,
  bidSize: 40,
  askSize: 44,
  lastSize: 48,
  timeMs: 52,
  venue: 56,
  flags: 60,
} as const;

type QuoteList = Batch['quotes'];
type Fill = (list: QuoteList, batch: readonly Quote[], symbols: Uint32Array) => void;

export const capnp: Codec = {
  name: "Cap'n Proto",
  shape: 'List(Quote) in one segment; the accessors that capnp-es generates',
  encoder: (count) => encoderWith(count, fillByAccessor),
  decoder: () => new SegmentDecoder(sumByAccessor),
};

export const capnpByOffset: Codec = {
  name: "Cap'n Proto, by offset",
  shape: 'the same message; segment.getFloat64 and the like at computed offsets',
  encoder: (count) => encoderWith(count, fillByOffset),
  decoder: () => new SegmentDecoder(sumByOffset),
};

function encoderWith(count: number, fill: Fill): Encoder {
  const batch = quotes(count);
  // Two words per symbol, as a program that speaks Cap'n Proto would keep them.
  const symbols = new Uint32Array(2 * count);
  const text = Buffer.from(symbols.buffer);
  batch.forEach(({ symbol }, i) => text.write(symbol, 8 * i, 'latin1'));
  return {
    number: (message) => {
      batch[0].flags = message;
    },
    encode: () => {
      const message = unlimited(new Message());
      fill(message.initRoot(Batch)._initQuotes(count), batch, symbols);
      const segment = message.getSegment(0);
      const header = Buffer.alloc(HEADER_BYTES);
      header.writeUInt32LE(segment.byteLength / WORD_BYTES, 4);
      return [header, Buffer.from(segment.buffer, 0, segment.byteLength)];
    },
  };
}

/** Lands a segment in an ArrayBuffer of its own, which capnp-es then reads in place. */
class SegmentDecoder implements Decoder {
  readonly #header: Buffer = Buffer.alloc(HEADER_BYTES);
  readonly #sumList: (list: QuoteList) => Sums;
  #segment: Buffer = Buffer.alloc(0);

  constructor(sumList: (list: QuoteList) => Sums) {
    this.#sumList = sumList;
  }

  target(filled: number, payloadBytes: number): Buffer {
    if (filled < HEADER_BYTES) return this.#header.subarray(filled);
    const segmentBytes = payloadBytes - HEADER_BYTES;
    if (this.#segment.length !== segmentBytes) {
      this.#segment = Buffer.from(new ArrayBuffer(segmentBytes));
    }
    return this.#segment.subarray(filled - HEADER_BYTES);
  }

  sum(): Sums {
    const segments = this.#header.readUInt32LE(0) + 1;
    const segmentBytes = this.#header.readUInt32LE(4) * WORD_BYTES;
    if (segments !== 1 || segmentBytes !== this.#segment.length) throw new Error('one segment');
    const message = new Message(this.#segment.buffer as ArrayBuffer, false, true);
    return this.#sumList(unlimited(message).getRoot(Batch).quotes);
  }
}

function unlimited(message: Message): Message {
  message._capnp.traversalLimit = Number.POSITIVE_INFINITY;
  return message;
}

/** A list is a Proxy, which is slow to ask: this makes the structs that `list.get` would. */
function structsOf(list: QuoteList): (i: number) => QuoteStruct {
  const { segment, byteOffset } = list;
  const depthLimit = list._capnp.depthLimit - 1;
  return (i) => new QuoteStruct(segment, byteOffset, depthLimit, i);
}

function fillByAccessor(list: QuoteList, batch: readonly Quote[], symbols: Uint32Array): void {
  const structOf = structsOf(list);
  for (let i = 0; i < batch.length; i++) {
    const from = batch[i];
    const quote = structOf(i);
    quote.bid = from.bid;
    quote.ask = from.ask;
    quote.last = from.last;
    utils.setUint32(AT.seq, from.seq, quote);
    utils.setUint32(AT.seq + 4, from.seq / TWO_TO_32, quote);
    utils.setUint32(AT.symbol, symbols[2 * i], quote);
    utils.setUint32(AT.symbol + 4, symbols[2 * i + 1], quote);
    quote.bidSize = from.bidSize;
    quote.askSize = from.askSize;
    quote.lastSize = from.lastSize;
    quote.timeMs = from.timeMs;
    quote.venue = from.venue;
    quote.flags = from.flags;
  }
}

function sumByAccessor(list: QuoteList): Sums {
  const structOf = structsOf(list);
  const { length } = list;
  let [bid, ask, last, seq, symbol] = [0, 0, 0, 0, 0];
  let [bidSize, askSize, lastSize, timeMs, venue, flags] = [0, 0, 0, 0, 0, 0];
  for (let i = 0; i < length; i++) {
    const quote = structOf(i);
    bid += quote.bid;
    ask += quote.ask;
    last += quote.last;
    seq += utils.getUint32(AT.seq, quote) + utils.getUint32(AT.seq + 4, quote) * TWO_TO_32;
    symbol += bytesOfWord(utils.getUint32(AT.symbol, quote));
    symbol += bytesOfWord(utils.getUint32(AT.symbol + 4, quote));
    bidSize += quote.bidSize;
    askSize += quote.askSize;
    lastSize += quote.lastSize;
    timeMs += quote.timeMs;
    venue += quote.venue;
    flags += quote.flags;
  }
  return [bid, ask, last, seq, symbol, bidSize, askSize, lastSize, timeMs, venue, flags];
}

/** Where the first struct of a list is and how far they are apart, as the message says. */
function placeOf(list: QuoteList): { segment: QuoteList['segment']; first: number; step: number } {
  const { segment, byteOffset } = utils.getContent(list);
  const { dataByteLength, pointerLength } = utils.getTargetCompositeListSize(list);
  return { segment, first: byteOffset, step: dataByteLength + WORD_BYTES * pointerLength };
}

function fillByOffset(list: QuoteList, batch: readonly Quote[], symbols: Uint32Array): void {
  const { segment, first, step } = placeOf(list);
  for (let i = 0, at = first; i < batch.length; i++, at += step) {
    const from = batch[i];
    segment.setFloat64(at + AT.bid, from.bid);
    segment.setFloat64(at + AT.ask, from.ask);
    segment.setFloat64(at + AT.last, from.last);
    segment.setUint32(at + AT.seq, from.seq);
    segment.setUint32(at + AT.seq + 4, from.seq / TWO_TO_32);
    segment.setUint32(at + AT.symbol, symbols[2 * i]);
    segment.setUint32(at + AT.symbol + 4, symbols[2 * i + 1]);
    segment.setUint32(at + AT.bidSize, from.bidSize);
    segment.setUint32(at + AT.askSize, from.askSize);
    segment.setUint32(at + AT.lastSize, from.lastSize);
    segment.setUint32(at + AT.timeMs, from.timeMs);
    segment.setUint32(at + AT.venue, from.venue);
    segment.setUint32(at + AT.flags, from.flags);
  }
}

function sumByOffset(list: QuoteList): Sums {
  const { segment, first, step } = placeOf(list);
  let [bid, ask, last, seq, symbol] = [0, 0, 0, 0, 0];
  let [bidSize, askSize, lastSize, timeMs, venue, flags] = [0, 0, 0, 0, 0, 0];
  for (let at = first, end = first + step * list.length; at < end; at += step) {
    bid += segment.getFloat64(at + AT.bid);
    ask += segment.getFloat64(at + AT.ask);
    last += segment.getFloat64(at + AT.last);
    seq += segment.getUint32(at + AT.seq) + segment.getUint32(at + AT.seq + 4) * TWO_TO_32;
    symbol += bytesOfWord(segment.getUint32(at + AT.symbol));
    symbol += bytesOfWord(segment.getUint32(at + AT.symbol + 4));
    bidSize += segment.getUint32(at + AT.bidSize);
    askSize += segment.getUint32(at + AT.askSize);
    lastSize += segment.getUint32(at + AT.lastSize);
    timeMs += segment.getUint32(at + AT.timeMs);
    venue += segment.getUint32(at + AT.venue);
    flags += segment.getUint32(at + AT.flags);
  }
  return [bid, ask, last, seq, symbol, bidSize, askSize, lastSize, timeMs, venue, flags];
}
