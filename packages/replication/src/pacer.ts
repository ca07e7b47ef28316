/** How fast the bulks of a node go, all together: a token bucket, filled by the time that passes.
 *
 *    a number   bytes per second
 *    'max'      as fast as the followers take them
 *    'adaptive' like 'max' while no client sends anything; once one does, at a rate that rises as long as the threads
 *               that serve clients get a core when they want one, and falls when they wait for it
 *
 *  Owner: a node's hub; asked by its bulks before each batch. A batch may overdraw the bucket, whoever comes after
 *  waits. Pure: time is passed in, and so is whoever says how the node does. */

export type SyncRate = number | 'adaptive' | 'max';

/** How the node's clients do. All of it only rises. */
export interface ClientLoad {
  /** Bytes received from clients. */
  readonly receivedBytes: number;
  /** How often threads that serve clients were given a core, and how long they had waited for it, in all. Zero where the
   *  system does not say. */
  readonly runs: number;
  readonly waitedMs: number;
}

/** So much time may be made up for at once: of a rate that was asked for, so that timers which are late cost nothing; of
 *  an adaptive one less, because clients wait for a burst to end. */
const askedBurstMs = 20;
const adaptiveBurstMs = 2;
/** Clients that sent nothing for so long are not there. */
const quietMs = 100;
const lookMs = 20;
/** What a look that long ago saw says nothing about now. */
const staleLookMs = 1_000;
/** Mean wait of a thread for a core, up to which the rate rises and above which it falls. */
const calmWaitMs = 0.03;
const crowdedWaitMs = 0.06;
const riseFactor = 1.1;
const fallFactor = 0.75;
const adaptiveStartRate = 96_000_000;
export const adaptiveRateMin = 48_000_000;
/** What waits of the serving threads do not show: the followers' own work, where they share the machine, and memory
 *  that is touched for the first time. */
export const adaptiveRateMax = 256_000_000;

export interface PacerOptions {
  readonly rate: SyncRate;
  /** Asked every `lookMs` at most, while bulks run. */
  readonly load: () => ClientLoad;
}

export class Pacer {
  readonly #options: PacerOptions;
  readonly #burstMs: number;
  #bytesPerSecond: number;
  #tokens = 0;
  #filledMs = 0;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #heardMs = Number.NEGATIVE_INFINITY;
  #load: ClientLoad = { receivedBytes: 0, runs: 0, waitedMs: 0 };

  constructor(options: PacerOptions) {
    this.#options = options;
    const { rate } = options;
    this.#bytesPerSecond = typeof rate === 'number' ? rate : Infinity;
    this.#burstMs = rate === 'adaptive' ? adaptiveBurstMs : askedBurstMs;
  }

  /** Bytes per second; Infinity: nothing holds the bulks up. */
  get bytesPerSecond(): number {
    return this.#bytesPerSecond;
  }

  /** Whether a batch may go out now. */
  allows(nowMs: number): boolean {
    if (this.#options.rate === 'adaptive') this.#look(nowMs);
    if (this.#bytesPerSecond === Infinity) return true;
    this.#fill(nowMs);
    return this.#tokens > 0;
  }

  /** A batch goes out. */
  spend(bytes: number): void {
    if (this.#bytesPerSecond !== Infinity) this.#tokens -= bytes;
  }

  #fill(nowMs: number): void {
    const perMs = this.#bytesPerSecond / 1_000;
    const passedMs = Math.max(0, nowMs - this.#filledMs);
    this.#tokens = Math.min(this.#tokens + passedMs * perMs, this.#burstMs * perMs);
    this.#filledMs = nowMs;
  }

  #look(nowMs: number): void {
    const passedMs = nowMs - this.#lookedMs;
    if (passedMs >= 0 && passedMs < lookMs) return;
    const before = this.#load;
    const load = this.#options.load();
    this.#load = load;
    this.#lookedMs = nowMs;
    if (passedMs > staleLookMs || passedMs < 0) return this.#forget();
    if (load.receivedBytes !== before.receivedBytes) this.#heardMs = nowMs;
    if (nowMs - this.#heardMs >= quietMs) this.#bytesPerSecond = Infinity;
    else if (this.#bytesPerSecond === Infinity) this.#begin(nowMs);
    else this.#adapt(load.runs - before.runs, load.waitedMs - before.waitedMs);
  }

  #forget(): void {
    this.#bytesPerSecond = Infinity;
    this.#heardMs = Number.NEGATIVE_INFINITY;
  }

  #begin(nowMs: number): void {
    this.#bytesPerSecond = adaptiveStartRate;
    this.#tokens = 0;
    this.#filledMs = nowMs;
  }

  #adapt(runs: number, waitedMs: number): void {
    if (runs <= 0) return;
    const meanMs = waitedMs / runs;
    const factor = meanMs > crowdedWaitMs ? fallFactor : meanMs < calmWaitMs ? riseFactor : 1;
    const rate = this.#bytesPerSecond * factor;
    this.#bytesPerSecond = Math.min(Math.max(rate, adaptiveRateMin), adaptiveRateMax);
  }
}

/** Nothing holds a bulk up. */
export function unpaced(): Pacer {
  return new Pacer({ rate: 'max', load: () => ({ receivedBytes: 0, runs: 0, waitedMs: 0 }) });
}
