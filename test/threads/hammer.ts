/** A thread that calls a shared map as fast as it can, on few keys and in all ways, and notes each call with its start and end
 *  from a clock that all threads share: one number more at each moment that somebody notes.
 *
 *  Every value tells whether it is whole (blocks.ts). Pinned bytes are looked at again later. What calls returned is judged
 *  by run.ts, as a history. */
import { parentPort, workerData } from 'node:worker_threads';
import { attachMap, type MapHandle, type Pin, StoreError } from '@ingot/store';
import { pickFrom, randomFrom } from '../support/random.ts';
import { TornValue } from './blocks.ts';
import type { Call, Operation, State } from './calls.ts';
import { FAULTS } from './faults.ts';
import { type Hand, type Key, KEYS, Tally, waysOf } from './ways.ts';

export interface HammerTask {
  readonly handle: MapHandle;
  readonly client: number;
  readonly seed: number;
  /** At most so many, within so many milliseconds. */
  readonly calls: number;
  readonly ms: number;
  /** Reads alone, writes alone, or both. */
  readonly does: 'all' | 'reads' | 'writes';
  /** Key to call, where not all of them. */
  readonly key: string | null;
  readonly fault: string | null;
  /** [stop, clock, threads that are still to come] */
  readonly control: Int32Array;
}

export interface HammerReport {
  readonly calls: readonly Call[];
  /** What no thread may see, or null. */
  readonly torn: string | null;
  readonly changed: string | null;
  /** Any other error. */
  readonly error: string | null;
  readonly pins: number;
  /** Calls that were refused for lack of memory, or because too much was written at once. */
  readonly refused: number;
}

/** Numbers of blocks: those of client c begin at c times this. */
const NUMBERS_PER_CLIENT = 2 ** 27;
/** Pins that are held while other calls are made. */
const PINS_HELD_MAX = 2;
/** After each call one of them is let go of, that often. */
const RELEASE_SHARE = 0.2;
/** Beside how many calls a key of noise is written, and how many keys there are of each thread. */
const NOISE_SHARE = 0.4;
const NOISE_KEYS = 800;
const NOISE_OCTAVES = 15;
const NOISE = Buffer.alloc(2 ** NOISE_OCTAVES);
const NOISES_PER_SWEEP = 50;
const SWEPT_CHUNKS = 40;
const STOP = 0;
const CLOCK = 1;
const MISSING = 2;
/** Calls between two looks at the time. */
const CALLS_PER_LOOK = 64;

interface HeldPin {
  readonly pin: Pin;
  readonly bytes: Buffer;
}

class PinnedChanged extends Error {}

class Hammer {
  readonly #task: HammerTask;
  readonly #hand: Hand;
  readonly #calls: Call[] = [];
  readonly #seen = new Map<string, State>();
  readonly #held: HeldPin[] = [];
  #next = 1;
  #pins = 0;
  #refused = 0;
  #noises = 0;

  constructor(task: HammerTask) {
    const map = attachMap(task.handle, { clock: () => 1_000 });
    this.#task = task;
    this.#hand = {
      map,
      records: map.typed(Tally),
      random: randomFrom(task.seed),
      seen: ({ name }) => this.#seen.get(name) ?? null,
      fresh: (count) => this.#fresh(count),
      hold: (pin, bytes) => this.#hold(pin, bytes),
    };
  }

  run(): HammerReport {
    const { control } = this.#task;
    const found: Record<'torn' | 'changed' | 'error', string | null> = {
      ...{ torn: null, changed: null, error: null },
    };
    this.#awaitAll();
    try {
      this.#callAway();
      while (this.#held.length > 0) this.#release();
    } catch (error) {
      const { message, stack } = error as Error;
      if (error instanceof TornValue) found.torn = message;
      else if (error instanceof PinnedChanged) found.changed = message;
      else found.error = stack ?? message;
      Atomics.store(control, STOP, 1);
    }
    return { ...found, calls: this.#calls, pins: this.#pins, refused: this.#refused };
  }

  /** They begin together. */
  #awaitAll(): void {
    const { control } = this.#task;
    Atomics.sub(control, MISSING, 1);
    Atomics.notify(control, MISSING);
    for (let left = 1; left > 0; ) {
      left = Atomics.load(control, MISSING);
      if (left > 0) Atomics.wait(control, MISSING, left);
    }
  }

  #callAway(): void {
    const { calls, ms, control } = this.#task;
    const endMs = performance.now() + ms;
    for (let i = 0; i < calls && Atomics.load(control, STOP) === 0; i++) {
      if (i % CALLS_PER_LOOK === 0 && performance.now() > endMs) return;
      this.#call();
    }
  }

  #call(): void {
    const { client, does, key: only } = this.#task;
    const { random } = this.#hand;
    const key = KEYS.find(({ name }) => name === only) ?? pickFrom<Key>(KEYS, random);
    const ways = waysOf(key).filter((way) => does === 'all' || does === way.does);
    const way = pickFrom(ways, random);
    const start = this.#tick();
    try {
      const operation = way.run(this.#hand, key);
      this.#calls.push({ client, key: key.name, operation, start, end: this.#tick() });
      this.#see(key.name, operation);
    } catch (error) {
      this.#mayRefuse(error);
    }
    if (does !== 'reads' && random() < NOISE_SHARE) this.#makeNoise();
    if (this.#held.length > 0 && random() < RELEASE_SHARE) this.#release();
  }

  /** Nothing has changed then. */
  #mayRefuse(error: unknown): void {
    const code = error instanceof StoreError ? error.code : null;
    if (code !== 'VALUE_BUSY' && code !== 'OUT_OF_MEMORY') throw error;
    this.#refused++;
  }

  /** Keys that nobody reads, of sizes that change: so that memory runs short, chunks are emptied and records move. */
  #makeNoise(): void {
    const { map, random } = this.#hand;
    const n = this.#noises++;
    const octaves = (n / NOISE_KEYS) % 2 < 1 ? NOISE_OCTAVES : NOISE_OCTAVES / 2;
    try {
      map.set(
        `noise:${this.#task.client}:${n % NOISE_KEYS}`,
        NOISE.subarray(0, 2 ** (random() * octaves)),
      );
    } catch (error) {
      this.#mayRefuse(error);
    }
    if (n % NOISES_PER_SWEEP === 0) map.sweep(SWEPT_CHUNKS);
  }

  /** What the key has after it, where that is known. */
  #see(key: string, operation: Operation): void {
    const { kind } = operation;
    if (kind === 'get' && operation.from === undefined) this.#seen.set(key, operation.result);
    if (kind === 'delete') this.#seen.set(key, null);
    if (kind === 'exchange') this.#seen.set(key, operation.value);
    if (kind === 'add' && operation.ifThere !== true) this.#seen.set(key, `${operation.result}`);
    if ((kind === 'set' || kind === 'compareAndSet') && operation.result) {
      this.#seen.set(key, operation.value);
    }
  }

  #tick(): number {
    return Atomics.add(this.#task.control, CLOCK, 1) >>> 0;
  }

  /** Numbers of new blocks. */
  #fresh(count: number): string {
    const first = this.#task.client * NUMBERS_PER_CLIENT + this.#next;
    this.#next += count;
    return Array.from({ length: count }, (_, i) => first + i).join(',');
  }

  #hold(pin: Pin, bytes: Buffer): void {
    this.#pins++;
    this.#held.push({ pin, bytes });
    if (this.#held.length > PINS_HELD_MAX) this.#release();
  }

  #release(): void {
    const held = this.#held.shift();
    if (held === undefined) return;
    const isSame = Buffer.concat([...held.pin.views]).equals(held.bytes);
    held.pin.unpin();
    if (!isSame) throw new PinnedChanged(`${held.bytes.length} bytes changed under their pin`);
  }
}

if (parentPort !== null && workerData !== null && 'control' in (workerData as object)) {
  const task = workerData as HammerTask;
  if (task.fault !== null) FAULTS[task.fault].plant();
  parentPort.postMessage(new Hammer(task).run());
}
