/** Copies the strings of a Redis or Valkey into a cluster, page by page of its SCAN.
 *
 *      SCAN cursor  ->  TYPE of each key  ->  STRLEN of the strings
 *      groups of a few MiB:  MULTI (expiry, GET) x n EXEC  ->  SET key value [PXAT at] [NX]
 *
 *  Value and expiry are read in one transaction, so they belong together. Lengths are asked first, so that neither
 *  side holds more than one group, or one long value, at a time (two while one is read and one written).
 *  The cursor is noted once all keys of its page are written: whoever goes on from there misses nothing, and at most
 *  writes a page twice. Keys that are written at the source meanwhile are copied as they were, or not at all.
 *  Owner: the command. Clock and rests are passed in. */
import type { Command } from '../resp/resp-client.ts';
import { ReplyError, type ReplyValue } from '../resp/reply-value.ts';
import { refusal } from '../shared/errors.ts';
import { countFailure, countOther, type ImportCounts } from './counts.ts';
import type { Pace } from './pace.ts';

export interface Server {
  ask(commands: readonly Command[]): Promise<readonly ReplyValue[]>;
}

export interface ImportOptions {
  readonly source: Server;
  readonly target: Server;
  /** Keys that are there already are overwritten; else they stay as they are. */
  readonly replace: boolean;
  readonly pace: Pace;
  /** Unix ms. */
  readonly nowMs: () => number;
  readonly rest: (ms: number) => Promise<void>;
  readonly stopped: () => boolean;
  /** All up to `cursor` is done. */
  readonly pageDone: (cursor: string) => void;
}

interface Entry {
  readonly key: Buffer;
  readonly value: Buffer;
  /** Unix ms; null: never. */
  readonly expiresAtMs: number | null;
}

export const FIRST_CURSOR = '0';
/** Of one transaction at the source. */
const GROUP_KEYS_MAX = 250;
const NEVER = -1;

export class Importer {
  readonly #options: ImportOptions;
  readonly #counts: ImportCounts;
  #expiryCommand: 'PEXPIRETIME' | 'PTTL' = 'PEXPIRETIME';
  #writing: Promise<void> = Promise.resolve();

  constructor(options: ImportOptions, counts: ImportCounts) {
    this.#options = options;
    this.#counts = counts;
  }

  /** Goes on from `cursor`. Returns whether the end was reached. */
  async run(cursor: string): Promise<boolean> {
    // Redis before 7.0 tells only how long a key has still to live.
    const [probe] = await this.#options.source.ask([['PEXPIRETIME', '']]);
    if (probe instanceof ReplyError) this.#expiryCommand = 'PTTL';
    let next = cursor;
    do {
      if (this.#options.stopped()) return false;
      next = await this.#page(next);
      this.#options.pageDone(next);
    } while (next !== FIRST_CURSOR);
    return true;
  }

  async #page(cursor: string): Promise<string> {
    const { source, pace } = this.#options;
    const count = String(pace.pageKeys);
    const [page] = await source.ask([['SCAN', cursor, 'COUNT', count]]);
    const [next, keys] = arrayOf(page, 'SCAN') as [Buffer, readonly Buffer[]];
    this.#counts.seen += keys.length;
    try {
      for (const group of groupsOf(await this.#stringsOf(keys), pace.pieceBytes)) {
        const entries = await this.#read(group);
        await this.#writing;
        this.#writing = this.#write(entries);
        // Whoever awaits it hears of it; until then it is nobody's surprise.
        this.#writing.catch(() => undefined);
        const bytes = entries.reduce((sum, each) => sum + each.key.length + each.value.length, 0);
        const restMs = pace.done(group.length, bytes, this.#options.nowMs());
        if (restMs > 0) await this.#options.rest(restMs);
      }
    } finally {
      await this.#writing;
    }
    return next.toString();
  }

  /** The strings among the keys, with the length of each. */
  async #stringsOf(keys: readonly Buffer[]): Promise<[Buffer, number][]> {
    const { source } = this.#options;
    const types = await source.ask(keys.map((key): Command => ['TYPE', key]));
    const strings = keys.filter((key, i) => {
      const type = types[i];
      if (type === 'string') return true;
      if (type === 'none') this.#counts.gone++;
      else if (type instanceof ReplyError) countFailure(this.#counts, key, type.text);
      else countOther(this.#counts, typeof type === 'string' ? type : 'unknown');
      return false;
    });
    const lengths = await source.ask(strings.map((key): Command => ['STRLEN', key]));
    return strings.map((key, i) => [key, typeof lengths[i] === 'number' ? lengths[i] : 0]);
  }

  async #read(group: readonly Buffer[]): Promise<Entry[]> {
    const { source, nowMs } = this.#options;
    const reads = group.flatMap((key): Command[] => [
      [this.#expiryCommand, key],
      ['GET', key],
    ]);
    const replies = await source.ask([['MULTI'], ...reads, ['EXEC']]);
    const values = arrayOf(replies.at(-1), 'EXEC');
    const readAtMs = nowMs();
    return group.flatMap((key, i) => {
      const [expiry, value] = [values[2 * i], values[2 * i + 1]];
      if (!(value instanceof Buffer) || typeof expiry !== 'number') {
        const isFailure = value instanceof ReplyError && !value.text.startsWith('WRONGTYPE');
        if (isFailure) countFailure(this.#counts, key, value.text);
        else this.#counts.gone++;
        return [];
      }
      const expiresAtMs = this.#expiresAtMs(expiry, readAtMs);
      return [{ key, value, expiresAtMs }];
    });
  }

  #expiresAtMs(expiry: number, readAtMs: number): number | null {
    if (expiry === NEVER) return null;
    return this.#expiryCommand === 'PTTL' ? readAtMs + expiry : expiry;
  }

  async #write(entries: readonly Entry[]): Promise<void> {
    const nowMs = this.#options.nowMs();
    const alive = entries.filter(({ expiresAtMs }) => expiresAtMs === null || expiresAtMs > nowMs);
    this.#counts.gone += entries.length - alive.length;
    const replies = await this.#options.target.ask(alive.map((entry) => this.#set(entry)));
    alive.forEach(({ key, value }, i) => {
      const reply = replies[i];
      if (reply instanceof ReplyError) countFailure(this.#counts, key, reply.text);
      else if (reply === null) this.#counts.kept++;
      else {
        this.#counts.imported++;
        this.#counts.bytes += key.length + value.length;
      }
    });
  }

  #set({ key, value, expiresAtMs }: Entry): Command {
    const expiry = expiresAtMs === null ? [] : ['PXAT', String(expiresAtMs)];
    return ['SET', key, value, ...expiry, ...(this.#options.replace ? [] : ['NX'])];
  }
}

/** As many keys as their values may have bytes together; one at least. */
function groupsOf(strings: readonly (readonly [Buffer, number])[], bytesMax: number): Buffer[][] {
  const groups: Buffer[][] = [];
  let bytes = 0;
  for (const [key, length] of strings) {
    const last = groups.at(-1);
    bytes += length;
    if (last !== undefined && last.length < GROUP_KEYS_MAX && bytes <= bytesMax) last.push(key);
    else {
      groups.push([key]);
      bytes = length;
    }
  }
  return groups;
}

function arrayOf(reply: ReplyValue | undefined, command: string): readonly ReplyValue[] {
  if (isArray(reply)) return reply;
  const why = reply instanceof ReplyError ? reply.text : JSON.stringify(reply);
  throw refusal(
    'SOURCE_REFUSED',
    `the source answers ${command} with "${why}"; ` +
      'its user needs SCAN, TYPE, STRLEN, GET, PEXPIRETIME, PTTL, MULTI and EXEC',
  );
}

function isArray(reply: ReplyValue | undefined): reply is readonly ReplyValue[] {
  return Array.isArray(reply);
}
