/** `ingot backup --to FILE`: an image of every partition, consistent in itself, while the cluster serves. Each is read
 *  as a follower would, into memory of this process, and from there into the file: two at a time. */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { fetchCopy } from '@ingot/replication';
import { attachPartition, createPartition, type Geometry, planGeometry } from '@ingot/store';
import { type BackupHead, IMAGE_WORDS } from '../backup/backup-format.ts';
import { BackupWriter } from '../backup/backup-writer.ts';
import { type BackupSource, sourcesOf } from '../backup/sources.ts';
import { INGOT_VERSION } from '../commands/version.ts';
import type { ControlClient } from '../control/control-client.ts';
import type { ClusterStatus } from '../control/types.ts';
import { capacityOf } from '../shared/capacity.ts';
import { EXIT_INTERRUPTED, EXIT_OK, IngotError, refusal, usageError } from '../shared/errors.ts';
import type { ClusterMap } from '../shared/map.ts';
import { mebibytes } from '../shared/bytes.ts';
import { type Asked, askedFrom, askNode } from './ask.ts';
import { ProgressLine } from './progress-line.ts';
import { listenForStop } from './signals.ts';
import type { OptionValues } from './values.ts';
import { unixMs } from './wall-clock.ts';

/** Images in memory at a time. */
const LANES = 2;
/** A partition may be moving, or its primary gone: others take over within seconds. */
const ATTEMPTS_MAX = 10;
const RETRY_MS = 1_000;

export async function backup(values: OptionValues): Promise<number> {
  const path = values.text('to');
  if (path === null) throw usageError('--to FILE is missing: where the backup is to be written');
  const run = new BackupRun(path, askedFrom(values, process.env), values.flag('json'));
  listenForStop({
    onFirst: () => void run.interrupt().then(() => process.exit(EXIT_INTERRUPTED)),
    onSecond: () => process.exit(EXIT_INTERRUPTED),
  });
  return await run.run();
}

class BackupRun {
  readonly #path: string;
  readonly #asked: Asked;
  readonly #json: boolean;
  readonly #guestId = `backup:${randomBytes(6).toString('hex')}`;
  readonly #startedMs: number = unixMs();
  readonly #progress = new ProgressLine(unixMs);
  readonly #load = new Map<string, number>();
  #writer: BackupWriter | null = null;
  #status: ClusterStatus | null = null;
  #next = 0;
  #done = 0;
  #ofFollowers = 0;
  /** The file takes one partition at a time. */
  #writing: Promise<void> = Promise.resolve();

  constructor(path: string, asked: Asked, json: boolean) {
    this.#path = path;
    this.#asked = asked;
    this.#json = json;
  }

  async interrupt(): Promise<void> {
    await this.#writer?.abandon();
  }

  async run(): Promise<number> {
    const { map } = await this.#look();
    const writer = await BackupWriter.create(this.#path, headOf(map, this.#startedMs));
    this.#writer = writer;
    try {
      const geometry = planGeometry(map);
      await Promise.all(Array.from({ length: LANES }, () => this.#lane(map, geometry)));
      await writer.finish(unixMs());
    } catch (error) {
      await writer.abandon();
      throw error;
    } finally {
      this.#progress.end();
    }
    process.stdout.write(`${this.#report(map, writer.bytes)}\n`);
    return EXIT_OK;
  }

  async #lane(map: ClusterMap, geometry: Geometry): Promise<void> {
    while (this.#next < map.partitions) {
      await this.#partition(map, geometry, this.#next++);
      this.#done++;
      this.#progress.show(() => this.#progressText(map));
    }
  }

  /** Of another source, or a newer map, where one does not give it. */
  async #partition(map: ClusterMap, geometry: Geometry, id: number): Promise<void> {
    let why = 'it has no primary';
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const sources = sourcesOf(await this.#fresh(attempt > 0), id, this.#load);
      for (const source of sources) {
        try {
          return await this.#fetch(map, geometry, source);
        } catch (error) {
          if (error instanceof IngotError) throw error;
          why = `${source.node}: ${(error as Error).message}`;
        }
      }
      await delay(RETRY_MS);
    }
    throw refusal(
      'BACKUP_INCOMPLETE',
      `partition ${id} cannot be read (${why}); look at "ingot status", and begin again once it is served`,
    );
  }

  async #fetch(map: ClusterMap, geometry: Geometry, source: BackupSource): Promise<void> {
    const { node, led, epoch, host, port } = source;
    this.#load.set(node, (this.#load.get(node) ?? 0) + 1);
    const partition = attachPartition(createPartition(geometry, source.partition));
    const { secret, certificates } = this.#asked.credentials;
    const { clockMs } = await fetchCopy({
      ...{ partition, epoch, clusterId: map.clusterId, guestId: this.#guestId, nowMs: unixMs },
      address: { host, port, node },
      security: { secret, certificates },
    });
    const takenAtMs = unixMs();
    const before = this.#writing;
    const written = before.then(() =>
      this.#writer?.add(partition, { node, led, clockMs, takenAtMs }),
    );
    this.#writing = written.then(() => undefined);
    this.#writing.catch(() => undefined);
    await written;
    if (!led) this.#ofFollowers++;
  }

  async #fresh(mustBeNew: boolean): Promise<ClusterStatus> {
    return this.#status === null || mustBeNew ? await this.#look() : this.#status;
  }

  async #look(): Promise<ClusterStatus> {
    const ask = (client: ControlClient): Promise<ClusterStatus> => client.status('cluster');
    this.#status = await askNode(this.#asked, ask);
    return this.#status;
  }

  #progressText(map: ClusterMap): string {
    return `${this.#done} of ${map.partitions} partitions, ${mebibytes(this.#writer?.bytes ?? 0)}`;
  }

  #report(map: ClusterMap, bytes: number): string {
    const seconds = (unixMs() - this.#startedMs) / 1_000;
    const [partitions, ofFollowers] = [map.partitions, this.#ofFollowers];
    if (this.#json) {
      return JSON.stringify({ file: this.#path, bytes, partitions, ofFollowers, seconds }, null, 2);
    }
    return (
      `${this.#path}: ${partitions} partitions (${ofFollowers} from followers), ` +
      `${mebibytes(bytes)}, in ${seconds.toFixed(1)} s`
    );
  }
}

function headOf(map: ClusterMap, startedAtMs: number): BackupHead {
  const { clusterId, partitions, copies, capacityBytes, capacityMaxBytes } = map;
  const { valueMaxBytes, eviction } = map;
  return {
    ...{ clusterId, program: `ingot ${INGOT_VERSION}`, startedAtMs, ...IMAGE_WORDS },
    ...{ partitions, copies, capacityBytes, capacityMaxBytes, valueMaxBytes, eviction },
    capacityLimitBytes: capacityOf(map),
  };
}
