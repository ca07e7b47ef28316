/** What is asked of the caches that are compared: shapes of requests, each the same again from the same seed.
 *
 *  A trace knows what memory holds (`capacityBytes`), as its keys are ten times that many bytes. A key's value has the
 *  same size whenever it is set. */
import { logUniform, randomFrom, zipf } from '../memory/mix.ts';

export const KEY_BYTES = 16;
const KEYS_TO_MEMORY = 10;

export interface Trace {
  readonly length: number;
  readonly keys: Int32Array;
  readonly valueBytes: Int32Array;
  /** 1 = a hit or a miss of it counts. Those of scans miss by design, those before memory is full have to. */
  readonly counted: Uint8Array;
}

export interface Shape {
  readonly name: string;
  readonly doc: string;
  trace(capacityBytes: number, requests: number, seed: number): Trace;
}

class Recorder implements Trace {
  length = 0;
  keys: Int32Array = new Int32Array(1 << 20);
  valueBytes: Int32Array = new Int32Array(1 << 20);
  counted: Uint8Array = new Uint8Array(1 << 20);

  ask(key: number, valueBytes: number, counted: boolean): void {
    const at = this.length++;
    if (at === this.keys.length) this.#grow();
    this.keys[at] = key;
    this.valueBytes[at] = valueBytes;
    this.counted[at] = counted ? 1 : 0;
  }

  #grow(): void {
    const { keys, valueBytes, counted } = this;
    this.keys = new Int32Array(2 * keys.length);
    this.keys.set(keys);
    this.valueBytes = new Int32Array(2 * keys.length);
    this.valueBytes.set(valueBytes);
    this.counted = new Uint8Array(2 * keys.length);
    this.counted.set(counted);
  }
}

/** A size per key: the n-th number of a sequence of its own, whatever is asked in what order. */
function sizeOf(key: number, seed: number, least: number, most: number): number {
  return logUniform(randomFrom(key * 7_919 + seed), least, most);
}

function keysOf(capacityBytes: number, valueBytes: number): number {
  return Math.floor((KEYS_TO_MEMORY * capacityBytes) / (valueBytes + KEY_BYTES));
}

/** Of sizes from `least` to `most`, each octave as likely. */
function meanOf(least: number, most: number): number {
  return (most - least) / Math.log(most / least);
}

function scans(capacityBytes: number, requests: number, seed: number): Trace {
  const valueBytes = 256;
  const scanEvery = requests / 15;
  const keys = keysOf(capacityBytes, valueBytes);
  const next = zipf(randomFrom(seed), keys, 0.9);
  const trace = new Recorder();
  let scanned = keys;
  for (let i = 1; i <= requests; i++) {
    trace.ask(next(), valueBytes, i > requests / 3);
    if (i % scanEvery >= 1) continue;
    for (let left = keys / KEYS_TO_MEMORY / 2; left > 0; left--) {
      trace.ask(scanned++, valueBytes, false);
    }
  }
  return trace;
}

function shifts(capacityBytes: number, requests: number, seed: number): Trace {
  const sizes = [100, 2_000, 400, 1_000, 200];
  const trace = new Recorder();
  let firstKey = 0;
  for (const valueBytes of sizes) {
    const keys = keysOf(capacityBytes, valueBytes);
    const next = zipf(randomFrom(seed + valueBytes), keys, 0.9);
    for (let i = 0; i < requests / sizes.length; i++) {
      trace.ask(firstKey + next(), valueBytes, true);
    }
    firstKey += keys;
  }
  return trace;
}

function drifting(capacityBytes: number, requests: number, seed: number): Trace {
  const random = randomFrom(seed);
  const populations = [
    { least: 50, most: 400 },
    { least: 400, most: 4_000 },
  ].map(({ least, most }) => {
    const keys = keysOf(capacityBytes, meanOf(least, most)) >>> 1;
    return { least, most, keys, next: zipf(random, keys, 0.9) };
  });
  const trace = new Recorder();
  for (let i = 0; i < requests; i++) {
    // One in ten is large, then nine, then one again, four times over.
    const largeShare = 0.5 - 0.4 * Math.cos((8 * Math.PI * i) / requests);
    const isLarge = random() < largeShare ? 1 : 0;
    const { least, most, next } = populations[isLarge];
    const key = 2 * next() + isLarge;
    trace.ask(key, sizeOf(key, seed, least, most), i > requests / 8);
  }
  return trace;
}

function steady(exponent: number) {
  return (capacityBytes: number, requests: number, seed: number): Trace => {
    const keys = keysOf(capacityBytes, meanOf(10, 2_000));
    const next = zipf(randomFrom(seed), keys, exponent);
    const trace = new Recorder();
    for (let i = 0; i < requests; i++) {
      const key = next();
      trace.ask(key, sizeOf(key, seed, 10, 2_000), i > requests / 3);
    }
    return trace;
  };
}

function loop(capacityBytes: number, requests: number, seed: number): Trace {
  const valueBytes = 500;
  const keys = keysOf(capacityBytes, valueBytes);
  const random = randomFrom(seed);
  const next = zipf(random, keys, 0.9);
  const looped = (1.2 * keys) / KEYS_TO_MEMORY;
  const trace = new Recorder();
  for (let i = 0, at = 0; i < requests; i++) {
    const inLoop = random() < 0.7;
    if (inLoop) at = (at + 1) % looped;
    trace.ask(inLoop ? keys + Math.floor(at) : next(), valueBytes, i > requests / 3);
  }
  return trace;
}

function churn(capacityBytes: number, requests: number, seed: number): Trace {
  const valueBytes = 256;
  const keys = keysOf(capacityBytes, valueBytes);
  const next = zipf(randomFrom(seed), keys, 0.9);
  const trace = new Recorder();
  // As many keys as memory holds are replaced by others in the run, the most popular first.
  const perRequest = keys / KEYS_TO_MEMORY / requests;
  for (let i = 0; i < requests; i++) {
    trace.ask(Math.floor(i * perRequest) + next(), valueBytes, i > requests / 3);
  }
  return trace;
}

export const SHAPES: readonly Shape[] = [
  { name: 'scans', doc: 'zipf 0.9, 256 B, with scans of keys asked for once', trace: scans },
  { name: 'shifts', doc: 'zipf 0.9, of 100, 2,000, 400, 1,000, then 200 B', trace: shifts },
  {
    name: 'drifting',
    doc: 'zipf 0.9, mostly 50 to 400 B, then mostly 400 to 4,000',
    trace: drifting,
  },
  { name: 'steady 0.9', doc: 'zipf 0.9, 10 to 2,000 B', trace: steady(0.9) },
  { name: 'steady 0.99', doc: 'zipf 0.99, 10 to 2,000 B', trace: steady(0.99) },
  { name: 'loop', doc: '500 B, 70 % a loop over 1.2 times the memory, 30 % zipf 0.9', trace: loop },
  { name: 'churn', doc: 'zipf 0.9, 256 B, the popular keys replaced all the while', trace: churn },
];
