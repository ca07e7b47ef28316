/** The copies that a node had when it was last saved, read back before it joins its cluster: so whatever it says of
 *  them, to whoever chooses a primary, is true from its first word on. Owner: the main thread, which stays free for the
 *  acceptor; threads of their own read.
 *  Invariant: what is loaded is a follower's copy of the past; only the cluster map makes it more. */
import { Worker } from 'node:worker_threads';
import type { EvictionPolicy, Geometry, PartitionHandle } from '@ingot/store';
import { CheckpointFolder } from '../checkpoint/checkpoint-file.ts';
import { NO_MEMORY, type SavedMemory } from '../control/types.ts';
import { geometryOf } from '../shared/capacity.ts';
import type { ClusterMap } from '../shared/map.ts';
import type { Settings } from '../shared/settings.ts';
import type { NodeLog } from './log.ts';
import { type MemoryLimit, memoryRefusal } from './memory.ts';

const PROGRESS_LOG_MS = 1_000;

/** workerData of a loading thread. */
export interface LoaderData {
  readonly dataDir: string;
  readonly clusterId: string;
  readonly node: string;
  readonly eviction: EvictionPolicy;
  readonly geometry: Geometry;
  readonly partitions: readonly number[];
}

export type FromLoader =
  | { readonly kind: 'progress'; readonly bytes: number }
  | { readonly kind: 'refused'; readonly partition: number; readonly why: string }
  | {
      readonly kind: 'loaded';
      readonly handle: PartitionHandle;
      readonly endedLife: number;
      readonly savedAtMs: number;
    };

export interface Recovered {
  readonly handles: readonly PartitionHandle[];
  readonly memory: SavedMemory;
}

export interface RecoveryOptions {
  readonly settings: Pick<Settings, 'dataDir' | 'id' | 'workers'>;
  /** The newest that the node has seen. */
  readonly map: ClusterMap;
  readonly limit: MemoryLimit;
  readonly log: NodeLog;
  /** From 0 to 1. */
  readonly onProgress: (share: number) => void;
  /** The node is told to end meanwhile. */
  readonly signal: AbortSignal;
}

const NOTHING: Recovered = { handles: [], memory: NO_MEMORY };

/** Resolves when all that can be loaded is. What cannot be loaded is refused, with a line in the log; rejects only
 *  where the node is told to end meanwhile. */
export async function recoverCopies(options: RecoveryOptions): Promise<Recovered> {
  const { log, signal } = options;
  try {
    return await recovered(options);
  } catch (error) {
    signal.throwIfAborted();
    log('warn', 'checkpoint.notLoaded', { text: (error as Error).message });
    return NOTHING;
  }
}

async function recovered(options: RecoveryOptions): Promise<Recovered> {
  const { settings, map, limit } = options;
  const folder = new CheckpointFolder(settings.dataDir);
  const partitions = folder.partitions().filter((id) => id < map.partitions);
  if (partitions.length === 0) return NOTHING;
  const geometry = geometryOf(map);
  const short = memoryRefusal(geometry, partitions.length, limit);
  if (short !== null) throw short;
  return await new Recovery(options, folder, geometry, partitions).run();
}

class Recovery {
  readonly #options: RecoveryOptions;
  readonly #folder: CheckpointFolder;
  readonly #geometry: Geometry;
  readonly #partitions: readonly number[];
  readonly #bytesTotal: number;
  readonly #handles: PartitionHandle[] = [];
  /** By life: the partitions that are its memory. */
  readonly #lives = new Map<number, number[]>();
  #bytes = 0;
  #oldestMs = Number.POSITIVE_INFINITY;
  #refused = 0;
  #loggedMs = 0;

  constructor(
    options: RecoveryOptions,
    folder: CheckpointFolder,
    geometry: Geometry,
    partitions: readonly number[],
  ) {
    this.#options = options;
    this.#folder = folder;
    this.#geometry = geometry;
    this.#partitions = partitions;
    this.#bytesTotal = partitions.reduce((sum, id) => sum + folder.bytesOf(id), 0);
  }

  async run(): Promise<Recovered> {
    const { log, settings } = this.#options;
    const beganMs = performance.now();
    this.#loggedMs = beganMs;
    const partitions = this.#partitions.length;
    log('info', 'checkpoint.loading', { partitions, fileBytes: this.#bytesTotal });
    await this.#load(Math.min(settings.workers, partitions));
    const seconds = Number(((performance.now() - beganMs) / 1_000).toFixed(2));
    log('info', 'checkpoint.loaded', {
      ...{ partitions: this.#handles.length, refused: this.#refused, bytes: this.#bytes, seconds },
      ageSeconds:
        this.#handles.length === 0 ? 0 : Math.round((Date.now() - this.#oldestMs) / 1_000),
    });
    return { handles: this.#handles, memory: this.#memory() };
  }

  /** A process that ends in order while it loads, at whatever wish, has not been ended by what it read. */
  async #load(threads: number): Promise<void> {
    const { signal } = this.#options;
    const forgetReadings = (): void => {
      for (const id of this.#partitions) this.#folder.endReading(id);
    };
    process.once('exit', forgetReadings);
    try {
      await Promise.all(
        Array.from({ length: threads }, (_, thread) =>
          this.#thread(this.#partitions.filter((_id, i) => i % threads === thread)),
        ),
      );
      signal.throwIfAborted();
    } finally {
      forgetReadings();
      process.off('exit', forgetReadings);
    }
  }

  /** The last life that ended with a save, and what is its memory. */
  #memory(): SavedMemory {
    const life = Math.max(0, ...this.#lives.keys());
    return life === 0 ? NO_MEMORY : { memoryOf: life, partitions: this.#lives.get(life) ?? [] };
  }

  /** Resolves when the thread has ended, however it ended. */
  #thread(partitions: readonly number[]): Promise<void> {
    const { settings, map, signal } = this.#options;
    const data: LoaderData = {
      dataDir: settings.dataDir,
      clusterId: map.clusterId,
      node: settings.id,
      eviction: map.eviction,
      geometry: this.#geometry,
      partitions,
    };
    const ended = Promise.withResolvers<void>();
    const worker = new Worker(entry(), { name: 'loading', workerData: data });
    worker.on('message', (message: FromLoader) => this.#heard(message));
    worker.on('error', (error) => this.#refuse(partitions, (error as Error).message));
    const stop = (): void => void worker.terminate();
    signal.addEventListener('abort', stop);
    worker.on('exit', () => {
      signal.removeEventListener('abort', stop);
      ended.resolve();
    });
    if (signal.aborted) stop();
    return ended.promise;
  }

  #heard(message: FromLoader): void {
    if (message.kind === 'refused') return this.#refuse([message.partition], message.why);
    if (message.kind === 'progress') {
      this.#bytes += message.bytes;
      return this.#progress();
    }
    this.#handles.push(message.handle);
    const ofLife = this.#lives.get(message.endedLife) ?? [];
    this.#lives.set(message.endedLife, [...ofLife, message.handle.id]);
    this.#oldestMs = Math.min(this.#oldestMs, message.savedAtMs);
  }

  #refuse(partitions: readonly number[], why: string): void {
    this.#refused += partitions.length;
    for (const partition of partitions) {
      const path = this.#folder.fileOf(partition);
      const text = `the checkpoint ${path} is not loaded: ${why}; the copy begins without it`;
      this.#options.log('warn', 'checkpoint.refused', { partition, why, text });
    }
  }

  #progress(): void {
    const share = Math.min(this.#bytes / Math.max(this.#bytesTotal, 1), 1);
    this.#options.onProgress(share);
    const nowMs = performance.now();
    if (nowMs - this.#loggedMs < PROGRESS_LOG_MS) return;
    this.#loggedMs = nowMs;
    const percent = Math.floor(share * 100);
    this.#options.log('info', 'checkpoint.progress', { percent, bytes: this.#bytes });
  }
}

/** Threads run as this module does: from source, or built. */
function entry(): URL {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return new URL(`./checkpoint-loader.${extension}`, import.meta.url);
}
