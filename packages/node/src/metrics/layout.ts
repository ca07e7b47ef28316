/** Counters of one data worker, in shared memory: a fixed block of f64 words.
 *
 *  Writer: the worker that owns the block, with plain stores (one writer, so nothing is lost).
 *  Reader: the main thread, which sums the blocks of all workers when it is scraped. Words are
 *  8-byte aligned, so a reader sees an old or a new value, never half of one.
 *
 *  Block = counter rows, then one command row per position in the command table:
 *  calls, errors, seconds (sum), then one word per histogram bucket.
 *  Invariant: of one command row, calls = the sum of its buckets.
 *
 *  What counts as a call: a command is counted where it is executed, once, as itself. A node that
 *  forwards it counts `forwarded` only; a queued command is counted when EXEC runs it. */

/** Counter rows: name -> word index. Gauges go up and down, the others only up. */
export const Counter = {
  /** gauge: client connections that are open on any of the three listeners */
  connections: 0,
  connectionsTotal: 1,
  receivedBytes: 2,
  sentBytes: 3,
  /** reads of one key that found it, or did not */
  hits: 4,
  misses: 5,
  /** commands sent on to the node that owns their key */
  forwarded: 6,
  /** reads answered from a copy that this node follows */
  followerReads: 7,
  /** connections that had to wait for a change of owner */
  parks: 8,
  protocolErrors: 9,
  /** -MOVED answers */
  redirects: 10,
  /** connections closed because the lease ended while their commands ran */
  disowned: 15,
  /** gauge: replies that wait until every copy in sync has what they tell */
  acksHeld: 11,
  /** such replies that became an error, because nobody can say whether the write is in sync */
  acksUnknown: 12,
  /** writes refused because too few copies are in sync */
  noReplicas: 13,
  /** connections ended because their client did not read a value that is sent from where it lies, or the
   *  partition was no longer led here */
  pinsEnded: 14,
  /** AUTH or HELLO with a wrong password, or a link that could not prove itself */
  authFailures: 16,
  /** Limits of serving/limits.ts, each how often it struck. Clients turned down: maxclients. */
  connectionsRefused: 17,
  /** connections ended: silent for --idle-timeout */
  idleEnded: 18,
  /** without a password for --auth-timeout, or to make room for others */
  unauthenticatedEnded: 19,
  /** more of an unfinished command than --resp-query-max */
  queryBufferEnded: 20,
  /** more arguments, or a longer one, than a command may have */
  argumentsEnded: 21,
  bulksEnded: 22,
  /** or than one may have before the password was given */
  unauthenticatedCommandsEnded: 23,
  /** inline commands that are too long */
  linesEnded: 24,
  /** commands refused for an argument longer than any value may be */
  valuesRefused: 25,
  /** large commands, or copies, that waited for --resp-transit-max */
  transitWaits: 26,
  /** connections ended because others waited for the memory of a large command that did not arrive */
  stalledEnded: 27,
  /** because too many bytes of replies waited for them, or for too long */
  outputEnded: 28,
  /** replies that became an error because they would have been too long */
  repliesRefused: 29,
  /** transactions refused because they queue too many bytes */
  transactionsRefused: 30,
  /** times a connection gave way to others */
  turnsOver: 31,
  /** times a connection waited because too many of its replies are due */
  lateWaits: 32,
  /** times one waited because the link to another node was full */
  linkWaits: 33,
  /** links ended because the other node was silent, or could not be reached */
  linksEnded: 34,
  /** commands refused because too many clients wait for a new primary */
  parksRefused: 35,
  /** commands refused because a link to another node stayed full */
  linkWaitsRefused: 36,
  /** connections ended because all of them together held too much, and this one most */
  clientsEvicted: 37,
  /** gauges: bytes that the connections of this worker hold, and what its largest holds of them */
  clientBytes: 38,
  clientBytesMost: 39,
  /** writes refused because the redo log takes nothing, or there is none */
  noLog: 40,
} as const;

export type CounterName = keyof typeof Counter;
export type CounterRow = (typeof Counter)[CounterName];

export const COUNTER_NAMES: readonly CounterName[] = Object.keys(Counter) as CounterName[];

/** Upper bounds of the latency histogram in seconds; one more bucket counts what is above. */
export const LATENCY_BOUNDS_SECONDS: readonly number[] = [
  0.000_001, 0.000_002_5, 0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5,
  0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1,
];

export const LATENCY_BUCKETS: number = LATENCY_BOUNDS_SECONDS.length + 1;

/** The command table may hold this many rows. */
export const COMMANDS_MAX = 256;

const COMMAND_ROWS_AT = 64;
const CALLS = 0;
const ERRORS = 1;
const SECONDS = 2;
const BUCKETS = 3;
const COMMAND_ROW_WORDS: number = BUCKETS + LATENCY_BUCKETS;

/** Behind them, in the block of worker 0 alone: words that all data workers share; see RarePace. */
const SHARED_WORDS_AT: number = COMMAND_ROWS_AT + COMMANDS_MAX * COMMAND_ROW_WORDS;
const SHARED_WORDS = 32;

export const COUNTERS_BYTES: number = (SHARED_WORDS_AT + SHARED_WORDS) * 8;

export function createCounters(): SharedArrayBuffer {
  return new SharedArrayBuffer(COUNTERS_BYTES);
}

export class WorkerCounters {
  readonly #words: Float64Array;

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Float64Array(buffer);
  }

  add(row: CounterRow, n: number): void {
    this.#words[row] += n;
  }

  set(row: CounterRow, n: number): void {
    this.#words[row] = n;
  }

  get(row: CounterRow): number {
    return this.#words[row];
  }

  /** `count` calls of one command were executed; each took `seconds` (in a batch: its share). */
  command(index: number, count: number, seconds: number): void {
    const row = COMMAND_ROWS_AT + index * COMMAND_ROW_WORDS;
    this.#words[row + CALLS] += count;
    this.#words[row + SECONDS] += count * seconds;
    this.#words[row + BUCKETS + latencyBucket(seconds)] += count;
  }

  /** A call that is counted (see `command`) was answered with an error. */
  commandError(index: number, count: number): void {
    this.#words[COMMAND_ROWS_AT + index * COMMAND_ROW_WORDS + ERRORS] += count;
  }

  calls(index: number): number {
    return this.#words[COMMAND_ROWS_AT + index * COMMAND_ROW_WORDS + CALLS];
  }

  errors(index: number): number {
    return this.#words[COMMAND_ROWS_AT + index * COMMAND_ROW_WORDS + ERRORS];
  }

  seconds(index: number): number {
    return this.#words[COMMAND_ROWS_AT + index * COMMAND_ROW_WORDS + SECONDS];
  }

  /** Calls that took more than the bound before this bucket and at most its own (not
   *  cumulative). */
  bucket(index: number, bucket: number): number {
    return this.#words[COMMAND_ROWS_AT + index * COMMAND_ROW_WORDS + BUCKETS + bucket];
  }
}

function latencyBucket(seconds: number): number {
  let bucket = 0;
  while (bucket < LATENCY_BOUNDS_SECONDS.length && seconds > LATENCY_BOUNDS_SECONDS[bucket]) {
    bucket++;
  }
  return bucket;
}

/** Lets something happen once per `everyMs` at most, whichever worker it happens in.
 *  A word holds when it happened last, in monotonic ms modulo 2^32. */
export class RarePace {
  readonly #words: Int32Array;
  readonly #everyMs: number;

  /** The counters of worker 0, or of the only one. */
  constructor(buffer: SharedArrayBuffer, everyMs: number) {
    this.#words = new Int32Array(buffer, SHARED_WORDS_AT * 8, SHARED_WORDS);
    this.#everyMs = everyMs;
  }

  /** Whether the one of kind `word` may happen now; then it has. */
  may(word: number, nowMs: number): boolean {
    const now = Math.floor(nowMs) | 0 || 1;
    const last = Atomics.load(this.#words, word);
    const sinceMs = (now - last) | 0;
    if (last !== 0 && sinceMs >= 0 && sinceMs < this.#everyMs) return false;
    return Atomics.compareExchange(this.#words, word, last, now) === last;
  }
}
