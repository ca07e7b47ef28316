import { describe, expect, test } from 'vitest';
import {
  type ClientLoad,
  adaptiveRateMax,
  adaptiveRateMin,
  Pacer,
  type SyncRate,
} from './pacer.ts';

const MB = 1_000_000;
const batchBytes = 262_144;

/** Bulks that send whenever they may, looking once a millisecond. */
class Run {
  readonly pacer: Pacer;
  readonly load: { -readonly [Name in keyof ClientLoad]: ClientLoad[Name] };
  #nowMs = 1_000;

  constructor(rate: SyncRate) {
    this.load = { receivedBytes: 0, runs: 0, waitedMs: 0 };
    this.pacer = new Pacer({ rate, load: () => ({ ...this.load }) });
  }

  /** `each` plays what happens in a millisecond. Bulks that nothing holds up send eight batches in it. Returns bytes. */
  go(ms: number, each: () => void = () => {}): number {
    let bytes = 0;
    for (const endMs = this.#nowMs + ms; this.#nowMs < endMs; this.#nowMs++) {
      each();
      for (let batches = 0; batches < 8 && this.pacer.allows(this.#nowMs); batches++) {
        this.pacer.spend(batchBytes);
        bytes += batchBytes;
      }
    }
    return bytes;
  }

  /** No bulk runs for a while. */
  rest(ms: number): void {
    this.#nowMs += ms;
  }

  /** Clients are there, and their threads wait so long for a core. */
  readonly clients =
    (waitMs: number): (() => void) =>
    () => {
      this.load.receivedBytes += 100;
      this.load.runs += 4;
      this.load.waitedMs += 4 * waitMs;
    };
}

const freely = 8 * batchBytes * 1_000;

describe('pacing of bulks', () => {
  test('a number is kept to, whatever the size of the batches', () => {
    for (const rate of [2 * MB, 64 * MB, 500 * MB]) {
      const sent = new Run(rate).go(2_000) / 2;
      expect(sent).toBeGreaterThan(0.9 * rate);
      expect(sent).toBeLessThan(1.1 * rate + batchBytes);
    }
  });

  test('what was not used is not made up for', () => {
    const run = new Run(64 * MB);
    run.go(100);
    run.pacer.allows(60_000);
    let bytes = 0;
    for (; run.pacer.allows(60_000); bytes += batchBytes) run.pacer.spend(batchBytes);
    expect(bytes).toBeLessThan(64 * MB * 0.02 + 2 * batchBytes);
  });

  test('a clock that is set back holds nobody up for long', () => {
    const run = new Run(64 * MB);
    run.go(1_000);
    expect(run.pacer.allows(0) || run.pacer.allows(10)).toBe(true);
  });

  test('max asks nobody and waits for nothing', () => {
    const pacer = new Pacer({
      rate: 'max',
      load: () => {
        throw new Error('asked');
      },
    });
    pacer.spend(1e12);
    expect(pacer.allows(1)).toBe(true);
  });

  test('adaptive: without clients nothing holds a bulk up, from its first batch on', () => {
    const run = new Run('adaptive');
    run.load.receivedBytes = 1_000_000;
    expect(run.go(1_000)).toBe(freely);
    run.load.receivedBytes += 1_000_000;
    run.rest(60_000);
    expect(run.go(1_000)).toBe(freely);
  });

  test('adaptive: clients that are there slow a bulk down; once they are quiet it is free again', () => {
    const run = new Run('adaptive');
    run.go(500);
    run.go(30, run.clients(0.15));
    expect(run.go(1_000, run.clients(0.15))).toBeLessThan(0.2 * freely);
    run.go(150);
    expect(run.go(1_000)).toBe(freely);
  });

  test('adaptive: faster while clients get a core at once, slower while they wait for one', () => {
    const run = new Run('adaptive');
    run.go(5_000, run.clients(0.01));
    expect(run.pacer.bytesPerSecond).toBe(adaptiveRateMax);
    run.go(5_000, run.clients(1));
    expect(run.pacer.bytesPerSecond).toBe(adaptiveRateMin);
    run.go(100, run.clients(0.01));
    expect(run.pacer.bytesPerSecond).toBeGreaterThan(adaptiveRateMin);
  });

  test('adaptive: a sync comes to an end even where clients always wait', () => {
    const run = new Run('adaptive');
    expect(run.go(10_000, run.clients(50)) / 10).toBeGreaterThan(0.9 * adaptiveRateMin);
  });
});
