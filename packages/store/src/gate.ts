/** The gate: lock for writers and sequence lock for readers in one word per partition.
 *
 *  Even = free, odd = a writer is inside. A writer's way through is a passage: CAS even -> odd, mutate, store
 *  the next even number; two atomic operations of 5 to 10 ns each in V8, which is all the locking a
 *  write pays. A reader takes no lock: it notes an even gate, reads, and reads again if the gate moved.
 *
 *  Ordering: on x86-64 the two atomics suffice. Elsewhere a writer's plain stores may pass its CAS, so the writer
 *  loads the gate once more after it; and a reader's plain loads may sink below the closing load, so the reader
 *  stores to a word of its own before it looks again. `STRONG_ORDER` below decides which.
 *
 *  Invariant: a thread that is inside never waits, never throws, never enters the same gate twice. */
import { arch } from 'node:process';
import { StoreError } from './errors.ts';
import * as layout from './layout.ts';

// V8 folds the constants of a module itself; imported ones are loaded and checked at each use.
const { SCRATCH_GATE_WORD } = layout;

const STRONG_ORDER = arch === 'x64' || arch === 'ia32';
const SPINS_BEFORE_WAIT = 200;
/** A passage lasts microseconds; a waiter that missed its end looks again after this. */
const WAIT_MS = 1;
/** A gate that stands still for so many waits, a minute or more, has lost the thread that is inside. Waits are counted, not
 *  time: a process that was stopped meanwhile has not waited. */
export const STILL_WAITS_MAX = 60_000;
/** After so many torn reads a reader goes through the gate itself. */
export const TORN_READS_MAX = 64;

const pause: () => void = (Atomics as unknown as { pause?: () => void }).pause ?? ((): void => {});
/** This thread's own word, for ordering stores; shared so that the store is a real one. */
const fence = new Int32Array(new SharedArrayBuffer(4));

/** What stands before is done before what stands after, on processors that would mix them. On x86-64 plain
 *  loads keep their order and so do plain stores; the atomic load then only holds the compiler. */
export function orderAccesses(): void {
  if (!STRONG_ORDER) Atomics.store(fence, 0, 0);
  Atomics.load(fence, 0);
}

/** @throws StoreError GATE_STUCK */
export function enterGate(words: Int32Array): void {
  // A plain load will do: an older gate than the newest only makes the exchange fail.
  const gate = words[SCRATCH_GATE_WORD];
  if (
    (gate & 1) !== 0 ||
    Atomics.compareExchange(words, SCRATCH_GATE_WORD, gate, gate + 1) !== gate
  ) {
    enterContended(words);
  }
  if (!STRONG_ORDER) Atomics.load(words, SCRATCH_GATE_WORD);
}

function enterContended(words: Int32Array): void {
  for (;;) {
    const gate = awaitEven(words);
    if (Atomics.compareExchange(words, SCRATCH_GATE_WORD, gate, gate + 1) === gate) return;
  }
}

/** The first even gate from now on. */
function awaitEven(words: Int32Array): number {
  let gate = Atomics.load(words, SCRATCH_GATE_WORD);
  let stillWaits = 0;
  for (let spins = 0; (gate & 1) !== 0; spins++) {
    if (spins < SPINS_BEFORE_WAIT) pause();
    else {
      Atomics.wait(words, SCRATCH_GATE_WORD, gate, WAIT_MS);
      if (++stillWaits > STILL_WAITS_MAX) throw new StoreError('GATE_STUCK');
    }
    const next = Atomics.load(words, SCRATCH_GATE_WORD);
    if (next !== gate) stillWaits = 0;
    gate = next;
  }
  return gate;
}

export function leaveGate(words: Int32Array): void {
  Atomics.store(words, SCRATCH_GATE_WORD, words[SCRATCH_GATE_WORD] + 1);
}

/** The even gate under which a read begins; waits while a writer is inside. Where loads keep their order a plain one will
 *  do: an older gate than the newest only makes a reader read again, and no loop depends on seeing a newer one.
 *  @throws StoreError GATE_STUCK */
export function beginRead(words: Int32Array): number {
  const gate = STRONG_ORDER ? words[SCRATCH_GATE_WORD] : Atomics.load(words, SCRATCH_GATE_WORD);
  return (gate & 1) === 0 ? gate : awaitEven(words);
}

/** The even gate, or -1 when a writer is inside: for those who must not wait. */
export function tryBeginRead(words: Int32Array): number {
  const gate = Atomics.load(words, SCRATCH_GATE_WORD);
  return (gate & 1) === 0 ? gate : -1;
}

/** Whether nothing changed since `token`; false means: read again. */
export function endRead(words: Int32Array, token: number): boolean {
  if (!STRONG_ORDER) Atomics.store(fence, 0, token);
  return Atomics.load(words, SCRATCH_GATE_WORD) === token;
}
