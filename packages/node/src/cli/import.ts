/** `ingot import redis://...`: copies the strings of a running Redis or Valkey into a running cluster. */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { failures, type ImportCounts, newCounts } from '../import/counts.ts';
import { FIRST_CURSOR, Importer } from '../import/importer.ts';
import { Pace, rateFrom } from '../import/pace.ts';
import { type Source, sourceFrom } from '../import/source-url.ts';
import { type ImportIdentity, StateFile } from '../import/state-file.ts';
import { progressText, reportText } from '../import/texts.ts';
import { PatientClient } from '../resp/patient-client.ts';
import { ReplyError } from '../resp/reply-value.ts';
import type { RespAddress, RespClient } from '../resp/resp-client.ts';
import {
  EXIT_FOUND_WRONG,
  EXIT_INTERRUPTED,
  EXIT_OK,
  refusal,
  usageError,
} from '../shared/errors.ts';
import { hostPort } from './address.ts';
import { passwordFrom, readPasswordFile } from './password.ts';
import { ProgressLine } from './progress-line.ts';
import { clientAddress } from './resp-address.ts';
import { listenForStop } from './signals.ts';
import type { OptionValues } from './values.ts';
import { unixMs } from './wall-clock.ts';

const STATE_EVERY_MS = 1_000;

export async function importStrings(
  values: OptionValues,
  operands: readonly string[],
): Promise<number> {
  const source = sourceFrom(operands[0]);
  const from = sourceAddress(source, values);
  const to = clientAddress(values.text('to') ?? '', passwordFrom(values));
  const pace = new Pace(rateFrom(values.text('rate')));
  const identity: ImportIdentity = {
    source: `${hostPort(source.host, source.port)}/${source.database}`,
    target: hostPort(to.host, to.port),
    replace: values.flag('replace'),
  };
  const standard = `ingot-import-${source.host.replaceAll(':', '_')}-${source.port}-${source.database}.json`;
  const file = new StateFile(values.text('state') ?? standard);
  return await new ImportRun(identity, file, pace, values.flag('json')).run(from, to);
}

class ImportRun {
  readonly #identity: ImportIdentity;
  readonly #file: StateFile;
  readonly #pace: Pace;
  readonly #json: boolean;
  readonly #progress = new ProgressLine(unixMs);
  readonly #stop = new AbortController();
  readonly #startedMs: number = unixMs();
  #counts: ImportCounts = newCounts();
  #runId = '';
  #savedMs = 0;

  constructor(identity: ImportIdentity, file: StateFile, pace: Pace, json: boolean) {
    this.#identity = identity;
    this.#file = file;
    this.#pace = pace;
    this.#json = json;
  }

  async run(from: RespAddress, to: RespAddress): Promise<number> {
    listenForStop({
      onFirst: () => this.#stop.abort(),
      onSecond: () => process.exit(EXIT_INTERRUPTED),
    });
    const { source: sourceName, target: targetName } = this.#identity;
    const state = this.#file.read(this.#identity);
    let cursor = state?.cursor ?? FIRST_CURSOR;
    const source = new PatientClient({
      ...{ address: from, name: `the source ${sourceName}`, advice: this.#goOn() },
      greet: (client) => this.#sameLife(client),
    });
    const target = new PatientClient({
      address: to,
      name: `the node at ${targetName}`,
      advice: 'check that it runs and that --to names its client port',
    });
    try {
      const { runId, keys } = await this.#look(source);
      const [targetInfo] = await target.ask([['INFO', 'server']]);
      this.#refuseItself(runId, infoField(targetInfo, 'run_id'));
      this.#runId = runId;
      if (state !== null && state.runId === runId) {
        this.#counts = state.counts;
        process.stderr.write(`going on where the import in ${this.#file.path} stopped\n`);
      } else if (state !== null) {
        cursor = FIRST_CURSOR;
        process.stderr.write(`the source was restarted: beginning again\n`);
      }
      return this.#ended(await this.#copy(source, target, keys, cursor));
    } finally {
      this.#progress.end();
      source.close();
      target.close();
    }
  }

  async #copy(
    source: PatientClient,
    target: PatientClient,
    keysTotal: number,
    cursor: string,
  ): Promise<boolean> {
    const { seen, bytes } = this.#counts;
    const importer = new Importer(
      {
        ...{ source, target, pace: this.#pace, nowMs: unixMs },
        replace: this.#identity.replace,
        rest: async (ms) => {
          await delay(ms, undefined, { signal: this.#stop.signal }).catch(() => undefined);
        },
        stopped: () => this.#stop.signal.aborted,
        pageDone: (next) => {
          this.#note(next);
          const seconds = this.#seconds();
          const keysSince = this.#counts.seen - seen;
          const bytesSince = this.#counts.bytes - bytes;
          const progress = { counts: this.#counts, keysTotal, keysSince, bytesSince, seconds };
          this.#progress.show(() => progressText(progress));
        },
      },
      this.#counts,
    );
    return await importer.run(cursor);
  }

  /** Each page is noted once it is whole, but the disk is not asked for each of them. */
  #note(cursor: string): void {
    const nowMs = unixMs();
    const isDue = nowMs - this.#savedMs >= STATE_EVERY_MS || this.#stop.signal.aborted;
    if (cursor === FIRST_CURSOR || !isDue) return;
    this.#savedMs = nowMs;
    const [identity, runId, counts] = [this.#identity, this.#runId, this.#counts];
    this.#file.write({ identity, runId, cursor, counts });
  }

  #ended(reachedTheEnd: boolean): number {
    this.#progress.end();
    const seconds = this.#seconds();
    if (reachedTheEnd) this.#file.remove();
    const text = this.#json
      ? JSON.stringify({ ...this.#counts, ended: reachedTheEnd, seconds }, null, 2)
      : reportText(this.#counts, seconds);
    process.stdout.write(`${text}\n`);
    if (!reachedTheEnd) {
      process.stderr.write(`not at the end; ${this.#goOn()}\n`);
      return EXIT_INTERRUPTED;
    }
    return failures(this.#counts) > 0 ? EXIT_FOUND_WRONG : EXIT_OK;
  }

  #goOn(): string {
    return `the same command goes on from what ${this.#file.path} says`;
  }

  #seconds(): number {
    return (unixMs() - this.#startedMs) / 1_000;
  }

  async #look(source: PatientClient): Promise<{ runId: string; keys: number }> {
    const [info, keys] = await source.ask([['INFO'], ['DBSIZE']]);
    if (infoField(info, 'cluster_enabled') === '1') {
      process.stderr.write('the source is one node of a cluster: import each of its primaries\n');
    }
    return { runId: infoField(info, 'run_id'), keys: typeof keys === 'number' ? keys : 0 };
  }

  /** A cursor means nothing to another process. */
  async #sameLife(client: RespClient): Promise<void> {
    if (this.#runId === '') return;
    const [info] = await client.ask([['INFO', 'server']]);
    if (infoField(info, 'run_id') === this.#runId) return;
    throw refusal('SOURCE_RESTARTED', 'the source was restarted; the same command begins again');
  }

  #refuseItself(sourceId: string, targetId: string): void {
    if (sourceId === '' || sourceId !== targetId) return;
    throw usageError('SOURCE and --to are the same server; --to is a node of a cluster of Ingot');
  }
}

function sourceAddress(source: Source, values: OptionValues): RespAddress {
  const { host, port, isTls, username, database } = source;
  const ca = values.text('source-ca');
  const passwordFile = values.text('source-password-file');
  if (passwordFile !== null && source.password !== null) {
    throw usageError('a password is in SOURCE and in --source-password-file: keep one');
  }
  if (ca !== null && !isTls) throw usageError('--source-ca goes with a rediss:// address');
  const password = passwordFile === null ? source.password : readPasswordFile(passwordFile);
  const tls = isTls ? { ca: ca === null ? null : caFrom(ca) } : null;
  return { host, port, tls, username, password, database };
}

function caFrom(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? String(error);
    throw usageError(`--source-ca ${path} cannot be read (${why})`);
  }
}

function infoField(info: unknown, field: string): string {
  if (info instanceof ReplyError || !(info instanceof Buffer)) return '';
  return new RegExp(`^${field}:([^\r\n]*)`, 'm').exec(info.toString())?.[1] ?? '';
}
