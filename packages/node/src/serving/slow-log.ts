/** The commands of one worker that took long (SLOWLOG), and its latency events (LATENCY).
 *
 *  A batch reads the clock twice; what may be slow by its nature reads it once more when it has run. So a
 *  time may include plain GETs and SETs before it, which are a thousandth of what is noted here, unless
 *  the threshold is that low: then every command is timed.
 *  Bounds: --slowlog-max-len entries of 32 words of 128 bytes; 160 samples of an event. */

import type { Args } from '../resp/args.ts';
import type { LatencySample, SlowEntry } from '../shared/worker-questions.ts';
import type { Command } from './execution.ts';
import type { LiveSettings } from './live-settings.ts';
import type { Session } from './session.ts';

const WORDS_MAX = 32;
const WORD_BYTES_MAX = 128;
const SAMPLES_MAX = 160;
/** They carry passwords. */
const NEVER_LOGGED: ReadonlySet<string> = new Set(['auth', 'hello', 'ingot.prove']);

export class SlowLog {
  readonly live: LiveSettings;
  private readonly workerIndex: number;
  private readonly workers: number;
  private entries: SlowEntry[] = [];
  private noted = 0;
  private readonly samples: Map<string, LatencySample[]> = new Map();

  constructor(live: LiveSettings, workerIndex: number, workers: number) {
    this.live = live;
    this.workerIndex = workerIndex;
    this.workers = workers;
  }

  /** A command has run for so long. */
  took(command: Command, args: Args, session: Session, microseconds: number, nowMs: number): void {
    const { slowlogSlowerThanUs, latencyThresholdMs } = this.live.values;
    const unixSeconds = Math.floor(nowMs / 1000);
    const ms = Math.floor(microseconds / 1000);
    if (latencyThresholdMs > 0 && ms >= latencyThresholdMs) {
      const event = command.flags.includes('fast') ? 'fast-command' : 'command';
      this.sample({ event, unixSeconds, ms });
    }
    if (slowlogSlowerThanUs < 0 || microseconds < slowlogSlowerThanUs) return;
    if (NEVER_LOGGED.has(command.name)) return;
    this.entries.unshift({
      // Unique in the node, whichever worker noted it.
      id: this.noted++ * this.workers + this.workerIndex,
      unixSeconds,
      microseconds: Math.round(microseconds),
      words: wordsOf(args),
      address: session.address,
      clientName: session.name,
    });
    this.trim();
  }

  list(): readonly SlowEntry[] {
    this.trim();
    return this.entries;
  }

  reset(): void {
    this.entries = [];
  }

  allSamples(): LatencySample[] {
    return [...this.samples.values()].flat();
  }

  /** Returns the events that there were among `events`; null: all. */
  resetSamples(events: readonly string[] | null): string[] {
    const known = [...this.samples.keys()].filter((event) => events?.includes(event) ?? true);
    for (const event of known) this.samples.delete(event);
    return known;
  }

  private sample(sample: LatencySample): void {
    const { event, unixSeconds, ms } = sample;
    const samples = this.samples.get(event) ?? [];
    this.samples.set(event, samples);
    const last = samples.at(-1);
    // One of a second: the longest.
    if (last?.unixSeconds === unixSeconds) {
      if (ms > last.ms) samples[samples.length - 1] = sample;
      return;
    }
    samples.push(sample);
    if (samples.length > SAMPLES_MAX) samples.shift();
  }

  private trim(): void {
    const { slowlogMaxLength } = this.live.values;
    if (this.entries.length > slowlogMaxLength) this.entries.length = slowlogMaxLength;
  }
}

function wordsOf(args: Args): string[] {
  const shown = args.count > WORDS_MAX ? WORDS_MAX - 1 : args.count;
  const words = Array.from({ length: shown }, (_, i) => {
    const left = args.bytes(i) - WORD_BYTES_MAX;
    const start = args.start(i);
    const end = start + Math.min(args.bytes(i), WORD_BYTES_MAX);
    const text = args.buf.toString('latin1', start, end);
    return left > 0 ? `${text}... (${left} more bytes)` : text;
  });
  if (shown < args.count) words.push(`... (${args.count - shown} more arguments)`);
  return words;
}
